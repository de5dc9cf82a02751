"""Disk space of an environment."""

from __future__ import annotations

import os
from pathlib import Path


def usage(folder: Path) -> tuple[int, int]:
    """(its own, shared) bytes on disk. A file with other hard links is shared: with the installer's cache, and so with other environments."""
    own = shared = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            status = os.lstat(f"{parent}/{name}")
            taken = getattr(status, "st_blocks", 0) * 512
            if status.st_nlink > 1:
                shared += taken
            else:
                own += taken
    return own, shared


def readable(size: float) -> str:
    """``1.3 GB``; decimal prefixes."""
    for unit in ("kB", "MB"):
        size /= 1000
        if size < 1000:
            return f"{size:.0f} {unit}"
    return f"{size / 1000:.1f} GB"
