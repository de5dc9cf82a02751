"""Relaxations that a kill interrupts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from known_fields import Well

from ncbench.diagnostics import relax as diagnostic
from ncbench.diagnostics.base import Context
from ncbench.diagnostics.relax import RelaxSettings
from ncbench.md.run import WARM_UP_CALLS
from ncbench.models.interface import Field, FieldOutput
from ncbench.relaxation import batch as relax_batch
from ncbench.store.checkpoint import decode, encode
from ncbench.structures.water import water_molecule
from ncbench.types import Case


def wells() -> list[Case]:
    molecule = water_molecule()
    molecule.set_array("sites", molecule.get_positions())
    return [Case("well#0", molecule)]


def timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


class KilledError(Exception):
    pass


def test_a_killed_run_resumes_to_identical_results(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relax_batch, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(relax_batch, "SAVE_SHARE", np.inf)
    settings = RelaxSettings(n=3, history=True)
    whole = diagnostic.run(Well(kappa=0.3), wells(), settings, seed=5, context=context)
    asked = [run["force_calls"] for run in whole.side["runs"]]
    context.checkpoint.state = None
    killed = DyingWell(calls=20)
    with pytest.raises(KilledError):
        diagnostic.run(killed, wells(), settings, seed=5, context=context)
    kept = context.checkpoint.load()
    assert kept is not None
    trails = {key: len(value["energies"]) for key, value in kept.items() if key.endswith("|trail")}
    # Six relaxations side by side, twenty rounds. L-BFGS may have ended before: finished relaxations have no saved state.
    assert set(trails.values()) == {20}
    ended = [key for key in kept if key.count("|") == 2]
    assert len(trails) + len(ended) == 6
    survivor = DyingWell(calls=10_000)
    again = diagnostic.run(survivor, wells(), settings, seed=5, context=context)
    assert killed.given + survivor.given == sum(asked)
    for name in ("runs", "trace", "path"):
        assert timeless(again.side[name]) == timeless(whole.side[name])
    # States of finished relaxations are not saved.
    assert not any(key.endswith("|trail") for key in context.checkpoint.load() or {})


class DyingWell(Well):
    """Ends the run after so many calls, those that warm it up not counted."""

    def __init__(self, calls: int) -> None:
        super().__init__(kappa=0.3)
        self.left, self.given, self.warm_ups = calls, 0, 0

    def _bind(self, structures: Any) -> Any:
        owner, field = self, super()._bind(structures)

        class Dying(Field):
            def __call__(self, positions: torch.Tensor) -> FieldOutput:
                if not owner.left:
                    raise KilledError
                warmed = owner.warm_ups == WARM_UP_CALLS
                owner.warm_ups += not warmed
                owner.left -= warmed
                owner.given += len(positions) if warmed else 0
                return field(positions)

        return Dying(structures, torch.device("cpu"))


def test_optimiser_states_are_read_back_from_the_checkpoint(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relax_batch, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(relax_batch, "SAVE_SHARE", np.inf)
    with pytest.raises(KilledError):
        diagnostic.run(DyingWell(calls=5), wells(), RelaxSettings(n=1), seed=5, context=context)
    kept = context.checkpoint.load()
    assert kept is not None
    context.checkpoint.save(decode(encode(kept)))
    survivor = DyingWell(calls=10_000)
    again = diagnostic.run(survivor, wells(), RelaxSettings(n=1), seed=5, context=context)
    # Five rounds of both optimisers were not computed again.
    assert survivor.given == sum(run["force_calls"] for run in again.side["runs"]) - 10
