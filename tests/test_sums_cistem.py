import os
import tracemalloc

import numpy as np
import pytest
from cistem_data import (
    GOLDEN,
    ROUND2,
    golden_dumps,
    golden_halves,
    golden_map,
    random_sums,
    sphere_by_definition,
    sphere_masked,
    unpacked_round2,
    write_dump,
)

from refine_hooks.errors import InputError, NotReadyError, SumsError
from refine_hooks.files.mrc import Map
from refine_hooks.sums import FourierSums, cistem


@pytest.fixture(scope="module")
def round2(tmp_path_factory):
    return unpacked_round2(tmp_path_factory.mktemp("round2"))


def relative(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def test_half_maps_of_a_binned_round_in_chunks_are_those_that_merge3d_made(round2):
    expected = np.load(ROUND2 / "half_maps.npz")
    *maps, images = cistem.half_maps_from_dumps(*round2)
    assert images == (350, 350)
    for number, half in enumerate(maps, 1):
        masked, _ = sphere_masked(half, radius_A=75)
        assert half.voxel_size_A == masked.voxel_size_A == 2.5
        for name, voxels in (("unmasked", half.voxels), ("masked", masked.voxels)):
            assert relative(voxels[1::4, 1::4, 1::4], expected[f"{name}{number}_every_4th"]) < 1e-5
            assert relative(voxels[40], expected[f"{name}{number}_section_40"]) < 1e-5


@pytest.mark.shared
@pytest.mark.parametrize("case", GOLDEN, ids=lambda c: c.name)
def test_half_maps_of_every_golden_round_are_those_that_merge3d_made(case, shared, tmp_path):
    *maps, _ = cistem.half_maps_from_dumps(*golden_dumps(shared, case))
    for half, expected in zip(maps, golden_halves(shared, case, tmp_path), strict=True):
        assert relative(sphere_masked(half, case.radius_A)[0].voxels, expected) < 1e-5


@pytest.mark.shared
@pytest.mark.parametrize("name", ["volume_2_1", "volume_4_1"])
def test_unmasked_half_maps_are_those_of_an_independent_calculation(name, shared, tmp_path):
    case = next(c for c in GOLDEN if c.name == name)
    *maps, _ = cistem.half_maps_from_dumps(*golden_dumps(shared, case))
    for number, half in enumerate(maps, 1):
        path = shared / "golden" / "cistem" / "expected" / "unmasked" / f"{name}_map{number}.mrc"
        assert relative(half.voxels, golden_map(path, tmp_path)) < 1e-6


def map_by_definition(data, weight, box_px):
    """Edges completed, A / (C + 100), then the Fourier sum written out over every coefficient, about the centre of the box."""
    n = data.shape[0]
    frequencies = [k if 2 * k < n else k - n for k in range(n)]
    up = (n - 1) // 2
    quotient = {}
    for kz in frequencies:
        for ky in frequencies:
            for kx in range(n // 2 + 1):
                a, c = complex(data[kz, ky, kx]), float(weight[kz, ky, kx])
                if kx == 0 and ((ky != 0 and abs(ky) <= up and abs(kz) <= up) or (ky == 0 and kz == 0)):
                    a, c = a + complex(data[-kz, -ky, 0]).conjugate(), c + float(weight[-kz, -ky, 0])
                quotient[kz, ky, kx] = a / (c + 100) if c != 0 else 0
    axis = np.arange(box_px) - box_px // 2
    wave = {k: np.exp(2j * np.pi * k * axis / box_px) for k in range(-n, n + 1)}
    voxels = np.zeros((box_px,) * 3)
    for (kz, ky, kx), value in quotient.items():
        both = box_px > n and n % 2 == 0
        times = 1 if kx == 0 or (2 * kx == n and not both) else 2
        for z in {kz, -kz} if both and kz == -n // 2 else {kz}:
            for y in {ky, -ky} if both and ky == -n // 2 else {ky}:
                product = wave[z][:, None, None] * wave[y][:, None] * wave[kx]
                voxels += times * (value * product).real
    return voxels


@pytest.mark.parametrize(("n", "box_px"), [(8, 8), (6, 8), (6, 9), (7, 7)])
def test_half_map_is_the_written_out_fourier_sum(n, box_px):
    data, weight = random_sums(n)
    sums = FourierSums(data, weight, box_px, 1.5)
    found = cistem.half_map(sums)
    assert found.voxel_size_A == 1.5
    assert relative(found.voxels, map_by_definition(data, weight, box_px)) < 1e-5


def in_a_larger_box(small, uncropped_px):
    n = small.shape[0]
    surface = np.ones(small.shape, bool)
    surface[1:-1, 1:-1, 1:-1] = False
    larger = np.full((uncropped_px,) * 3, small[surface].mean())
    start = uncropped_px // 2 - n // 2
    larger[(slice(start, start + n),) * 3] = small
    return larger


def test_half_map_of_cropped_images_lies_in_the_middle_of_the_original_box(tmp_path):
    data, weight = random_sums(6)
    path = write_dump(tmp_path / "odd.dump", data, weight, original_px=10)
    sums, header = cistem.merge_half([path])
    expected = in_a_larger_box(map_by_definition(data, weight, 6), 10)
    assert relative(cistem.half_map(sums, header).voxels, expected) < 1e-5


def test_half_map_of_cropped_and_binned_images_is_padded_in_both_spaces(tmp_path):
    data, weight = random_sums(6)
    path = write_dump(tmp_path / "odd.dump", data, weight, original_px=16, voxel_A=2.0)
    sums, header = cistem.merge_half([path])
    binned = in_a_larger_box(map_by_definition(data, weight, 6), 8)
    transform = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(binned), norm="forward"))
    padded = np.zeros((16,) * 3, complex)
    padded[4:12, 4:12, 4:12] = transform
    padded[12] = padded[4]
    padded[:, 12] = padded[:, 4]
    padded[:, :, 12] = padded[:, :, 4]
    expected = np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(padded), norm="forward")).real
    assert header.last_shell == 4
    assert relative(cistem.half_map(sums, header).voxels, expected) < 1e-5


