"""Compiled loops of insertion; imported only when particles are inserted.

Layout of the sums while they grow: float32 [z, y, x, 4] with real, imaginary, weight and a pad, so that one voxel is one
16-byte vector and two neighbours in x are one half of a cache line; z and y run from -half - 1 to half + 1, x from 0 to
half + 1, which leaves one margin row on every side for neighbours that fall out of the box.

No two threads touch one voxel: a task owns a tile of z and y and walks all particles in order, so the sums do not depend
on the number of threads, not even in their last bit.
"""

# numba compiles these functions by what they are called with; annotations would say nothing to it.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, call-arg, untyped-decorator"

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

# No reassociation: the rounding by _ROUND below and equal results for every tiling rely on the order of operations.
_FAST = {"contract", "nnan", "ninf", "nsz", "arcp"}
_ROUND = 6755399441055744.0  # 1.5 * 2**52: adding and subtracting it rounds a double to an integer
# In points; hides the latency of memory (measured: 0.7 instead of 1.1 ms per particle at box 256).
_LOOK_AHEAD = np.float32(8)

# Least squares on Chebyshev nodes of sin(2 pi t) / (t (1 - 4 t^2)) in t^2 for |t| <= 1/2.
_P0, _P1, _P2, _P3, _P4, _P5 = (
    np.float32(v) for v in (6.28318529, -16.20895571, 16.76915684, -9.62396967, 3.51241571, -0.79040007)
)
_ZERO, _ONE, _FOUR = np.float32(0), np.float32(1), np.float32(4)


@intrinsic
def _spread(typing, sums, at, values, source, sign, left, right):
    """sums[at:at+4] += left * v and sums[at+4:at+8] += right * v, v = values[source:source+4] with its imaginary part * sign."""
    f32 = types.float32
    signature = types.void(sums, types.intp, values, types.intp, f32, f32, f32)

    def build(context, builder, sig, args):
        vector = ir.VectorType(ir.FloatType(), 4)
        lane = ir.IntType(32)

        def pointer(array, kind, index):
            data = context.make_array(kind)(context, builder, array).data
            return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())

        def everywhere(scalar):
            filled = ir.Constant(vector, ir.Undefined)
            for k in range(4):
                filled = builder.insert_element(filled, scalar, ir.Constant(lane, k))
            return filled

        flip = builder.insert_element(ir.Constant(vector, [1.0] * 4), args[4], ir.Constant(lane, 1))
        value = builder.fmul(builder.load(pointer(args[2], sig.args[2], args[3]), align=16), flip)
        for step, weight in ((0, args[5]), (4, args[6])):
            place = pointer(args[0], sig.args[0], builder.add(args[1], ir.Constant(args[1].type, step)))
            product = builder.fmul(value, everywhere(weight), flags=("contract",))
            builder.store(builder.fadd(builder.load(place, align=16), product, flags=("contract",)), place, align=16)
        return context.get_dummy_value()

    return signature, build


@intrinsic
def _prefetch(typing, array, at):
    """Ask for the cache line of array[at], for writing."""
    signature = types.void(array, types.intp)

    def build(context, builder, sig, args):
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        byte, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, i32, i32, i32])
        call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        address = builder.bitcast(builder.gep(data, [args[1]]), byte)
        builder.call(call, [address, ir.Constant(i32, 1), ir.Constant(i32, 3), ir.Constant(i32, 1)])
        return context.get_dummy_value()

    return signature, build


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _ctf_row(ctf, xs, c0, c1, c2, quartic):
    """sin(2 pi t) to 4e-8, t = c0 + c1 x + (c2 - quartic x^2) x^2, as t (1 - 4 t^2) P(t^2), which is zero where the sine is."""
    for x in range(ctf.shape[0]):
        x2 = xs[x] * xs[x]
        turns = c0 + xs[x] * c1 + x2 * (c2 - quartic * x2)
        t = np.float32(turns - ((turns + _ROUND) - _ROUND))
        u = t * t
        ctf[x] = t * (_ONE - _FOUR * u) * (_P0 + u * (_P1 + u * (_P2 + u * (_P3 + u * (_P4 + u * _P5)))))


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _factor_row(factor, weight, ctf, falloff, image_scale, weight_scale, kinds, envelope):
    """What a row of an image is multiplied by, and its weights; an envelope of 0 leaves the weights as they are."""
    k0, k1, k2 = kinds
    for x in range(ctf.shape[0]):
        value = ctf[x]
        factor[x] = image_scale * falloff[x] * (k0 * value + k1 + k2 * abs(value))
        weight[x] = weight_scale * falloff[x] * value * value
    if envelope != _ZERO:
        for x in range(ctf.shape[0]):
            weight[x] *= envelope * falloff[x]


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _weighted_row(row, image, factor, weight, cos_x, sin_x, cos_y, sin_y):
    for x in range(image.shape[0]):
        a = (cos_x[x] * cos_y - sin_x[x] * sin_y) * factor[x]
        b = (sin_x[x] * cos_y + cos_x[x] * sin_y) * factor[x]
        re, im = image[x].real, image[x].imag
        row[x, 0] = re * a - im * b
        row[x, 1] = re * b + im * a
        row[x, 2] = weight[x]
        row[x, 3] = _ZERO


