"""The projects of programs whose half maps are told apart by names."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from refine_hooks.errors import InputError, NotReadyError
from refine_hooks.files.mrc import read_header
from refine_hooks.model import (
    KEPT_FIRST,
    Fingerprint,
    FscCurve,
    HalfMaps,
    Key,
    ProgramMask,
    Round,
    fingerprint_of,
)
from refine_hooks.programs import _overwritten as overwritten
from refine_hooks.programs._overwritten import Kept
from refine_hooks.programs.adapter import Project
from refine_hooks.programs.names import (
    Kind,
    Numbered,
    Pair,
    at_rest,
    iteration_of,
    not_a_number,
    unequal,
    written_ns,
)
from refine_hooks.programs.pairs_names import Inputs, Names
from refine_hooks.settings import Settings


class PairsProject(Project):
    """A directory whose half maps are found by the names of one program."""

    def __init__(self, directory: Path, settings: Settings, spool: Path, names: Names) -> None:
        super().__init__(directory, settings, spool)
        self.names = names
        self.captures = names.overwritten

    def watched_folders(self) -> Iterable[tuple[Path, bool]]:
        """The folders that hold maps; those above them, too, since each iteration may make a new one."""
        directory = self.directory
        folders = [folder for folder in self.names.folders_in(directory) if folder.is_dir()]
        above = {parent for folder in folders for parent in folder.parents if parent.is_relative_to(directory)}
        return [(folder, False) for folder in dict.fromkeys([directory, *sorted(above), *folders])]

    def why_unused(self, path: Path) -> str | None:
        """Nothing of a pair that a better one of the same round stands for, or of which a copy is measured."""
        name = path.relative_to(self.directory).as_posix()
        found = [match for kind in self.names.kinds for pattern in kind.names if (match := pattern.fullmatch(name))]
        wrong = [fault for match in found if (fault := not_a_number(match, name))]
        if found:
            return wrong[0] if len(wrong) == len(found) else None
        reason = next((why for pattern, why in self.names.unread if pattern.fullmatch(name)), None)
        return reason or super().why_unused(path)

    def reported(self, round_: Round) -> list[FscCurve]:
        """The program's own curves."""
        return self.names.reported(round_)

    def masks(self, round_: Round, halves: HalfMaps) -> dict[str, ProgramMask]:
        """The program's own masks."""
        return self.names.masks(round_, halves)

    # --- keeping what is written over -----------------------------------------------------------------------------------

    def capture(self) -> list[Path]:
        """Copy every pair that is whole and of another iteration than the last.

        Raises:
            StorageError: the spool cannot be written to.
        """
        if not self.names.overwritten:
            return []
        saved = []
        found = self.names.numbered_files(self.directory)
        for pair in self.names.pairs(self.directory):
            if pair.halves is None or not self.names.is_living(pair):
                continue
            folder = overwritten.spool_folder(self.spool, self.names.program, pair.run, pair.class_id)
            numbered = self.names.numbers(found, (pair.run, pair.class_id))
            number = self._iteration_of(pair, numbered, overwritten.kept(folder))
            beside = self.names.beside(pair.halves[0])
            saved += overwritten.keep(
                pair.halves,
                number,
                folder,
                spool=self.spool,
                beside_it=beside,
                whole=_whole,
                keep_free_bytes=self.keep_free_bytes,
            )
        return saved

    def _iteration_of(self, pair: Pair, numbered: Numbered, kept: dict[int, Kept]) -> int | None:
        belongs_to, halves = self.names.belongs_to, pair.halves
        if belongs_to is not None and halves is not None and numbered:
            files = (*halves, *(path for _, path in list(numbered)[-2:]))
            state = tuple((path, written_ns(path)) for path in files)
            return self.memory.of(state, lambda: belongs_to(halves, numbered))
        return None if not numbered and self.names.needs_number(pair) else iteration_of(pair, numbered, kept)

    def discard(self, round_: Round) -> None:
        """Remove what was kept of a round whose half maps are on disk now."""
        inputs: Inputs | None = round_.inputs
        if inputs is not None and inputs.kept is not None:
            overwritten.discard(inputs.kept)

    def _all_kept(self) -> dict[tuple[str, int], dict[int, Kept]]:
        root = self.spool / self.names.program
        found = {}
        for folder in sorted(root.glob("**/class*")):
            number = folder.name.removeprefix("class")
            if number.isdecimal():
                found[folder.parent.relative_to(root).as_posix(), int(number)] = overwritten.kept(folder)
        return found

    # --- rounds ---------------------------------------------------------------------------------------------------------

    def rounds(self) -> Iterator[Round]:
        """Every round and class, oldest first."""
        pairs = self.names.pairs(self.directory)
        for pair in pairs:
            if not self.names.is_living(pair):
                yield self._in_place(pair)
        if not self.names.overwritten:
            return
        living = {(pair.run, pair.class_id): pair for pair in pairs if self.names.is_living(pair)}
        saved = self._all_kept()
        found = self.names.numbered_files(self.directory)
        for key in sorted({*living, *saved, *(found if self.names.curves_of_old else ())}):
            files = self.names.numbers(found, key)
            yield from self._overwritten(key, living.get(key), files, saved.get(key, {}))

    def _overwritten(
        self,
        key: tuple[str, int],
        pair: Pair | None,
        files: Numbered,
        kept: dict[int, Kept],
    ) -> Iterator[Round]:
        """The rounds of one class: those of which only curves are left, those of which copies were kept, the living one."""
        waiting = self._waiting(pair, files, kept) if pair else None
        again = waiting.key.iteration if waiting else None
        if self.names.curves_of_old:
            old = [(number, path) for number, path in files if number not in kept and number != again]
            yield from self._without_halves(key, old)
        for this in kept.values():
            if this.iteration != again:
                yield self._kept(key, this, files)
        if waiting:
            yield waiting

    def _in_place(self, pair: Pair) -> Round:
        """A round whose files stay as they are."""
        beside = tuple(path for half in pair.files.values() for path in self.names.beside(half))
        beside = tuple(path for path in dict.fromkeys(beside) if path.is_file())
        fingerprint = fingerprint_of(self.directory, [*pair.files.values(), *beside])
        plain = self._plain(pair.run, pair.class_id, pair.iteration or 0, fingerprint, pair.state)
        if pair.fault:
            return replace(plain, fault=pair.fault)
        if not self.names.halves(pair):
            return self._curves_only(plain, pair.kind, next(iter(pair.files.values())), beside)
        if pair.halves is None:
            return replace(plain, missing=(pair.other_half,))
        return self._with_halves(plain, Inputs(pair.kind, pair.halves, None, None, beside))

    def _kept(self, key: tuple[str, int], this: Kept, numbered: Numbered) -> Round:
        """A round of which copies were kept."""
        plain = self._plain(*key, this.iteration, Fingerprint(inputs=this.fingerprinted(key[0])))
        kind = self._kind_of(this.files[0].name)
        if this.halves is None:
            return replace(plain, inputs=Inputs(kind, None, None, None, kept=this))
        beside = [path for file in this.files[2:] if (path := this.file(file.name)) is not None]
        if self.names.curves_of_old and numbered:
            beside = [path for path in self.names.beside(numbered[-1][1]) if path.is_file()]
        return self._with_halves(plain, Inputs(kind, this.halves, None, None, tuple(beside), this))

    def _kind_of(self, name: str) -> Kind:
        places = [
            (folder / name).relative_to(self.directory).as_posix() for folder in self.names.folders_in(self.directory)
        ]
        return next(
            (k for k in self.names.kinds if any(p.fullmatch(place) for p in k.names for place in places)),
            self.names.kinds[0],
        )

    def _waiting(self, pair: Pair, numbered: Numbered, kept: dict[int, Kept]) -> Round | None:
        """The round of a pair that is not kept yet: it is not measured where it is, since it may be written over meanwhile."""
        fingerprint = fingerprint_of(self.directory, pair.files.values())
        states = {(file.name.rpartition("/")[2], file.size, file.mtime_ns) for file in fingerprint.inputs}
        if any({(f.name, f.size, f.mtime_ns) for f in this.files[:2]} == states for this in kept.values()):
            return None
        number = self._iteration_of(pair, numbered, kept)
        known = max([*kept, *(n for n, _ in numbered)], default=0)
        plain = self._plain(pair.run, pair.class_id, known + 1 if number is None else number, fingerprint)
        plain = replace(plain, inputs=Inputs(pair.kind, pair.halves, None, None), fault=pair.fault)
        if pair.fault:
            return plain
        if pair.halves is None:
            return replace(plain, missing=(pair.other_half,))
        torn = tuple(path.name for path in pair.halves if not _whole(path))
        if torn:
            return replace(plain, missing=tuple(f"the rest of {name}" for name in torn))
        return replace(plain, missing=(KEPT_FIRST if number is not None else "a file that tells its iteration",))

    def _without_halves(self, key: tuple[str, int], files: Numbered) -> Iterator[Round]:
        """Iterations of which only the program's curves are left."""
        for number, path in files:
            beside = tuple(each for each in self.names.beside(path) if each.is_file())
            plain = self._plain(*key, number, fingerprint_of(self.directory, [path]))
            round_ = self._curves_only(plain, self.names.kinds[0], path, beside)
            if round_.missing or round_.fault or self.names.reported(round_):
                yield round_

    def _curves_only(self, plain: Round, kind: Kind, path: Path, beside: tuple[Path, ...]) -> Round:
        """A round without half maps; the map at ``path`` tells its box."""
        try:
            header = kind.header(path)
        except NotReadyError as error:
            return replace(plain, missing=error.faults)
        except InputError as error:
            return replace(plain, fault=str(error))
        voxel_size_A = self.settings.program.voxel_size_A or header.voxel_size_A[0] or None
        facts = replace(plain.facts, voxel_size_A=voxel_size_A)
        return replace(plain, facts=facts, inputs=Inputs(kind, None, header.nx, voxel_size_A, beside))

    def _plain(self, run: str, class_id: int, iteration: int, fingerprint: Fingerprint, state: str = "") -> Round:
        label = state or f"it{iteration:03d}"
        return Round(
            Key(run=run, iteration=iteration, class_id=class_id),
            self.names.program,
            label,
            fingerprint,
            self.names.facts,
        )

    def _with_halves(self, plain: Round, inputs: Inputs) -> Round:
        """The round with what its maps' headers say: their box and voxel size, what is not whole, what is wrong."""
        halves = inputs.halves
        assert halves is not None
        try:
            headers = [inputs.kind.header(path) for path in halves]
        except NotReadyError as error:
            return replace(plain, missing=error.faults, inputs=inputs)
        except InputError as error:
            return replace(plain, fault=str(error), inputs=inputs)
        given_A = self.settings.program.voxel_size_A or self.names.facts.voxel_size_A
        fault = unequal(halves, headers, given_A)
        voxel_size_A = given_A or headers[0].voxel_size_A[0] or None
        notes = plain.facts.notes
        if not given_A and voxel_size_A is not None and voxel_size_A == self.names.default_voxel_A:
            notes = (
                *notes,
                f"the header states {voxel_size_A:g} A, as {self.names.program} writes it where no pixel size was given: if it "
                "is wrong, so is every number here; give the true one: voxel_size_A in [program]",
            )
        return replace(
            plain,
            fingerprint=_with_voxel_size(plain.fingerprint, given_A),
            facts=replace(plain.facts, voxel_size_A=voxel_size_A, notes=notes),
            fault=fault,
            complete=fault is None and (inputs.kept is not None or at_rest(halves, self.settings.watch.settle_s)),
            inputs=replace(inputs, box_px=headers[0].nx, voxel_size_A=voxel_size_A),
        )

    def half_maps(self, round_: Round) -> HalfMaps | None:
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
        stays = inputs.kept is None and kind.header is read_header and not kind.removed
        return HalfMaps(
            one,
            two,
            kind.origin,
            paths=inputs.halves if stays else None,
            masked=kind.masked,
            masked_by=kind.masked_by,
            independence=kind.independence,
            valid_shells=kind.valid_shells(one.box_px) if kind.valid_shells else None,
            notes=kind.notes,
        )


def _with_voxel_size(fingerprint: Fingerprint, voxel_size_A: float | None) -> Fingerprint:
    """A round is measured again where another voxel size is given for it."""
    return (
        fingerprint.model_copy(update={"revision": f"voxel size {voxel_size_A:g} A"}) if voxel_size_A else fingerprint
    )


def _whole(path: Path) -> bool:
    if path.suffix == ".mrc":
        return overwritten.whole_mrc(path)
    try:
        return path.stat().st_size > 0
    except OSError:
        return False