def test_chunks_add_and_so_do_their_images(tmp_path):
    parts = [random_sums(6, seed) for seed in range(3)]
    paths = [write_dump(tmp_path / f"{i}.dump", *part, images=i + 1) for i, part in enumerate(parts)]
    sums, header = cistem.merge_half(paths)
    np.testing.assert_allclose(sums.data, sum(data for data, _ in parts), rtol=1e-6)
    np.testing.assert_allclose(sums.weight, sum(weight for _, weight in parts), rtol=1e-6)
    assert sums.images == header.images == 6


def test_merging_holds_one_half_and_a_slab_whatever_the_number_of_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(cistem, "_SLAB_BYTES", 1 << 14)
    data, weight = random_sums(32)
    paths = [write_dump(tmp_path / f"{i}.dump", data, weight) for i in range(4)]
    tracemalloc.start()
    cistem.merge_half(paths)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * (data.nbytes + weight.nbytes)


def test_arrays_that_are_done_with_are_filled_anew(tmp_path):
    first, second = (write_dump(tmp_path / f"{seed}.dump", *random_sums(6, seed)) for seed in (1, 2))
    used, header = cistem.merge_half([first])
    cistem.half_map(used, header, use_up=True)
    again, _ = cistem.merge_half([second], room=used)
    assert np.shares_memory(again.data, used.data)
    np.testing.assert_array_equal(again.data, random_sums(6, 2)[0])
    np.testing.assert_array_equal(again.weight, random_sums(6, 2)[1])
    larger, _ = cistem.merge_half([write_dump(tmp_path / "larger.dump", *random_sums(8))], room=used)
    np.testing.assert_array_equal(larger.data, random_sums(8)[0])


