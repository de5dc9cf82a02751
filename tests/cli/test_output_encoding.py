"""A terminal that is not UTF-8 gets replaced characters, not a traceback."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
@pytest.mark.parametrize("arguments", [["lambda", "--help"], ["models", "list"], ["lambda", "-m", "λ-model"]])
def test_output_to_a_terminal_that_is_not_utf8(encoding, arguments):
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run(
        [sys.executable, "-m", "ncbench", *arguments], env=environment, capture_output=True, check=False, timeout=120
    )
    assert done.returncode == (2 if "λ-model" in arguments else 0), done.stderr
    assert done.stdout or done.stderr
    assert b"Traceback" not in done.stderr
