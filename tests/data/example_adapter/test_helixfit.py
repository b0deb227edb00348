from pathlib import Path

from refine_hooks_helixfit import ADAPTER

from refine_hooks.testing import check_adapter


def test_helixfit(tmp_path):
    check_adapter(ADAPTER, Path("small_project"), tmp_path, with_halves=2)