def test_every_chunk_is_fetched_from_the_disk_while_the_first_is_still_merged(tmp_path, monkeypatch):
    data, weight = random_sums(6)
    odd, even = (
        [write_dump(tmp_path / f"{half}_{i}.dump", data, weight, half=half) for i in range(2)] for half in (1, 2)
    )
    fetched = []
    monkeypatch.setattr(os, "posix_fadvise", lambda handle, *_: fetched.append(os.readlink(f"/proc/self/fd/{handle}")))
    merge_half = cistem.merge_half

    def merged(paths, room=None):
        assert fetched == [str(path) for path in (*odd, *even)]
        return merge_half(paths, room)

    monkeypatch.setattr(cistem, "merge_half", merged)
    cistem.half_maps_from_dumps(odd, even)


def test_sums_stay_as_they_are_unless_they_may_be_used_up():
    data, weight = random_sums(6)
    sums = FourierSums(data.copy(), weight.copy(), 6, 1.0)
    first = cistem.half_map(sums)
    np.testing.assert_array_equal(sums.data, data)
    np.testing.assert_array_equal(sums.weight, weight)
    np.testing.assert_array_equal(cistem.half_map(sums, use_up=True).voxels, first.voxels)


def test_header_tells_everything_that_the_file_says(tmp_path):
    path = write_dump(
        tmp_path / "a.dump", *random_sums(4), 6, 1.5, 1.0, images=3, score=21.5, symmetry=b"D2  ", half=2, center=2
    )
    header = cistem.read_dump_header(path)
    assert header == cistem.DumpHeader(4, 6, 3, 1.5, 1.0, 100.0, 21.5, 2.0, "D2", 2, True)
    assert header.file_bytes == path.stat().st_size


@pytest.mark.parametrize("size", [0, 59, 60, 61, -1])
def test_a_dump_that_is_still_short_is_not_ready(size, tmp_path):
    path = write_dump(tmp_path / "a.dump", *random_sums(4))
    path.write_bytes(path.read_bytes()[:size])
    for read in (cistem.read_dump_header, lambda p: cistem.merge_half([p])):
        with pytest.raises(NotReadyError, match=r"a\.dump"):
            read(path)


def test_a_header_that_is_all_zeros_is_not_ready(tmp_path):
    (tmp_path / "a.dump").write_bytes(bytes(5000))
    with pytest.raises(NotReadyError, match=r"a\.dump"):
        cistem.read_dump_header(tmp_path / "a.dump")


def with_header(path, offset, raw):
    content = bytearray(path.read_bytes())
    content[offset : offset + len(raw)] = raw
    path.write_bytes(bytes(content))
    return path


@pytest.mark.parametrize(
    ("offset", "raw", "said"),
    [
        (0, b"\xff\xff\xff\x7f" * 6, "box of the arrays"),
        (0, b"\x05\0\0\0", "box of the arrays"),
        (0, b"\xfc\xff\xff\xff" * 3, "box of the arrays"),
        (12, b"\x03\0\0\0" * 3, "original box"),
        (24, b"\xff\xff\xff\xff", "images"),
        (28, b"\0\0\0\0", "voxel sizes"),
        (28, b"\0\0\xc0\x7f", "voxel sizes"),
        (40, b"\0\0\xc0\x7f", "weights"),
        (48, b"\xff\xfe\0\0", "symmetry"),
        (52, b"\x03\0\0\0", "half 3"),
        (56, b"\x09\0\0\0", "centre flag 9"),
    ],
)
def test_numbers_that_no_dump_has_are_refused_with_the_file_s_name(offset, raw, said, tmp_path):
    path = with_header(write_dump(tmp_path / "a.dump", *random_sums(4)), offset, raw)
    with pytest.raises(SumsError, match=rf"a\.dump.*{said}"):
        cistem.read_dump_header(path)


def test_all_faults_of_a_header_are_told_at_once(tmp_path):
    path = write_dump(tmp_path / "a.dump", *random_sums(4), images=-1, half=5)
    with pytest.raises(SumsError, match=r"-1 images; half 5"):
        cistem.read_dump_header(path)


def test_a_dump_that_is_longer_than_its_header_says_is_refused(tmp_path):
    path = write_dump(tmp_path / "a.dump", *random_sums(4))
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(SumsError, match="4 more than its header states"):
        cistem.read_dump_header(path)


