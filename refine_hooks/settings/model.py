"""All settings, their defaults and limits. One section a concern; ``config/default.toml`` states every default again."""

import hashlib
import re
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator, model_validator

from refine_hooks.settings.patterns import folder_faults, pattern_faults

DAY_S = 86400.0
_RENAMED = {"database_wait_s": "metadata_wait_s", "lock_timeout_s": "database_lock_timeout_s"}
_LARGEST_A = 1e5  # a length; no map is that large
_LARGEST_KDA = 1e7
_LARGEST_COUNT = 1_000_000

_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*")
_PERIODS_S = {"min": 60.0, "h": 3600.0, "d": DAY_S}
_PERIOD = re.compile(r"([1-9]\d{0,5}) ?(min|h|d)")
_HOURS = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d-(?:[01]\d|2[0-3]):[0-5]\d")
_LONGEST_SCHEME = 24  # a longer one may be a token that was taken for an address


def with_new_names(table: dict[str, Any]) -> dict[str, Any]:
    """A table of settings with today's names; where an old and a new one are there, the new one counts."""
    old = {_RENAMED[name]: value for name, value in table.items() if name in _RENAMED}
    return {**old, **{name: value for name, value in table.items() if name not in _RENAMED}} if old else table


class Section(BaseModel):
    """A table of the TOML: frozen, unknown keys are faults."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class WatchSettings(Section):
    """When to look."""

    poll_s: float = Field(
        5.0, gt=0, le=DAY_S, description="the disk is looked at this often, whatever the file system reports"
    )
    settle_s: float = Field(
        2.0, ge=0, le=DAY_S, description="inputs that cannot prove that they are complete must stay unchanged this long"
    )
    force_poll: bool = Field(False, description="never rely on the file system's own events")
    metadata_wait_s: float = Field(
        60.0,
        ge=0,
        le=30 * DAY_S,
        description="how long sums wait for the program's own entry before they are measured without",
    )
    database_lock_timeout_s: float = Field(
        30.0,
        gt=0,
        le=DAY_S,
        description="'once' waits this long for a locked database; a lock older than this counts as left behind",
    )
    stalled_after_s: float = Field(
        86400.0, gt=0, le=3650 * DAY_S, description="no new round for this long counts as a stalled watch"
    )
    workers: int = Field(
        0, ge=0, le=4096, description="of many projects: rounds that are measured at once; 0: half the cores"
    )
    memory_GB: float = Field(
        0.0,
        ge=0,
        le=1e6,
        description="of many projects: memory for all measurements together; 0: half of the machine's",
    )
    search_s: float = Field(
        60.0, gt=0, le=DAY_S, description="with --all: patterns are looked through for new projects this often"
    )
    depth: int = Field(2, ge=0, le=100, description="with --all: how many folders below a pattern's are looked into")
    metadata_per_s: float = Field(
        0.0,
        ge=0,
        le=1e6,
        description="of many projects: the most calls a second for metadata that all looks together make; 0: no limit",
    )
    ignore: tuple[str, ...] = Field(
        (), description="with --all: names or whole paths that are no projects; * and ? are wildcards"
    )

    @model_validator(mode="before")
    @classmethod
    def _old_names(cls, table: Any) -> Any:
        """Names of before are still read; the new one counts where both are there."""
        return with_new_names(table) if isinstance(table, dict) else table


class KeepSettings(Section):
    """What stays on disk; the log itself always stays."""

    half_maps: Literal["all", "last", "every", "flagged"] = Field(
        "all", description="which rounds keep their half maps and masks"
    )
    last: int = Field(5, ge=1, le=_LARGEST_COUNT, description="how many rounds of each run and class stay with 'last'")
    every: int = Field(
        5, ge=1, le=_LARGEST_COUNT, description="every n-th round stays with 'every'; the newest always stays"
    )
    days: float = Field(
        0.0, ge=0, le=36500, description="maps of rounds that were measured longer ago go under every rule; 0: never"
    )
    most_GB: float = Field(
        0.0,
        ge=0,
        le=1e9,
        description="room for the maps of a project; the oldest go, never the newest round's; 0: no limit",
    )
    sums: bool = Field(False, description="keep captured sums after their half maps are written")
    min_free_GB: float = Field(2.0, ge=0, le=1e9, description="writing pauses while less than this is free")


class FilesSettings(Section):
    """Who may read what is written."""

    umask: str = Field("", description="rights that new files do not have, as 027; empty: those of the process")
    owner: Literal["", "project"] = Field(
        "", description="project: what root writes for another user's project belongs to them; empty: to who watches"
    )
    group: str = Field("", description="group of the output folder and of all that is written there from then on")

    @field_validator("umask")
    @classmethod
    def _octal(cls, text: str) -> str:
        if text and not re.fullmatch("0?[0-7]{3}", text):
            raise ValueError(f"{text!r} is no umask; write 027")
        return text


class SphereSettings(Section):
    """The spherical mask."""

    radius_A: float = Field(
        0.0,
        ge=0,
        le=_LARGEST_A,
        description="0: the refinement program's own radius, else the largest that fits the box",
    )
    edge_A: float = Field(10.0, ge=0, le=_LARGEST_A, description="width of the cosine edge, centred on the radius")


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
        5, ge=2, le=1000, description="independent randomisations; their spread is the error of the randomised FSC"
    )
    seed: int = Field(
        20130135,
        ge=0,
        le=2**53,
        description="seed of the random phases that the spread of the phase-randomised FSC is from; its mean takes none",
    )
    full: bool = Field(
        False, description="also anisotropy, half-bit, 3-sigma, false discovery rate and Guinier analysis"
    )


class AnalysisSettings(Section):
    """What is measured of a round beyond its curves."""

    local: Literal["never", "newest", "all"] = Field(
        "newest",
        description="local resolution: of the newest round of each run and class, once no other waits to be measured, or of all",
    )


class ReconstructSettings(Section):
    """Half maps from the particles, for rounds whose half maps or sums do not exist."""

    when: Literal["never", "missing", "always", "auto"] = Field(
        "auto", description="auto: 'missing' in once, 'never' in watch"
    )
    threads: int = Field(0, ge=0, le=4096, description="0: all cores")
    block_particles: int = Field(512, ge=1, le=_LARGEST_COUNT, description="images inserted together")
    checkpoint_s: float = Field(300.0, gt=0, le=30 * DAY_S, description="partial sums are saved this often")
    subsets: bool = Field(
        False, description="also from halves, quarters and eighths of the particles: what more of them would give"
    )
    substitute_from_A: float = Field(
        0.0, ge=0, le=1000, description="also with random phases of the images beyond this resolution; 0: not"
    )


class ClusterSettings(Section):
    """Insertion on many machines."""

    scheduler: str = Field(
        "", description="address of a running Dask scheduler, or 'slurm', 'pbs', 'lsf'; empty: this machine"
    )
    workers: int = Field(4, ge=1, le=100_000)
    cores: int = Field(4, ge=1, le=4096, description="cores of one worker")
    memory: str = Field("16GB", description="memory of one worker")
    walltime: str = Field("04:00:00")
    queue: str = ""
    account: str = ""


class AuditSettings(Section):
    """Limits of the audit's rules."""

    disagree_shells: float = Field(
        2.0,
        gt=0,
        le=1e5,
        description="mask and sphere, or our curve and the reported one, may differ by this many shells",
    )
    jump_fraction: float = Field(
        0.2, gt=0, le=1e5, description="mask volume or particle number may change by this share between rounds"
    )
    anisotropy_cfar: float = Field(
        0.5, gt=0, le=1, description="below this conical FSC area ratio a map is called anisotropic"
    )
    analyse_at_most: int = Field(
        12,
        ge=0,
        le=_LARGEST_COUNT,
        description="how many logged rounds, the newest first, one audit analyses further; 0: none",
    )


