"""The operations of `refine_hooks.sums._llvm` in plain numba: the same numbers, more slowly."""

# numba compiles these functions by what they are called with; annotations would say nothing to it.
# mypy: disable-error-code="no-untyped-def, untyped-decorator"

from refine_hooks.kernels.jit import njit

_SIGNED = 1


@njit(inline="always")
def spread(sums, at, values, source, sign, left, right):
    """sums[at:at+4] += left * v and sums[at+4:at+8] += right * v, v = values[source:source+4] with its imaginary part * sign."""
    for k in range(4):
        value = values[source + k] * sign if k == _SIGNED else values[source + k]
        sums[at + k] += value * left
        sums[at + 4 + k] += value * right


@njit(inline="always")
def prefetch(array, at):
    """Nothing: the processor's own guesses have to do."""