@njit(inline="always")
def _columns_within(furthest, ky, columns):
    """How many coefficients of a row, from kx = 0, are near enough."""
    return int(min(np.sqrt(furthest - ky * ky), columns - 1.0)) + 1


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def weigh(transforms, first_negative, furthest, chi, shift, weight, kind, enveloped, out):
    """Multiply image transforms by shift, CTF and weight, and set the weights beside them.

    The rows' loops stand on their own so that the compiler makes vectors of them: 3 instead of 9 ns a coefficient.

    Args:
        transforms: complex64 [image, ky, kx], kx = 0..n//2.
        first_negative: the first row whose ky is negative; the two programs differ in the Nyquist row of an even box.
        furthest: coefficients with kx^2 + ky^2 above it are left out, and their place in ``out`` as it is.
        chi: float64 [image, 5], the phase of the CTF in turns as a polynomial of (kx, ky) in pixels: coefficients of
            kx^2 + ky^2, kx^2 - ky^2, 2 kx ky, -(kx^2 + ky^2)^2 and 1.
        shift: float64 [image, 2], phase in radians per pixel of kx and of ky.
        weight: float64 [image, 3]: the image is multiplied by w0 exp(w1 k^2), its weight is w2 exp(w1 k^2).
        kind: float64 [image, 3]: the factor of the image is k0 sin + k1 + k2 |sin|, with sin the CTF.
        enveloped: the exponential belongs to the CTF and stands in the weight squared.
        out: float32 [image, ky, kx, 4], filled with real, imaginary, weight, 0.
    """
    n, nh = transforms.shape[1], transforms.shape[2]
    cos_x, sin_x, falloff = np.empty(nh, np.float32), np.empty(nh, np.float32), np.empty(nh, np.float32)
    cos_y, sin_y, xs = np.empty(nh, np.float32), np.empty(nh, np.float32), np.arange(nh) * 1.0
    ctf, factor, weights = np.empty(nh, np.float32), np.empty(nh, np.float32), np.empty(nh, np.float32)
    for p in range(transforms.shape[0]):
        iso, aligned, crossed, quartic, constant = chi[p, 0], chi[p, 1], chi[p, 2], chi[p, 3], chi[p, 4]
        kinds = np.float32(kind[p, 0]), np.float32(kind[p, 1]), np.float32(kind[p, 2])
        w0, w2 = np.float32(weight[p, 0]), np.float32(weight[p, 2])
        for x in range(nh):
            cos_x[x], sin_x[x] = np.cos(shift[p, 0] * x), np.sin(shift[p, 0] * x)
            cos_y[x], sin_y[x] = np.cos(shift[p, 1] * x), np.sin(shift[p, 1] * x)
            falloff[x] = np.exp(weight[p, 1] * x * x)
        for j in range(n):
            y = j if j < first_negative else j - n
            y2, at = np.float64(y * y), abs(y)
            if furthest < y2:
                continue
            end = _columns_within(furthest, y, nh)
            exp_y = falloff[at]
            c0 = constant + (iso - aligned) * y2 - quartic * y2 * y2
            _ctf_row(ctf[:end], xs, c0, 2.0 * crossed * y, iso + aligned - 2.0 * quartic * y2, quartic)
            envelope = exp_y if enveloped else _ZERO
            _factor_row(factor, weights, ctf[:end], falloff, w0 * exp_y, w2 * exp_y, kinds, envelope)
            turn = sin_y[at] if y >= 0 else -sin_y[at]
            _weighted_row(out[p, j], transforms[p, j, :end], factor, weights, cos_x, sin_x, cos_y[at], turn)


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def untilt(transforms, first_negative, tilt):
    """Multiply transforms [image, ky, kx] by exp(2 pi i (kx^2 + ky^2) (tilt_x kx + tilt_y ky) + ...) in place.

    Args:
        transforms: complex64 [image, ky, kx].
        first_negative: as in `weigh`.
        tilt: float64 [image, 4]: turns per pixel^3 along kx and ky, and turns per pixel along kx and ky.
    """
    n, nh = transforms.shape[1], transforms.shape[2]
    for p in range(transforms.shape[0]):
        for j in range(n):
            y = j if j < first_negative else j - n
            image = transforms[p, j]
            for x in range(nh):
                k2 = np.float64(x * x + y * y)
                angle = 2 * np.pi * (k2 * (tilt[p, 0] * x + tilt[p, 1] * y) + tilt[p, 2] * x + tilt[p, 3] * y)
                image[x] *= np.complex64(complex(np.cos(angle), np.sin(angle)))


