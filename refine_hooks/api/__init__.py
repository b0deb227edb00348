"""What scripts and notebooks use: the names that `refine_hooks` lists. Nothing here prints, and nothing is kept between calls."""

import logging

# Without a handler of one's own, logging would print warnings on standard error.
_SILENT = logging.NullHandler(logging.CRITICAL)
logging.getLogger("refine_hooks").addHandler(_SILENT)
