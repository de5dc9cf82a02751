"""A checkpoint in one file, written atomically."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class FileCheckpoint:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.saves = 0

    def load(self) -> dict[str, Any] | None:
        return pickle.loads(self.path.read_bytes()) if self.path.exists() else None  # noqa: S301 our own file

    def save(self, state: Mapping[str, Any]) -> None:
        part = self.path.with_suffix(".part")
        part.write_bytes(pickle.dumps(dict(state)))
        part.replace(self.path)
        self.saves += 1