@njit(inline="always")
def _clipped(slope, offset, low, high, first, last):
    """The part of the integers first..last-1 where low <= slope x + offset < high, with a little to spare on both sides."""
    if abs(slope) < 1e-9:
        if offset < low - 1e-3 or offset >= high + 1e-3:
            return last, last
        return first, last
    u, v = (low - offset) / slope, (high - offset) / slope
    if u > v:
        u, v = v, u
    u, v = max(u - 1.0, np.float64(first)), min(v + 2.0, np.float64(last))
    if v <= u:
        return last, last
    return int(u), int(v)


@njit(inline="always")
def _side(slope, offset, positive, first, last):
    """The part of first..last-1 where slope x + offset >= 0 (positive) or < 0."""
    if abs(slope) < 1e-12:
        return (first, last) if (offset >= 0) == positive else (last, last)
    cut = int(max(min(np.ceil(-offset / slope), 1e6), -1e6))
    if (slope > 0) == positive:
        return max(first, cut), last
    return first, min(last, cut)


@njit(inline="always")
def _stretch(turn, x_line, y_line, z_line, tile, begin, end):
    """The part of kx = begin..end-1 that may fall into a tile; lines are (slope, start) of x, y, z along the row."""
    if turn == 1:
        first, last = _side(-x_line[0], -x_line[1], False, begin, end)
    else:
        first, last = _side(x_line[0], x_line[1], turn == 0, begin, end)
    if turn == 2 and last > first:
        low, high = _clipped(x_line[0], x_line[1], -1.0, 0.0, first, last)
        first, last = max(first, low), min(last, high)
    if last > first:
        first, last = _clipped(z_line[0], z_line[1], tile[0] - 1.0, tile[1], first, last)
    if last > first:
        first, last = _clipped(y_line[0], y_line[1], tile[2] - 1.0, tile[3], first, last)
    return first, last


@njit(inline="always")
def _valid(tile, turn, half, even):
    """The tile without what this turn may not write: an even box ends at half - 1, but mates are kept up to half."""
    low = 2 if even and turn == 1 else 1
    high = 2 * half + 1 if even and turn != 1 else 2 * half + 2
    return max(tile[0], low), min(tile[1], high), max(tile[2], low), min(tile[3], high)


@njit(inline="always")
def _ask_ahead(sums, row, plane, half, x, y, z):
    """Have the eight neighbours of a coming point fetched."""
    edge = 2 * half + 1
    ix = min(max(int(np.int32(x)), 0), half)
    iy = min(max(int(np.int32(y)), 0), edge)
    iz = min(max(int(np.int32(z)), 0), edge)
    at = iz * plane + iy * row + ix * 4
    _prefetch(sums, at)
    _prefetch(sums, at + row)
    _prefetch(sums, at + plane)
    _prefetch(sums, at + plane + row)