class NotifySettings(Section):
    """Who gets messages, and of what; targets are apprise URLs."""

    targets: tuple[str, ...] = ()
    on: tuple[Literal["round", "finding", "failed", "stalled", "finished"], ...] = (
        "finding",
        "failed",
        "stalled",
        "finished",
    )
    metrics_file: str = Field("", description="a Prometheus text file, rewritten after each round")
    timeout_s: float = Field(30.0, gt=0, le=3600, description="a message that has not arrived by then is given up")
    every: str = Field(
        "",
        description="messages on rounds and findings are sent together so often, as 30min, 1h or 1d; empty: each at once",
    )
    quiet: str = Field("", description="hours without messages, as 22:00-07:00; what came then is sent at their end")
    link: str = Field("", description="address of the live page, for a link in each message")

    @field_validator("every")
    @classmethod
    def _a_period(cls, text: str) -> str:
        if text and not _PERIOD.fullmatch(text):
            raise ValueError(f"{text!r} is no period; write 30min, 1h or 1d")
        return text

    @field_validator("quiet")
    @classmethod
    def _hours(cls, text: str) -> str:
        if text and not _HOURS.fullmatch(text):
            raise ValueError(f"{text!r} are no hours; write 22:00-07:00")
        return text

    @property
    def every_s(self) -> float:
        """``every`` in seconds; 0 for at once."""
        found = _PERIOD.fullmatch(self.every)
        return 0.0 if found is None else float(found[1]) * _PERIODS_S[found[2]]

    def is_quiet(self, now: datetime) -> bool:
        """Whether a moment lies in the quiet hours."""
        begin, _, end = self.quiet.partition("-")
        at = f"{now:%H:%M}"
        return bool(end) and (begin <= at < end if begin <= end else at >= begin or at < end)

    @field_serializer("targets")
    def _without_secrets(self, targets: tuple[str, ...]) -> list[str]:
        """The log, and with it the report, names the services; tokens and passwords stay in the user's file."""
        return [without_secrets(target) for target in targets]


