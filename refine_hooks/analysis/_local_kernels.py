"""The compiled loops of the local resolution; see ``kernels/local.c`` and ``kernels/smoothing.c``."""

from refine_hooks.kernels import FLOAT, INT, array, kernel

_SUMS = array("float32", 4)
_VOLUME, _WRITTEN = array("float32", 3), array("float32", 3, written=True)
_NUMBERS, _OUT = array("float32", 1), array("float32", 1, written=True)
_PARTS, _PLACES = array("int16", 3), array("float32", 2)

BINS = 256

band = kernel(
    "local_band",
    array("complex64", 3),
    array("float64", 1),
    FLOAT,
    FLOAT,
    INT,
    INT,
    array("complex64", 4, written=True),
)
pooled = kernel("local_pooled", array("complex64", 4), _PARTS, INT, INT, array("float32", 4, written=True))
part_sums = kernel("local_part_sums", _SUMS, _PARTS, array("float64", 2, written=True))
smoothed = kernel("smoothed", _VOLUME, _NUMBERS, INT, INT, INT, _WRITTEN, _OUT, _WRITTEN)
correlations = kernel("local_correlations", _SUMS, _PLACES, _OUT)
medians = kernel(
    "local_medians", _NUMBERS, array("int64", 2), array("int64", 3), _NUMBERS, FLOAT, FLOAT, INT, INT, _OUT
)
