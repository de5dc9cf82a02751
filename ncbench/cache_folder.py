"""The folder of downloads. Light imports only."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "NCBENCH_CACHE_DIR"
"""Folder of downloads instead of the platform's cache folder."""


def cache_dir() -> Path:
    """The folder of downloads: :data:`CACHE_VARIABLE`, or the platform's cache folder."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("ncbench") / "data"
