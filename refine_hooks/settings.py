"""All settings, their defaults and limits, and the only reader of TOML.

One section a concern; every default is stated again in ``config/default.toml`` (equal by test), and ``config/<program>.toml``
holds only what differs for one refinement program. A user's file is laid over both.
"""

import json
import re
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer, field_validator, model_validator

from refine_hooks.errors import SettingsError


class Section(BaseModel):
    """A table of the TOML: frozen, unknown keys are faults."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class WatchSettings(Section):
    """When to look."""

    poll_s: float = Field(5.0, gt=0, description="the disk is looked at this often, whatever the file system reports")
    settle_s: float = Field(
        2.0, ge=0, description="inputs that cannot prove that they are complete must stay unchanged this long"
    )
    force_poll: bool = Field(False, description="never rely on the file system's own events")
    database_wait_s: float = Field(
        60.0, ge=0, description="how long sums wait for the program's own entry before they are measured without"
    )
    lock_timeout_s: float = Field(
        30.0,
        gt=0,
        description="'once' waits this long for a locked database; a lock older than this is told as left behind",
    )
    stalled_after_s: float = Field(86400.0, gt=0, description="no new round for this long is told as a stalled watch")


class KeepSettings(Section):
    """What stays on disk; the log itself always stays."""

    half_maps: Literal["all", "last", "every", "flagged"] = Field(
        "all", description="which rounds keep their half maps and masks"
    )
    last: int = Field(5, ge=1, description="how many rounds of each run and class stay with 'last'")
    every: int = Field(5, ge=1, description="every how-manieth round stays with 'every'; the newest always stays")
    sums: bool = Field(False, description="keep captured sums after their half maps are written")
    min_free_GB: float = Field(2.0, ge=0, description="writing pauses while less than this is free")


class SphereSettings(Section):
    """The spherical mask."""

    radius_A: float = Field(
        0.0, ge=0, description="0: the refinement program's own radius, else the largest that fits the box"
    )
    edge_A: float = Field(10.0, ge=0, description="width of the cosine edge, centred on the radius")


class AutomaskSettings(Section):
    """The tight but generous mask from the average of the two half maps; its size and softness are measured, not set here."""

    enabled: bool = True


class FscSettings(Section):
    """Curves and what is read off them."""

    threshold: float = Field(0.143, gt=0, lt=1, description="resolution is the first crossing of this level")
    randomise_below: float = Field(
        0.8, gt=0, lt=1, description="phases are randomised from the first shell where the unmasked FSC is below this"
    )
    repeats: int = Field(
        5, ge=2, le=1000, description="independent randomisations; their mean corrects, their spread is the error"
    )
    seed: int = Field(20130135, ge=0, description="seed of the first repeat; the following ones count on from it")
    full: bool = Field(
        False, description="also anisotropy, half-bit, 3-sigma, false discovery rate and Guinier analysis"
    )


class ReconstructSettings(Section):
    """Half maps from the particles, for rounds whose half maps or sums do not exist."""

    when: Literal["never", "missing", "always", "auto"] = Field(
        "auto", description="auto: 'missing' in once, 'never' in watch"
    )
    threads: int = Field(0, ge=0, description="0: all cores")
    block_particles: int = Field(256, ge=1, description="images read and inserted together")
    checkpoint_s: float = Field(300.0, gt=0, description="partial sums are saved this often")


class ClusterSettings(Section):
    """Insertion on many machines."""

    scheduler: str = Field(
        "", description="address of a running Dask scheduler, or 'slurm', 'pbs', 'lsf'; empty: this machine"
    )
    workers: int = Field(4, ge=1)
    cores: int = Field(4, ge=1, description="cores of one worker")
    memory: str = Field("16GB", description="memory of one worker")
    walltime: str = Field("04:00:00")
    queue: str = ""
    account: str = ""


class AuditSettings(Section):
    """Limits of the audit's rules."""

    disagree_shells: float = Field(
        2.0, gt=0, description="mask and sphere, or our curve and the reported one, may differ by this many shells"
    )
    jump_fraction: float = Field(
        0.2, gt=0, description="mask volume or particle number may change by this share between rounds"
    )
    anisotropy_cfar: float = Field(
        0.5, gt=0, le=1, description="below this conical FSC area ratio a map is called anisotropic"
    )
    analyse_at_most: int = Field(
        12, ge=0, description="how many logged rounds, the newest first, one audit analyses further; 0: none"
    )