@njit(inline="always")
def _deposit(sums, row, plane, values, source, sign, x, y, z, tile, turn, one_sided):
    """Add one coefficient to those of its eight neighbours that lie in the tile."""
    ix, iy, iz = int(np.int32(x)), int(np.int32(y)), int(np.int32(z))
    fx, fy, fz = x - np.float32(ix), y - np.float32(iy), z - np.float32(iz)
    left, right = _ONE - fx, fx
    if one_sided and turn == 1 and ix == 0:
        left = _ZERO
    elif turn == 2:
        right = _ZERO
    at = iz * plane + iy * row + ix * 4
    if iz >= tile[0]:
        if iy >= tile[2]:
            w = (_ONE - fz) * (_ONE - fy)
            _spread(sums, at, values, source, sign, w * left, w * right)
        if iy + 1 < tile[3]:
            w = (_ONE - fz) * fy
            _spread(sums, at + row, values, source, sign, w * left, w * right)
    if iz + 1 < tile[1]:
        if iy >= tile[2]:
            w = fz * (_ONE - fy)
            _spread(sums, at + plane, values, source, sign, w * left, w * right)
        if iy + 1 < tile[3]:
            w = fz * fy
            _spread(sums, at + plane + row, values, source, sign, w * left, w * right)


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _insert_row(values, line, ky, matrix, begin, end, sums, half, even, one_sided, tile):
    """One row of an image, kx = begin..end-1; see `insert`.

    Its points are walked in turns: as they fall (0); the Hermitian mates of those with x < 0 (1); and, where cisTEM's edge is
    wanted, once more those with x in -1..0 for their neighbours at x = 0, which stay where they fall (2).
    """
    row = (half + 2) * 4
    plane = row * (2 * half + 3)
    for turn in range(3 if one_sided else 2):
        g = -1.0 if turn == 1 else 1.0
        x_line = (g * matrix[0, 0], g * matrix[0, 1] * ky)
        y_line = (g * matrix[1, 0], g * matrix[1, 1] * ky + half + 1)
        z_line = (g * matrix[2, 0], g * matrix[2, 1] * ky + half + 1)
        mine = _valid(tile, turn, half, even)
        first, last = _stretch(turn, x_line, y_line, z_line, mine, begin, end)
        xs, xo = np.float32(x_line[0]), np.float32(x_line[1])
        ys, yo = np.float32(y_line[0]), np.float32(y_line[1])
        zs, zo = np.float32(z_line[0]), np.float32(z_line[1])
        for k in range(first, last):
            kx = np.float32(k)
            x, y, z = xs * kx + xo, ys * kx + yo, zs * kx + zo
            if turn == 2:
                if x <= -_ONE:
                    continue
                x = -min(x, _ZERO)
            x = max(x, _ZERO)
            if y < mine[2] - 1 or y >= mine[3] or z < mine[0] - 1 or z >= mine[1] or x >= half + 1:
                continue
            ahead = kx + _LOOK_AHEAD
            _ask_ahead(sums, row, plane, half, xs * ahead + xo, ys * ahead + yo, zs * ahead + zo)
            _deposit(sums, row, plane, values, line + 4 * k, np.float32(g), x, y, z, mine, turn, one_sided)


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def insert(values, box, first_negative, matrices, furthest, sums, half, even, one_sided, tile):
    """Spread image coefficients over the eight neighbours of where they belong, inside one tile of z and y.

    Args:
        values: float32, flat: [image, ky, kx, 4] of images of edge ``box``.
        box: edge of the images in pixels.
        first_negative: as in `weigh`.
        matrices: float64 [image, 3, 2]: volume coordinates (x, y, z) per kx and per ky.
        furthest: float64: coefficients with kx^2 + ky^2 above it are left out.
        sums: float32, flat: [z, y, x, 4], see the module.
        half: last logical index of the volume's box, box_3d // 2.
        even: the volume's box is even: it ends at half - 1, and mates, which end at half, are folded over to -half later.
        one_sided: what belongs to x = 0 stays where it falls when x is in -1..0 (as cisTEM does), otherwise all of the
            point goes to its Hermitian mate.
        tile: int64 (z_first, z_end, y_first, y_end) of the planes of ``sums`` that this call may write.
    """
    columns = box // 2 + 1
    for p in range(matrices.shape[0]):
        for j in range(box):
            ky = j if j < first_negative else j - box
            if furthest < ky * ky:
                continue
            begin = 0 if ky >= 0 else 1
            end = _columns_within(furthest, ky, columns)
            line = (p * box + j) * columns * 4
            _insert_row(values, line, ky, matrices[p], begin, end, sums, half, even, one_sided, tile)
