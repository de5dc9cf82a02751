"""Folder of local copies of the data sets, if any."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Read on import, since the variable is removed in every test.
MIRROR = Path(os.environ.get("NCBENCH_DATA_MIRROR", Path(__file__).resolve().parents[3] / "shared" / "data" / "mirror"))

needs_data = pytest.mark.skipif(
    not MIRROR.is_dir(), reason="needs the data sets: set NCBENCH_DATA_MIRROR to a mirror of them"
)