class NotifySettings(Section):
    """Who is told, and of what; targets are apprise URLs."""

    targets: tuple[str, ...] = ()
    on: tuple[Literal["round", "finding", "failed", "stalled", "finished"], ...] = (
        "finding",
        "failed",
        "stalled",
        "finished",
    )
    metrics_file: str = Field("", description="a Prometheus text file, rewritten after each round")

    @field_serializer("targets")
    def _without_secrets(self, targets: tuple[str, ...]) -> list[str]:
        """The log, and with it the report, names the services; tokens and passwords stay in the user's file."""
        return [f"{target.partition(':')[0]}://..." for target in targets]


class Hook(Section):
    """Something of the user's that runs after each round."""

    call: str = Field("", description="module:function, called with the record")
    command: tuple[str, ...] = Field((), description="program and arguments; gets the record as JSON on standard input")
    timeout_s: float = Field(60.0, gt=0)


class GenericSettings(Section):
    """One or two filename patterns for a program that refine_hooks does not know."""

    half1: str = Field(
        "",
        description="regular expression over paths relative to the project; named groups iteration, class, run, half",
    )
    half2: str = Field("", description="the second half's pattern; not needed where the first has a group named half")
    folders: tuple[str, ...] = Field(
        (".",),
        description="folders that hold the maps, relative to the project, * is a wildcard; nothing below them counts",
    )
    voxel_size_A: float = Field(0.0, ge=0, description="0: from the map's header")
    radius_A: float = Field(0.0, ge=0, description="0: the largest sphere that fits the box")
    molecular_mass_kDa: float = Field(0.0, ge=0, description="0: not known")

    @model_validator(mode="after")
    def _patterns_can_be_used(self) -> "GenericSettings":
        faults = [*_folder_faults(self.folders), *_pattern_faults(self.half1, self.half2)]
        if faults:
            raise ValueError("; ".join(faults))
        return self


def _folder_faults(folders: tuple[str, ...]) -> list[str]:
    wrong = [f for f in folders if not f or f.startswith("/") or ".." in f.split("/") or "**" in f]
    return [f"folders: {folder!r} is not a folder below the project without '..' and '**'" for folder in wrong]


def _pattern_faults(half1: str, half2: str) -> list[str]:
    """All that is wrong with two patterns for half maps."""
    faults, groups = [], {}
    for name, text in (("half1", half1), ("half2", half2)):
        try:
            groups[name] = set(re.compile(text).groupindex)
        except re.error as error:
            faults.append(f"{name}: is no regular expression ({error})")
    for name, found in groups.items():
        unknown = sorted(found - {"iteration", "class", "run", "half"})
        if unknown:
            faults.append(f"{name}: has the group {', '.join(unknown)}; known are iteration, class, run and half")
    one, two = groups.get("half1", set()), groups.get("half2", set())
    if half2 and not half1:
        faults.append("half1: is empty, though half2 is not")
    elif half1 and not half2 and "half1" in groups and "half" not in one:
        faults.append("half1: needs a group half, (?P<half>...), where half2 is empty")
    elif half1 and half2 and len(groups) == 2:
        if "half" in one | two:
            faults.append("half2: must be empty where a group half tells the halves apart")
        if one - {"half"} != two - {"half"}:
            faults.append(
                f"half2: its groups must be those of half1 ({', '.join(sorted(one)) or 'none'}), not {sorted(two)}"
            )
    return faults


class ProgramSettings(Section):
    """What the refinement program does not say, or says wrongly."""

    name: str = Field("", description="the adapter to use when several recognise the directory")
    molecular_mass_kDa: float = Field(0.0, ge=0, description="0: what the program says")
    voxel_size_A: float = Field(
        0.0, ge=0, description="0: what the maps' headers say; read where the program states it nowhere else"
    )


