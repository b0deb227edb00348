"""A disk that is full, over quota or gone at any write: nothing is lost, and nothing wrong is written."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.early
DRIVER = Path(__file__).parent / "full_disk.py"


def driven(*arguments: str, mounts: bool = False) -> dict[str, Any]:
    command = [sys.executable, str(DRIVER), *arguments]
    if mounts:
        command = ["unshare", "--user", "--map-root-user", "--mount", *command]
        try:
            possible = subprocess.run([*command[:4], "true"], capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            possible = False
        if not possible:
            pytest.skip("user namespaces cannot be had here, and nothing can be mounted without them")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_a_disk_that_refuses_any_one_change_or_all_from_then_on_costs_nothing(tmp_path: Path) -> None:
    found = driven("injected", str(tmp_path), "41")
    assert found["faults"] == []
    assert min(found["changes"].values()) > 40


def test_a_small_disk_that_fills_up_at_any_write_costs_nothing(tmp_path: Path) -> None:
    found = driven("mounted", str(tmp_path), mounts=True)
    assert found["faults"] == []
    assert found["full"] > 2


def test_a_project_that_is_unmounted_while_a_round_is_read_is_measured_when_it_is_back(tmp_path: Path) -> None:
    found = driven("unmounted", str(tmp_path), mounts=True)
    assert found["faults"] == []
    assert found["tries"] == 2
    assert found["outputs"] >= 2
