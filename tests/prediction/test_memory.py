"""The largest structure of the dense prediction."""

from __future__ import annotations

import pytest

from ncbench.errors import UnsupportedError
from ncbench.memory import GIB
from ncbench.prediction import memory
from ncbench.prediction.heating import Thermostat

WHITE = [Thermostat.langevin(100.0)]


def test_24_gib_are_enough_for_a_thousand_atoms_and_gle_needs_more() -> None:
    assert memory.bytes_needed(1000, WHITE) < 24 * GIB
    assert memory.bytes_needed(192, [*WHITE, Thermostat.parse("gle")]) > 1.5 * memory.bytes_needed(192, WHITE)


def test_too_large_structures_are_refused_with_the_size_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda device: GIB)
    memory.require_memory(400, WHITE)
    with pytest.raises(
        UnsupportedError, match=r"takes 4.8 GB, and 1.0 GB are free: it covers up to 457 atoms"
    ) as refused:
        memory.require_memory(1000, WHITE)
    assert refused.value.hint
    memory.require_memory(457, WHITE)
    with pytest.raises(UnsupportedError):
        memory.require_memory(458, WHITE)


def test_unknown_memory_size_refuses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda device: None)
    memory.require_memory(100_000, WHITE)
