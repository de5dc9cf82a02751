"""Several successive runs in one checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ncbench.types import Checkpoint

_SEPARATOR = "/"


class StagedCheckpoint:
    """Gives each stage of a job its own part of the job's single checkpoint.

    A finished stage stays in it with its last state, so that a resumed job does not compute it again.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._states: dict[str, Any] = dict(checkpoint.load() or {})

    def stage(self, name: str) -> Checkpoint:
        """The checkpoint of the stage ``name``."""
        return _Stage(self, name + _SEPARATOR)

    def load_under(self, prefix: str) -> dict[str, Any] | None:
        """The states saved with this prefix, or ``None``."""
        states = {key.removeprefix(prefix): value for key, value in self._states.items() if key.startswith(prefix)}
        return states or None

    def save_under(self, prefix: str, state: Mapping[str, Any]) -> None:
        """Replace the states saved with this prefix, and save all stages."""
        self._states = {key: value for key, value in self._states.items() if not key.startswith(prefix)}
        self._states |= {prefix + key: value for key, value in state.items()}
        self._checkpoint.save(self._states)


class _Stage:
    def __init__(self, whole: StagedCheckpoint, prefix: str) -> None:
        self._whole = whole
        self._prefix = prefix

    def load(self) -> dict[str, Any] | None:
        return self._whole.load_under(self._prefix)

    def save(self, state: Mapping[str, Any]) -> None:
        self._whole.save_under(self._prefix, state)
