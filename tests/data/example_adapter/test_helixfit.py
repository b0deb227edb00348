from pathlib import Path

from adapter_contract import check_adapter
from refine_hooks_helixfit import ADAPTER


def test_helixfit(tmp_path):
    check_adapter(ADAPTER, Path("small_project"), tmp_path, with_halves=2)
