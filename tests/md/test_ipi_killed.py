"""Runs by i-PI that are killed and resumed in another process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import killable_ipi
import numpy as np
import pytest

pytest.importorskip("ipi")
pytestmark = [
    # i-PI calls names that Python is about to drop, and leaves files to the garbage collector.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def start(folder: Path, kind: str, kill_at: int) -> int:
    folder.mkdir(exist_ok=True)
    script = Path(killable_ipi.__file__)
    paths = os.pathsep.join([str(script.parents[2]), str(script.parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(script), str(folder), kind, str(kill_at)]
    return subprocess.run(command, env=os.environ | {"PYTHONPATH": paths}, timeout=120, check=False).returncode


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["langevin:30", "svr:10", "gle", "mts", "npt"])
def test_a_run_killed_by_sigkill_resumes_to_identical_results(kind: str, tmp_path: Path) -> None:
    assert start(tmp_path / "whole", kind, -1) == 0
    assert start(tmp_path / "killed", kind, 60) == -signal.SIGKILL
    assert not (tmp_path / "killed" / "end.npz").exists()
    assert start(tmp_path / "killed", kind, 50) == -signal.SIGKILL
    assert start(tmp_path / "killed", kind, -1) == 0
    whole, killed = (dict(np.load(tmp_path / name / "end.npz")) for name in ("whole", "killed"))
    assert killed.pop("calls") < whole.pop("calls") - 80  # it went on, and did not begin again
    for name, values in whole.items():
        assert np.array_equal(values, killed[name]), name
        assert np.ptp(values) > 0