class Settings(Section):
    """All of it."""

    watch: WatchSettings = WatchSettings()
    keep: KeepSettings = KeepSettings()
    sphere: SphereSettings = SphereSettings()
    automask: AutomaskSettings = AutomaskSettings()
    fsc: FscSettings = FscSettings()
    masks: dict[str, str] = Field(
        default_factory=dict, description="name = file: further masks that every round is measured under"
    )
    program: ProgramSettings = ProgramSettings()
    reconstruct: ReconstructSettings = ReconstructSettings()
    cluster: ClusterSettings = ClusterSettings()
    audit: AuditSettings = AuditSettings()
    notify: NotifySettings = NotifySettings()
    hooks: tuple[Hook, ...] = ()
    generic: GenericSettings = GenericSettings()

    @field_validator("masks")
    @classmethod
    def _free_names(cls, masks: dict[str, str]) -> dict[str, str]:
        taken = {"sphere", "automask", "refinement", "unmasked"} & set(masks)
        wrong = sorted(
            taken | {name for name in masks if not name.replace("_", "").isalnum() or name.startswith("reported")}
        )
        if wrong:
            raise ValueError(f"these names cannot be given to a mask: {', '.join(wrong)}")
        return masks


def config_directory() -> Path:
    """The folder of the shipped TOML files: inside an installed wheel, or beside the package in a checkout."""
    here = Path(__file__).resolve().parent
    installed = here / "_config"
    return installed if installed.is_dir() else here.parent / "config"


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        raise SettingsError(
            f"{path}: cannot be read ({error.strerror}); name a readable TOML file with --config"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: is not valid TOML: {error}") from error


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        under = merged.get(name)
        merged[name] = _laid_over(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


def _validated(table: dict[str, Any], source: str) -> Settings:
    try:
        return Settings.model_validate(table)
    except ValidationError as error:
        faults = []
        for fault in error.errors():
            where = ".".join(str(part) for part in fault["loc"])
            what = (
                "is no setting; see config/default.toml for all of them"
                if fault["type"] == "extra_forbidden"
                else fault["msg"].removeprefix("Value error, ")
            )
            faults.append(f"{source}: {where}: {what}")
        raise SettingsError(*faults) from error


def own_table(config: Path | None) -> dict[str, Any]:
    """What the user's TOML file says, checked; masks named by absolute paths. Empty without a file.

    Raises:
        SettingsError: every fault at once, each with the file and the key.
    """
    if config is None:
        return {}
    own = _read_toml(config)
    _validated(own, str(config))
    if "masks" in own:
        own["masks"] = {name: str(config.absolute().parent / file) for name, file in own["masks"].items()}
    return own


def load_settings(
    config: Path | None = None,
    program: str = "",
    overrides: dict[str, Any] | None = None,
    own: dict[str, Any] | None = None,
) -> Settings:
    """Settings for a program: defaults, then ``config/<program>.toml``, then the user's file, then the command line.

    Args:
        config: the user's TOML file.
        program: name of the adapter.
        overrides: nested tables, as the command line's options spell them.
        own: what `own_table` gave for ``config``, where it has been read: a pipe can be read only once.

    Raises:
        SettingsError: every fault at once, each with the file and the key.
    """
    table: dict[str, Any] = {}
    shipped = config_directory() / f"{program}.toml"
    if program and shipped.is_file():
        table = _read_toml(shipped)
        _validated(table, str(shipped))
    table = _laid_over(table, own_table(config) if own is None else own)
    if overrides:
        table = _laid_over(table, overrides)
    return _validated(table, "command line" if overrides else str(config or shipped))


def default_toml() -> str:
    """The text of ``config/default.toml``: every setting with its default and what it means."""
    lines = ["# Every setting of refine_hooks with its default. Copy what you change; unknown keys are refused.", ""]
    for name, info in Settings.model_fields.items():
        default = info.get_default(call_default_factory=True)
        if name == "hooks":
            lines += [
                "# [[hooks]]   # runs after each round; may be given again",
                *(f"# {line}" for line in _table(Hook())),
                "",
            ]
        elif isinstance(default, Section):
            what = (type(default).__doc__ or "").split("\n")[0]
            lines += [f"[{name}]  # {what}", *_table(default), ""]
        else:
            lines += [f"[{name}]  # {info.description}", ""]
    return "\n".join(lines)


def _table(section: Section) -> list[str]:
    lines = []
    for name, info in type(section).model_fields.items():
        value = getattr(section, name)
        text = json.dumps(list(value) if isinstance(value, tuple) else value)
        choices = get_args(info.annotation) if get_origin(info.annotation) is Literal else ()
        what = "; ".join(part for part in (info.description or "", " | ".join(choices)) if part)
        lines.append(f"{name} = {text}{f'  # {what}' if what else ''}")
    return lines
