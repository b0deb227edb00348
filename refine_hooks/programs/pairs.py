"""Programs that write each pair of half maps as two MRC files in a few folders, told apart by their names: an adapter in one value.

`Kind` says how the files are called and what the maps are, `Pairs` the rest; it has all functions of an adapter.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from refine_hooks.errors import InputError, NotReadyError, RefineHooksError
from refine_hooks.files.mrc import read_header, read_map
from refine_hooks.log.folder import Store
from refine_hooks.model import KEPT_FIRST, Facts, FscCurve, HalfMaps, Key, Origin, ProgramMask, Round, Stamp
from refine_hooks.programs import _overwritten as overwritten
from refine_hooks.programs import adapter
from refine_hooks.programs._overwritten import Kept
from refine_hooks.programs.adapter import stamp_of
from refine_hooks.programs.names import Kind, Numbered, Pair, at_rest, iteration_of, key_of, pairs_in, unequal
from refine_hooks.settings import Settings


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is needed to find a round's half maps again; ``beside`` are the program's own files that belong to it."""

    kind: Kind
    halves: tuple[Path, Path] | None
    box_px: int | None
    voxel_size_A: float | None
    beside: tuple[Path, ...] = ()
    kept: Kept | None = None

    @property
    def origin(self) -> Origin | None:
        """Where the half maps come from."""
        return None if self.halves is None else self.kind.origin

    def file(self, ending: str) -> Path | None:
        """The file beside the halves whose name ends so, if it is there."""
        return next((path for path in self.beside if path.name.endswith(ending) and path.is_file()), None)


_ALL = ("run", 1)  # what names without a run and a class are of


