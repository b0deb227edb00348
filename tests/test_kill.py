"""kill -9 at any moment of a round: a restart completes it once, and nothing is torn."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.early

MOMENTS = 3  # of each of two programs; scripts/soak kills at many more


def test_a_round_killed_at_any_moment_is_completed_once_and_bit_identically(tmp_path: Path) -> None:
    driver = Path(__file__).parent / "kill_rounds.py"
    command = [sys.executable, str(driver), str(tmp_path), str(MOMENTS), "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    for found in json.loads(done.stdout.splitlines()[-1]).values():
        assert found["faults"] == []
        assert found["killed"] == MOMENTS
        assert found["outputs"] >= 2
