"""A context that lives in memory."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from ncbench.diagnostics.base import Context


class MemoryCheckpoint:
    def __init__(self) -> None:
        self.state: dict[str, Any] | None = None

    def load(self) -> dict[str, Any] | None:
        return copy.deepcopy(self.state)

    def save(self, state: Mapping[str, Any]) -> None:
        self.state = copy.deepcopy(dict(state))


class NoProgress:
    def start(self, total: float, unit: str) -> None:
        assert total >= 0

    def update(self, done: float, note: str = "") -> None:
        assert done >= 0


@pytest.fixture
def context() -> Context:
    return Context(progress=NoProgress(), checkpoint=MemoryCheckpoint())