@pytest.mark.parametrize(
    "change", [{"score": 31.0}, {"symmetry": b"C2  "}, {"half": 2}, {"occupancy": 60.0}, {"original_px": 8}]
)
def test_chunks_of_different_rounds_are_refused_and_all_named(change, tmp_path):
    paths = [write_dump(tmp_path / "1.dump", *random_sums(4))]
    paths += [write_dump(tmp_path / f"{i}.dump", *random_sums(4), **change) for i in (2, 3)]
    with pytest.raises(SumsError, match=r"2\.dump(.|\n)*3\.dump"):
        cistem.merge_half(paths)


def test_a_chunk_of_another_box_is_refused(tmp_path):
    paths = [write_dump(tmp_path / f"{n}.dump", *random_sums(n), original_px=8) for n in (6, 8)]
    with pytest.raises(SumsError, match=r"8\.dump: does not belong to 6\.dump: box_px 8 instead of 6"):
        cistem.merge_half(paths)


def test_a_missing_chunk_is_named(tmp_path):
    path = write_dump(tmp_path / "1.dump", *random_sums(4))
    with pytest.raises(SumsError, match=r"2\.dump"):
        cistem.merge_half([path, tmp_path / "2.dump"])


def test_half_maps_are_never_made_from_part_of_the_chunks(tmp_path):
    odd = [write_dump(tmp_path / f"odd_{i}.dump", *random_sums(4)) for i in (1, 2)]
    even = [write_dump(tmp_path / "even_1.dump", *random_sums(4), half=2)]
    with pytest.raises(SumsError, match="2 odd and 1 even"):
        cistem.half_maps_from_dumps(odd, even)
    with pytest.raises(SumsError, match="no dump"):
        cistem.half_maps_from_dumps([], [])
    with pytest.raises(SumsError, match="twice"):
        cistem.merge_half([odd[0], odd[0]])


def test_exchanged_halves_and_halves_of_different_rounds_are_refused(tmp_path):
    odd = [write_dump(tmp_path / "odd_1.dump", *random_sums(4))]
    even = [write_dump(tmp_path / "even_1.dump", *random_sums(4), half=2)]
    with pytest.raises(SumsError, match=r"even_1\.dump: holds the even half(.|\n)*odd_1\.dump: holds the odd half"):
        cistem.half_maps_from_dumps(even, odd)
    later = [write_dump(tmp_path / "even_9.dump", *random_sums(4), half=2, score=40.0)]
    with pytest.raises(SumsError, match=r"even_9\.dump: does not belong to odd_1\.dump: average_score"):
        cistem.half_maps_from_dumps(odd, later)


def test_sums_that_are_not_finite_make_no_map():
    data, weight = random_sums(6)
    data[2, 3, 1], weight[2, 3, 1] = np.nan, 1
    with pytest.raises(SumsError, match="1 coefficients that are not finite"):
        cistem.half_map(FourierSums(data, weight, 6, 1.0))


@pytest.mark.parametrize(
    ("n", "radius_A", "hole_A", "edge_A"),
    [(24, 15, 0, 6), (23, 15, 0, 6), (24, 15, 6, 5), (24, 12, 2, 6), (16, 60, 0, 10)],
)
def test_sphere_is_the_one_that_is_written_out(n, radius_A, hole_A, edge_A):
    voxels = (3 + np.random.default_rng(1).standard_normal((n,) * 3)).astype(np.float32)
    masked, squares = sphere_masked(Map(voxels, 2.0), radius_A, hole_A, edge_A)
    expected, volume = sphere_by_definition(voxels, radius_A / 2, hole_A / 2, edge_A / 2)
    np.testing.assert_allclose(masked.voxels, expected, atol=2e-6)
    assert squares == pytest.approx(volume, rel=1e-9)


@pytest.mark.parametrize(
    ("radius_A", "hole_A", "edge_A"), [(0, 0, 10), (-5, 0, 10), (10, 20, 10), (10, 0, 0), (10, -1, 5)]
)
def test_a_sphere_that_is_none_is_refused(radius_A, hole_A, edge_A):
    with pytest.raises(InputError, match="no sphere"):
        sphere_masked(Map(np.zeros((8, 8, 8), np.float32), 1.0), radius_A, hole_A, edge_A)
