"""Compiled loops that make coefficients of images: CTF, shift and weight; imported only when particles are inserted."""


# numba compiles these functions by what they are called with; annotations would say nothing to it.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, call-arg, untyped-decorator"

import numpy as np

from refine_hooks.kernels.jit import njit

# No reassociation: the rounding by _ROUND below and equal results for every tiling rely on the order of operations.
FAST = {"contract", "nnan", "ninf", "nsz", "arcp"}
_ROUND = 6755399441055744.0  # 1.5 * 2**52: adding and subtracting it rounds a double to an integer

# Least squares on Chebyshev nodes of sin(2 pi t) / (t (1 - 4 t^2)) in t^2 for |t| <= 1/2.
_P0, _P1, _P2, _P3, _P4, _P5 = (
    np.float32(v) for v in (6.28318529, -16.20895571, 16.76915684, -9.62396967, 3.51241571, -0.79040007)
)
ZERO, ONE, _FOUR = np.float32(0), np.float32(1), np.float32(4)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _ctf_row(ctf, xs, c0, c1, c2, quartic):
    """sin(2 pi t) to 4e-8, t = c0 + c1 x + (c2 - quartic x^2) x^2, as t (1 - 4 t^2) P(t^2), which is zero where the sine is."""
    for x in range(ctf.shape[0]):
        x2 = xs[x] * xs[x]
        turns = c0 + xs[x] * c1 + x2 * (c2 - quartic * x2)
        t = np.float32(turns - ((turns + _ROUND) - _ROUND))
        u = t * t
        ctf[x] = t * (ONE - _FOUR * u) * (_P0 + u * (_P1 + u * (_P2 + u * (_P3 + u * (_P4 + u * _P5)))))


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _factor_row(factor, weight, ctf, falloff, image_scale, weight_scale, kinds, envelope):
    """What a row of an image is multiplied by, and its weights; an envelope of 0 leaves the weights as they are."""
    k0, k1, k2 = kinds
    for x in range(ctf.shape[0]):
        value = ctf[x]
        factor[x] = image_scale * falloff[x] * (k0 * value + k1 + k2 * abs(value))
        weight[x] = weight_scale * falloff[x] * value * value
    if envelope != ZERO:
        for x in range(ctf.shape[0]):
            weight[x] *= envelope * falloff[x]


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _weighted_row(row, image, factor, weight, cos_x, sin_x, cos_y, sin_y):
    for x in range(image.shape[0]):
        a = (cos_x[x] * cos_y - sin_x[x] * sin_y) * factor[x]
        b = (sin_x[x] * cos_y + cos_x[x] * sin_y) * factor[x]
        re, im = image[x].real, image[x].imag
        row[x, 0] = re * a - im * b
        row[x, 1] = re * b + im * a
        row[x, 2] = weight[x]
        row[x, 3] = ZERO


@njit(inline="always")
def columns_within(furthest, ky, columns):
    """How many coefficients of a row, from kx = 0, are near enough."""
    return int(min(np.sqrt(furthest - ky * ky), columns - 1.0)) + 1


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
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
            end = columns_within(furthest, y, nh)
            exp_y = falloff[at]
            c0 = constant + (iso - aligned) * y2 - quartic * y2 * y2
            _ctf_row(ctf[:end], xs, c0, 2.0 * crossed * y, iso + aligned - 2.0 * quartic * y2, quartic)
            envelope = exp_y if enveloped else ZERO
            _factor_row(factor, weights, ctf[:end], falloff, w0 * exp_y, w2 * exp_y, kinds, envelope)
            turn = sin_y[at] if y >= 0 else -sin_y[at]
            _weighted_row(out[p, j], transforms[p, j, :end], factor, weights, cos_x, sin_x, cos_y[at], turn)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
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