@dataclass(frozen=True, slots=True)
class Pairs:
    """An adapter made of names.

    Attributes:
        program: its name.
        marks: wildcards below the project, any of which marks it as this program's.
        folders: wildcards for the folders that hold the files; nothing below these is looked at.
        kinds: the best first.
        overwritten: the program writes pairs whose names carry no number over the last ones: copies are kept.
        numbered: names of files that carry the iteration of such a pair; of all pairs, where they name no run.
        beside: the program's own files that belong to a pair (curves, masks), whether they are there or not.
        curves_of_old: the program keeps curves of iterations whose half maps it has written over.
        halves: whether a pair is one of half maps at all, and not of two classes.
        facts: what is known of every round.
        configured: see `refine_hooks.programs.adapter.Adapter`.
    """

    program: str
    marks: tuple[str, ...]
    folders: tuple[str, ...]
    kinds: tuple[Kind, ...]
    overwritten: bool = False
    numbered: re.Pattern[str] | None = None
    beside: Callable[[Path], tuple[Path, ...]] = lambda half: ()
    curves_of_old: bool = False
    halves: Callable[[Pair], bool] = lambda pair: True
    facts: Facts = field(default_factory=Facts)
    reported: Callable[[Path, Round], list[FscCurve]] = adapter.nothing_reported
    refinement_mask: Callable[[Path, Round, HalfMaps], ProgramMask | None] = adapter.no_mask_of_its_own
    configured: Callable[[Settings], adapter.Adapter] | None = None
    further_masks = staticmethod(adapter.no_further_masks)
    particles = staticmethod(adapter.no_particles)
    angular_distribution = staticmethod(adapter.no_angular_distribution)

    def recognises(self, directory: Path) -> bool:
        """Whether one of its marks is there."""
        return any(next(directory.glob(mark), None) is not None for mark in self.marks)

    def why(self, directory: Path) -> str:
        """The marks that are there, or all that were looked for."""
        found = [min(directory.glob(mark), default=None) for mark in self.marks]
        seen = ", ".join(str(path.relative_to(directory)) for path in found if path is not None)
        return seen or (f"no {' nor '.join(self.marks)}" if self.marks else "known only by a settings file's [generic]")

    def bells(self, directory: Path) -> Iterable[tuple[Path, bool]]:
        """The folders that hold maps; those above them, too, since each iteration may make a new one."""
        folders = [folder for folder in self._folders(directory) if folder.is_dir()]
        above = {parent for folder in folders for parent in folder.parents if parent.is_relative_to(directory)}
        return [(folder, False) for folder in dict.fromkeys([directory, *sorted(above), *folders])]

    @property
    def captures(self) -> bool:
        """Whether anything is ever kept."""
        return self.overwritten

    # --- what is on disk ------------------------------------------------------------------------------------------------

    def _folders(self, directory: Path) -> list[Path]:
        found = []
        for wildcard in self.folders:
            found += [directory] if wildcard == "." else sorted(directory.glob(wildcard))
        return list(dict.fromkeys(found))

    def _names(self, directory: Path) -> Iterator[str]:
        for folder in self._folders(directory):
            try:
                names = sorted(entry.name for entry in folder.iterdir())
            except OSError:
                continue
            yield from ((folder / name).relative_to(directory).as_posix() for name in names)

    def _pairs(self, directory: Path) -> list[Pair]:
        return pairs_in(directory, self._names(directory), self.kinds)

    def _is_living(self, pair: Pair) -> bool:
        """Whether the program will write over this pair."""
        return self.overwritten and pair.iteration is None

    def _numbered_files(self, directory: Path) -> dict[tuple[str, int], list[tuple[int, Path]]]:
        found: dict[tuple[str, int], list[tuple[int, Path]]] = {}
        for name in self._names(directory) if self.numbered else ():
            match = self.numbered.fullmatch(name) if self.numbered else None
            if match:
                run, class_id, number, _ = key_of(match, name)
                found.setdefault((run, class_id), []).append((number or 0, directory / name))
        return {key: sorted(files) for key, files in found.items()}

    def _numbers(self, found: dict[tuple[str, int], list[tuple[int, Path]]], key: tuple[str, int]) -> Numbered:
        """The numbered files of one class of one run; where their names tell no run, they are everybody's."""
        everybody_s = self.numbered is not None and "run" not in self.numbered.groupindex
        return found.get(_ALL if everybody_s else key, ())

    # --- keeping what is written over -----------------------------------------------------------------------------------

    def capture(self, directory: Path, spool: Path) -> list[Path]:
        """Copy every pair that is whole and of another iteration than the last.

        Raises:
            StorageError: the spool cannot be written to.
        """
        if not self.overwritten:
            return []
        saved = []
        found = self._numbered_files(directory)
        for pair in self._pairs(directory):
            if pair.halves is None or not self._is_living(pair):
                continue
            folder = overwritten.spool_folder(spool, self.program, pair.run, pair.class_id)
            numbered = self._numbers(found, (pair.run, pair.class_id))
            number = iteration_of(pair, numbered, overwritten.kept(folder))
            beside = self.beside(pair.halves[0])
            saved += overwritten.keep(pair.halves, number, folder, beside_it=beside, whole=_whole)
        return saved

    def discard(self, round_: Round, spool: Path) -> None:
        """Remove what was kept of a round whose half maps are on disk now."""
        inputs: Inputs | None = round_.inputs
        if inputs is not None and inputs.kept is not None:
            overwritten.discard(inputs.kept)

    def _all_kept(self, spool: Path) -> dict[tuple[str, int], dict[int, Kept]]:
        root = spool / self.program
        found = {}
        for folder in sorted(root.glob("**/class*")):
            number = folder.name.removeprefix("class")
            if number.isdecimal():
                found[folder.parent.relative_to(root).as_posix(), int(number)] = overwritten.kept(folder)
        return found

    # --- rounds ---------------------------------------------------------------------------------------------------------

    def rounds(self, directory: Path, settings: Settings, store: Store) -> Iterator[Round]:
        """Every round and class, oldest first."""
        pairs = self._pairs(directory)
        for pair in pairs:
            if not self._is_living(pair):
                yield self._in_place(directory, pair, settings)
        if not self.overwritten:
            return
        living = {(pair.run, pair.class_id): pair for pair in pairs if self._is_living(pair)}
        saved = self._all_kept(store.spool)
        found = self._numbered_files(directory)
        for key in sorted({*living, *saved, *(found if self.curves_of_old else ())}):
            files = self._numbers(found, key)
            yield from self._overwritten(directory, key, living.get(key), files, saved.get(key, {}), settings)

    def _overwritten(
        self,
        directory: Path,
        key: tuple[str, int],
        pair: Pair | None,
        files: Numbered,
        kept: dict[int, Kept],
        settings: Settings,
    ) -> Iterator[Round]:
        """The rounds of one class: those of which only curves are left, those of which copies were kept, the living one."""
        waiting = self._waiting(directory, pair, files, kept) if pair else None
        again = waiting.key.iteration if waiting else None
        if self.curves_of_old:
            old = [(number, path) for number, path in files if number not in kept and number != again]
            yield from self._without_halves(directory, key, old, settings)
        for this in kept.values():
            if this.iteration != again:
                yield self._kept(directory, key, this, files, settings)
        if waiting:
            yield waiting

    def _in_place(self, directory: Path, pair: Pair, settings: Settings) -> Round:
        """A round whose files stay as they are."""
        beside = tuple(path for half in pair.files.values() for path in self.beside(half))
        beside = tuple(path for path in dict.fromkeys(beside) if path.is_file())
        stamp = stamp_of(directory, [*pair.files.values(), *beside])
        plain = self._plain(pair.run, pair.class_id, pair.iteration or 0, stamp, pair.state)
        if len(pair.files) > 2:
            names = ", ".join(sorted(path.name for path in pair.files.values()))
            return replace(plain, fault=f"more than two half maps of one round: {names}")
        if not self.halves(pair):
            return self._curves_only(plain, pair.kind, next(iter(pair.files.values())), beside, settings)
        if pair.halves is None:
            return replace(plain, missing=(pair.other_half,))
        return self._with_halves(plain, Inputs(pair.kind, pair.halves, None, None, beside), settings)

    def _kept(self, directory: Path, key: tuple[str, int], this: Kept, numbered: Numbered, settings: Settings) -> Round:
        """A round of which copies were kept."""
        plain = self._plain(*key, this.iteration, Stamp(inputs=this.stamped(key[0])))
        kind = self._kind_of(directory, this.files[0].name)
        if this.halves is None:
            return replace(plain, inputs=Inputs(kind, None, None, None, kept=this))
        beside = [path for file in this.files[2:] if (path := this.file(file.name)) is not None]
        if self.curves_of_old and numbered:
            beside = [path for path in self.beside(numbered[-1][1]) if path.is_file()]
        return self._with_halves(plain, Inputs(kind, this.halves, None, None, tuple(beside), this), settings)

    def _kind_of(self, directory: Path, name: str) -> Kind:
        places = [(folder / name).relative_to(directory).as_posix() for folder in self._folders(directory)]
        return next(
            (k for k in self.kinds if any(p.fullmatch(place) for p in k.names for place in places)), self.kinds[0]
        )

    def _waiting(self, directory: Path, pair: Pair, numbered: Numbered, kept: dict[int, Kept]) -> Round | None:
        """The round of a pair that is not kept yet: it is not measured where it is, since it may be written over meanwhile."""
        stamp = stamp_of(directory, pair.files.values())
        states = {(file.name.rpartition("/")[2], file.size, file.mtime_ns) for file in stamp.inputs}
        if any({(f.name, f.size, f.mtime_ns) for f in this.files[:2]} == states for this in kept.values()):
            return None
        number = iteration_of(pair, numbered, kept)
        known = max([*kept, *(n for n, _ in numbered)], default=0)
        plain = self._plain(pair.run, pair.class_id, known + 1 if number is None else number, stamp)
        plain = replace(plain, inputs=Inputs(pair.kind, pair.halves, None, None))
        if pair.halves is None:
            return replace(plain, missing=(pair.other_half,))
        torn = tuple(path.name for path in pair.halves if not _whole(path))
        if torn:
            return replace(plain, missing=tuple(f"the rest of {name}" for name in torn))
        return replace(plain, missing=(KEPT_FIRST if number is not None else "a file that tells its iteration",))

    def _without_halves(
        self, directory: Path, key: tuple[str, int], files: Numbered, settings: Settings
    ) -> Iterator[Round]:
        """Iterations of which only the program's curves are left."""
        for number, path in files:
            beside = tuple(each for each in self.beside(path) if each.is_file())
            plain = self._plain(*key, number, stamp_of(directory, [path]))
            round_ = self._curves_only(plain, self.kinds[0], path, beside, settings)
            if round_.missing or round_.fault or self.reported(directory, round_):
                yield round_

    def _curves_only(self, plain: Round, kind: Kind, path: Path, beside: tuple[Path, ...], settings: Settings) -> Round:
        """A round without half maps; the map at ``path`` tells its box."""
        try:
            header = kind.header(path)
        except NotReadyError as error:
            return replace(plain, missing=error.faults)
        except InputError as error:
            return replace(plain, fault=str(error))
        voxel_size_A = settings.program.voxel_size_A or header.voxel_size_A[0] or None
        facts = replace(plain.facts, voxel_size_A=voxel_size_A)
        return replace(plain, facts=facts, inputs=Inputs(kind, None, header.nx, voxel_size_A, beside))

    def _plain(self, run: str, class_id: int, iteration: int, stamp: Stamp, state: str = "") -> Round:
        label = state or f"it{iteration:03d}"
        return Round(Key(run=run, iteration=iteration, class_id=class_id), self.program, label, stamp, self.facts)

    def _with_halves(self, plain: Round, inputs: Inputs, settings: Settings) -> Round:
        """The round with what its maps' headers say: their box and voxel size, what is not whole, what is wrong."""
        halves = inputs.halves
        assert halves is not None
        try:
            headers = [inputs.kind.header(path) for path in halves]
        except NotReadyError as error:
            return replace(plain, missing=error.faults, inputs=inputs)
        except InputError as error:
            return replace(plain, fault=str(error), inputs=inputs)
        given_A = settings.program.voxel_size_A or self.facts.voxel_size_A
        fault = unequal(halves, headers, given_A)
        voxel_size_A = given_A or headers[0].voxel_size_A[0] or None
        return replace(
            plain,
            stamp=_with_voxel_size(plain.stamp, given_A),
            facts=replace(plain.facts, voxel_size_A=voxel_size_A),
            fault=fault,
            complete=fault is None and (inputs.kept is not None or at_rest(halves, settings.watch.settle_s)),
            inputs=replace(inputs, box_px=headers[0].nx, voxel_size_A=voxel_size_A),
        )

    def half_maps(self, directory: Path, round_: Round, store: Store) -> HalfMaps | None:
        """The two maps as they are on disk; copies that were kept get files of their own.

        Raises:
            NotReadyError: they are being written at this moment.
            MapError: they cannot be used.
        """
        inputs: Inputs = round_.inputs
        if inputs.halves is None:
            return None
        kind = inputs.kind
        one, two = (kind.read(path, inputs.voxel_size_A) for path in inputs.halves)
        stays = inputs.kept is None and kind.header is read_header
        return HalfMaps(
            one,
            two,
            kind.origin,
            paths=inputs.halves if stays else None,
            masked_by=kind.masked_by,
            valid_shells=kind.valid_shells(one.box_px) if kind.valid_shells else None,
            notes=kind.notes,
        )


def _with_voxel_size(stamp: Stamp, voxel_size_A: float | None) -> Stamp:
    """A round is measured again where another voxel size is given for it."""
    return stamp.model_copy(update={"revision": f"voxel size {voxel_size_A:g} A"}) if voxel_size_A else stamp


def mask_called(ending: str) -> Callable[[Path, Round, HalfMaps], ProgramMask | None]:
    """`Adapter.refinement_mask` for a program whose mask lies beside its half maps under a name that ends so."""

    def refinement_mask(directory: Path, round_: Round, halves: HalfMaps) -> ProgramMask | None:
        inputs: Inputs = round_.inputs
        path = inputs.file(ending)
        if path is None:
            return None
        parameters = {"source": f"{round_.program}'s mask of this round", "file": path.name}
        try:
            mask = read_map(path, inputs.voxel_size_A)
        except RefineHooksError as error:
            return ProgramMask(None, None, parameters, f"not used: {error}")
        return ProgramMask(mask, None if inputs.kept else path, parameters)

    return refinement_mask


def _whole(path: Path) -> bool:
    if path.suffix == ".mrc":
        return overwritten.whole_mrc(path)
    try:
        return path.stat().st_size > 0
    except OSError:
        return False
