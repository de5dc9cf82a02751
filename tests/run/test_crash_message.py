"""A fault in native code, which ends the process, is reported on standard error; kills and ordinary ends are not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import faulthandler, os, signal, sys
from pathlib import Path
from ncbench.run.crash_message import CrashMessage
log, message = Path(sys.argv[1]), CrashMessage()
message.expect(log, "an earlier job")
message.expect(log, "lambda of x: a fault\\nended it")
with log.open("wb") as file:
    faulthandler.enable(file)
    if sys.argv[2] != "0":
        os.kill(os.getpid(), int(sys.argv[2]))
    faulthandler.disable()
message.close()
"""


@pytest.mark.parametrize(
    ("number", "printed"),
    [
        (signal.SIGSEGV, "lambda of x: a fault ended it\n"),
        (signal.SIGABRT, "lambda of x: a fault ended it\n"),
        (signal.SIGKILL, ""),
        (0, ""),
    ],
)
def test_faults_are_reported_after_the_process_died(number: int, printed: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "a folder" / "crash.log"), str(int(number))]
    (tmp_path / "a folder").mkdir()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ), timeout=60)
    assert done.returncode == -number
    assert done.stderr == printed
