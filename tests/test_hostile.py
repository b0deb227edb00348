"""Whatever bytes a file holds: a right answer or a clear error, never a crash, a hang, or memory taken on a header's word."""

import ast
import json
import os
import struct
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hostile import TARGETS
from hostile_target import owed
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from refine_hooks.errors import RefineHooksError

QUICK = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
EXTREME = [0, 1, -1, 2, 5, 2**15, 65535, 65536, 10**5, 2**31 - 1, -(2**31), 2**30, 200]
WORDS = [b"nan", b"inf", b"-1", b"1e999", b"9" * 20, b"9" * 400, b"", b"'", b'"', b"\0", b"\xff\xfe", b"loop_\n", b"data_\n",
         b";\n", b"../../../etc/passwd", b"[" * 3000, b"{" * 3000, b"[[[[", b"\n" * 50, b"_", b"#", b"$(id)", b"\r"]  # fmt: skip


@st.composite
def changed(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A good file with a few of the faults that files get: cut, bytes changed, numbers made extreme, words put in."""
    raw = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(raw) - 1, 0)) | st.integers(0, min(max(len(raw) - 1, 0), 300)))
        what = draw(st.sampled_from(["cut", "byte", "number", "float", "word", "repeat", "remove"]))
        if what == "cut":
            del raw[at:]
        elif what == "byte":
            raw[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif what == "number":
            raw[at // 4 * 4 : at // 4 * 4 + 4] = struct.pack("<i", draw(st.sampled_from(EXTREME)))
        elif what == "float":
            raw[at // 4 * 4 : at // 4 * 4 + 4] = struct.pack("<f", draw(st.floats(width=32)))
        elif what == "word":
            raw[at:at] = draw(st.sampled_from(WORDS))
        elif what == "repeat":
            raw[at:at] = raw[at : at + draw(st.integers(1, 200))]
        else:
            del raw[at : at + draw(st.integers(1, 200))]
    return bytes(raw)


@pytest.mark.parametrize("name", TARGETS)
def test_the_good_files_that_the_faults_begin_from_are_read(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    path = tmp_path / f"file{target.ending}"
    answers = 0
    for seed in target.seeds():
        path.write_bytes(seed)
        os.utime(path, ns=(len(seed), len(seed)))
        try:
            answer = target.read(path)
        except RefineHooksError:
            continue
        answers += bool(answer) if isinstance(answer, list | dict | tuple | int | type(None)) else 1
    # A stack that is not beside the table, or an array that is not beside its star, is a fault of the place.
    assert answers > 0 or name in ("relion external", "cistem parameters", "cistem par", "dump"), name


@pytest.mark.parametrize("name", TARGETS)
def test_no_change_of_a_good_file_makes_its_reader_crash_hang_or_grow(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    seeds = target.seeds()
    number = 0

    @QUICK
    @given(raw=changed(seeds))
    def check(raw: bytes) -> None:
        nonlocal number
        number += 1
        path = tmp_path / f"{number}{target.ending}"
        path.write_bytes(raw)
        fault = owed(target.read, path)
        path.unlink()
        assert not fault

    check()


@pytest.mark.parametrize("name", TARGETS)
def test_no_bytes_at_all_make_a_reader_crash_hang_or_grow(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    number = 0

    @settings(QUICK, max_examples=10)
    @given(raw=st.binary(max_size=1500))
    @example(b"")
    @example(b"\0" * 2000)
    @example(b"\xff" * 2000)
    @example(b"[" * 200000)
    @example(b"\n" * 2000)
    def check(raw: bytes) -> None:
        nonlocal number
        number += 1
        path = tmp_path / f"{number}{target.ending}"
        path.write_bytes(raw)
        assert not owed(target.read, path)

    check()


@pytest.mark.parametrize("name", sorted(set(TARGETS) - {"settings"}))  # a shell gives `--config <(...)` as a pipe
@pytest.mark.parametrize("kind", ["a folder", "a pipe", "nothing", "a link in a circle", "a device"])
def test_what_is_no_plain_file_is_never_waited_for(name: str, kind: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    path = tmp_path / f"file{target.ending}"
    if kind == "a folder":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a link in a circle":
        path.symlink_to(path)
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    try:
        target.read(path)
    except RefineHooksError as error:
        assert str(error).strip()


@pytest.mark.parametrize("edge_px", [10**5, 65536, 40000, 2**31 - 1, -5])
@pytest.mark.parametrize("ending", [".dump", ".mrc"])
def test_a_file_of_sixty_bytes_that_claims_a_cube_of_huge_edge_takes_no_memory(
    tmp_path: Path, edge_px: int, ending: str
) -> None:
    name = "dump" if ending == ".dump" else "mrc"
    path = tmp_path / f"claim{ending}"
    if name == "dump":
        path.write_bytes(struct.pack("<7i5f4s2i", *[edge_px] * 6, 100, 1.0, 1.0, 100.0, 30.0, 2.0, b"C1  ", 1, 1))
    else:
        path.write_bytes((struct.pack("<4i", edge_px, edge_px, edge_px, 2) + b"\0" * 44).ljust(1024, b"\0"))
    assert path.stat().st_size in (60, 1024)
    with pytest.raises(RefineHooksError):
        TARGETS[name].read(path)
    assert not owed(TARGETS[name].read, path)


def test_a_table_of_cistem_that_claims_two_thousand_million_rows_takes_no_time(tmp_path: Path) -> None:
    columns = [(1 << 24, 8)]
    path = tmp_path / "claim.cistem"
    path.write_bytes(struct.pack("<2iqb", 1, 2**31 - 1, *columns[0]) + struct.pack("<i", -4) * 8)
    assert not owed(TARGETS["cistem parameters"].read, path)


def test_a_table_of_objects_is_never_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    path = tmp_path / "trap.cs"
    with path.open("wb") as stream:
        np.save(stream, np.array([Trap()], object), allow_pickle=True)
    with pytest.raises(RefineHooksError):
        TARGETS["cryosparc particles"].read(path)
    assert not (tmp_path / "sprung").exists()


FORBIDDEN = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "yaml"}
OWN_BYTES = {"facility/jobs.py": "pickle"}  # reads what it has packed itself in the line before


@cache
def modules() -> dict[str, tuple[set[str], list[tuple[str, ast.Call]]]]:
    """Of each module of the package, what it imports, and its calls with the dotted name of what is called."""
    import refine_hooks

    root = Path(refine_hooks.__file__).parent
    found = {}
    for path in root.rglob("*.py"):
        imports: set[str] = set()
        calls = []
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                calls.append((dotted(node.func), node))
            elif isinstance(node, ast.Import):
                imports |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imports.add(node.module or "")
        found[path.relative_to(root).as_posix()] = imports, calls
    return found


def dotted(node: ast.expr) -> str:
    """A name with its attributes; what an attribute is of counts as ? where it is no name."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def test_no_module_unpickles_evaluates_or_starts_a_shell() -> None:
    faults = []
    for module, (imports, calls) in modules().items():
        banned = FORBIDDEN - {OWN_BYTES.get(module)}
        faults += [f"{module}: imports {name}" for name in imports if name.split(".")[0] in banned]
        for called, node in calls:
            if called in ("eval", "exec", "compile", "__import__", "os.system", "os.popen") or (
                called.startswith("subprocess") and "shell" in {k.arg for k in node.keywords}
            ):
                faults.append(f"{module}:{node.lineno}: {called}")
            if called in ("np.load", "numpy.load"):
                pickles = [ast.unparse(k.value) for k in node.keywords if k.arg == "allow_pickle"]
                if pickles != ["False"]:
                    faults.append(f"{module}:{node.lineno}: {called} without allow_pickle=False")
    assert faults == []


OPENERS = {"open", "open_plain", "read_bytes", "read_text", "fromfile", "mmap", "File", "open_memmap"}
OPENED_BY = {
    "__init__": "the list of names, shipped",
    "kernels/build": "our own sources, the kernel's list of processors",
    "cli/_door": "the standard streams",
    "cli/reconstruct": "opens a project, not a file",
    "log/index": "log, followed",
    "log/copies": "copy of a line",
    "log/orders": "orders",
    "cli/_exec": "the environment of this process",
    "cli/_units": "a file that we write, for a mark in it",
    "facility/worker": "opens a project, not a file",
    "facility/child": "the kernel's account of a process of our own",
    "files/standing_back": "the kernel's account of this process",
    "log/stored": "summaries of a log",
    "watch/log_writer": "the log that this watch writes",
    "guide/__init__": "the pages that are shipped",
    "programs/warp": "warp curve",
    "notify/processes": "the environment of processes of our own",
    "programs/generic": "opens a project, not a file",
    "programs/relion/particles": "opens a project, not a file",
    "programs/scipion": "opens a project, not a file",
    "settings/sources": "settings",
    "testing": "opens a project, not a file",
    "watch/state": "opens a project, not a file",
    "log/file": "log",
    "files/lock": "our own lock file, of which the first line is said",
    "files/atomic": "writes only",
    "files/maps": "the first bytes",
    "files/mrc": "mrc",
    "files/packed": "packed map",
    "watch/products": "a map that was read before, for its hash",
    "particles/cistem": "cistem par",
    "particles/cryosparc": "cryosparc particles",
    "particles/star": "relion particles",
    "particles/stacks": "particle stack",
    "files/reading": "every other reader",
    "files/_hdf_reader": "hdf",
    "programs/_overwritten": "kept pairs",
    "programs/_reading": "every other reader",
    "programs/_saving": "bytes that are copied as they are",
    "programs/_still": "a folder",
    "programs/cistem/database": "cistem database",
    "programs/cistem/dumps": "discarded dumps",
    "programs/cistem/evidence": "cistem parameters, counted",
    "programs/cryodrgn": "cryodrgn curve",
    "programs/cryosparc/halves": "cryosparc curve",
    "programs/cryosparc/job": "cryosparc job",
    "programs/curve_tables": "emclarity curve",
    "programs/dynamo": "dynamo map",
    "programs/eman2/folder": "eman2 settings",
    "programs/eman2/curves": "eman2 curve",
    "files/hdf": "hdf",
    "programs/relion/notes": "relion errors",
    "programs/relion/spool": "discarded arrays",
    "programs/relion/star": "relion star",
    "programs/relion/tables": "relion optimiser",
    "programs/relion/views": "relion views",
    "programs/simple": "simple curve",
    "programs/sphire": "sphire tracker",
    "reconstruct/checkpoint": "checkpoint",
    "report/deposit": "a map that was read before, for its hash",
    "report/kept": "a report as it was written last",
    "report/page": "picture",
    "files/acting": "what is given to its owner",
    "reanalyse/__init__": "analysis",
    "serve/guide": "the pages that are shipped",
    "serve/files": "what is given away as it is",
    "log/folder": "writes only",
    "sums/cistem": "dump",
    "files/file_system": "the kernel's list of mounts",
}


def test_every_module_that_opens_files_is_known_here_and_so_are_its_readers() -> None:
    found = set()
    for module, (_, calls) in modules().items():
        names = {called for called, _ in calls}
        if {name.rpartition(".")[2] for name in names} & OPENERS or names & {
            "np.load",
            "tomllib.load",
            "sqlite3.connect",
        }:
            found.add(module.removesuffix(".py"))
    assert {name for name in found if not name.startswith("demo/")} == set(OPENED_BY)


def test_a_checkpoint_that_cannot_be_used_leaves_the_sums_as_they_were(tmp_path: Path) -> None:
    from refine_hooks.reconstruct import checkpoint

    raw = TARGETS["checkpoint"].seeds()[0]
    damaged = {
        "cut": raw[:-1],
        "done": raw.replace(b'"done": 5', b'"done":"5'),
        "negative": raw.replace(b": 5", b":-5"),
    }
    damaged |= {"other": raw.replace(b"these", b"those"), "wider": raw.replace(b"<f4", b"<f8"), "no row": raw[:200]}
    for name, content in damaged.items():
        assert content != raw
        sums = np.full((2, 2, 2), 7.0, np.float32)
        (tmp_path / name).write_bytes(content)
        assert checkpoint.resume(tmp_path / name, "these", sums) == 0, name
        assert (sums == 7.0).all(), name
    (tmp_path / "good").write_bytes(raw)
    assert checkpoint.resume(tmp_path / "good", "these", sums) == 5
    assert (sums == 1.0).all()


@pytest.mark.parametrize("edge_px", [12000, 100000])
def test_a_picture_that_claims_to_be_huge_is_left_out(tmp_path: Path, edge_px: int) -> None:
    import zlib

    raw = bytearray(TARGETS["picture"].seeds()[0])
    raw[16:24] = struct.pack(">2I", edge_px, edge_px)
    raw[29:33] = struct.pack(">I", zlib.crc32(raw[12:29]))
    path = tmp_path / "huge.png"
    path.write_bytes(raw)
    assert TARGETS["picture"].read(path) == {"pictures": [], "volume": None}
    assert not owed(TARGETS["picture"].read, path)


@pytest.mark.parametrize(
    ("value", "number"),
    [(2, 2.0), (0.5, 0.5), (0, None), (-1, None), (True, None), ("2", None), (10**400, None), (float("inf"), None)],
)
def test_a_number_of_a_table_is_one_that_can_be_reckoned_with(value: object, number: float | None) -> None:
    from refine_hooks.files.reading import positive_number

    assert positive_number(value) == number


def test_tables_with_a_column_twice_or_with_columns_of_two_lengths_are_an_error_or_left_out(tmp_path: Path) -> None:
    twice = tmp_path / "twice.cistem"
    twice.write_bytes(struct.pack("<2i", 2, 1) + struct.pack("<qb", 1, 9) * 2 + struct.pack("<2I", 1, 1))
    with pytest.raises(RefineHooksError, match="a column twice"):
        TARGETS["cistem parameters"].read(twice)
    lengths = tmp_path / "m_fsc.star"
    lengths.write_text("\ndata_\n\nloop_\n_wrpResolution #1\n18\n6\n\nloop_\n_wrpFSCMasked #1\n0.5\n\n")
    assert TARGETS["warp curve"].read(lengths) == []


@pytest.mark.parametrize("what", ["frequency_per_A", "voxels_in_shell", "randomised_sd"])
def test_a_record_with_lists_of_different_lengths_is_no_line_of_the_log(what: str, tmp_path: Path) -> None:
    from refine_hooks.log.file import read_journal

    lines = TARGETS["log"].seeds()[0].splitlines()
    record = json.loads(next(line for line in lines if b'"type":"round"' in line))
    place = next(curve for curve in record["curves"] if curve["randomised_sd"]) if what == "randomised_sd" else record
    place[what] = place[what][:-1]
    (tmp_path / "log").write_text(json.dumps(record) + "\n")
    log = read_journal(tmp_path / "log")
    assert not log.lines
    assert "shells" in log.faults[0]