def without_secrets(target: str) -> str:
    """The service of a target and a short hash: what is written down of it, since the rest may hold a password."""
    scheme, separator, _ = target.partition("://")
    known = separator and len(scheme) <= _LONGEST_SCHEME and _SCHEME.fullmatch(scheme)
    return f"{f'{scheme}://...' if known else 'without a scheme'} sha256 {_short_hash(target)}"


def _short_hash(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogateescape")).hexdigest()[:8]


class Hook(Section):
    """Something of the user's that runs after each round."""

    call: str = Field("", description="module:function, called with the record")
    command: tuple[str, ...] = Field((), description="program and arguments; gets the record as JSON on standard input")
    timeout_s: float = Field(60.0, gt=0, le=DAY_S)

    @field_serializer("command")
    def _without_arguments(self, command: tuple[str, ...]) -> list[str]:
        """The log names the program alone: its arguments may hold a token."""
        more = [f"{len(command) - 1} arguments, sha256 {_short_hash(*command[1:])}"] if len(command) > 1 else []
        return [*command[:1], *more]


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
    voxel_size_A: float = Field(0.0, ge=0, le=_LARGEST_A, description="0: from the map's header")
    radius_A: float = Field(0.0, ge=0, le=_LARGEST_A, description="0: the largest sphere that fits the box")
    molecular_mass_kDa: float = Field(0.0, ge=0, le=_LARGEST_KDA, description="0: not known")

    @model_validator(mode="after")
    def _patterns_can_be_used(self) -> "GenericSettings":
        faults = [*folder_faults(self.folders), *pattern_faults(self.half1, self.half2)]
        if faults:
            raise ValueError("; ".join(faults))
        return self


class ProgramSettings(Section):
    """What the refinement program does not say, or says wrongly."""

    name: str = Field("", description="the adapter to use when several recognise the directory")
    molecular_mass_kDa: float = Field(0.0, ge=0, le=_LARGEST_KDA, description="0: what the program says")
    voxel_size_A: float = Field(
        0.0,
        ge=0,
        le=_LARGEST_A,
        description="0: what the maps' headers say; read where the program states it nowhere else",
    )


class Settings(Section):
    """All settings, a table of the TOML file each."""

    watch: WatchSettings = WatchSettings()
    keep: KeepSettings = KeepSettings()
    files: FilesSettings = FilesSettings()
    sphere: SphereSettings = SphereSettings()
    automask: AutomaskSettings = AutomaskSettings()
    fsc: FscSettings = FscSettings()
    analysis: AnalysisSettings = AnalysisSettings()
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
