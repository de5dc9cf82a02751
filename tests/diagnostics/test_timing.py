"""Timing of a force field whose time per step is known, and relations between the reported numbers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.lj import LennardJones
from known_fields import Well, WellField, cluster

from ncbench.diagnostics import timing
from ncbench.diagnostics.base import Context
from ncbench.diagnostics.timing import SCHEMA, TimingSettings
from ncbench.errors import UnsupportedError, UsageError
from ncbench.models.interface import FieldOutput
from ncbench.types import Case

SLEEP_MS = 4.0
CASE = Case("line#0", cluster())


class SlowField(WellField):
    def __call__(self, positions: torch.Tensor) -> FieldOutput:
        # The first calls compile, in models that do.
        time.sleep(1e-3 * SLEEP_MS * (10.0 if self.calls < 3 else 1.0))
        return super().__call__(positions)


class SlowWell(Well):
    """A well that takes its time, and a calculator that takes twice as much."""

    def __init__(self, calculator: object | None = None) -> None:
        super().__init__()
        self.calculator = calculator
        self.fields: list[SlowField] = []

    def _bind(self, structures: Sequence[Atoms]) -> WellField:
        self.fields.append(SlowField(structures, self.k, self.kappa))
        return self.fields[-1]

    def ase_calculator(self) -> object | None:
        return self.calculator


class SlowLennardJones(LennardJones):
    calls = 0

    def calculate(self, *args: Any, **kwargs: Any) -> None:
        time.sleep(2e-3 * SLEEP_MS * (10.0 if self.calls < 3 else 1.0))
        self.calls += 1
        super().calculate(*args, **kwargs)


def settings(**values: Any) -> TimingSettings:
    return TimingSettings(**({"repeats": 4, "steps": 3, "warmup_steps": 2} | values))


def run(model: Well, context: Context, **values: Any) -> list[dict[str, Any]]:
    return timing.run(model, [CASE], settings(**values), seed=0, context=context).rows


def test_time_per_step_excludes_the_warm_up(context: Context) -> None:
    model = SlowWell()
    (row,) = run(model, context)
    # A sleep is never shorter than requested; how much longer depends on the machine. The slow calls, one to bind and two of
    # warm-up, are in no quartile.
    assert SLEEP_MS <= row["ms_per_step_low"] <= row["ms_per_step"] <= row["ms_per_step_high"]
    assert row["ms_per_step"] < row["first_step_ms"]
    assert row["first_step_ms"] >= 10 * SLEEP_MS
    assert row["ms_per_step_per_atom"] == row["ms_per_step"] / len(CASE.atoms)
    assert (row["n_steps"], row["warmup_steps"], row["batch"], row["path"]) == (12, 2, 1, "adapter")
    assert model.fields[0].calls == 1 + 2 + 12
    assert row["threads"] == torch.get_num_threads()
    assert row["machine"]
    assert row["peak_memory_MiB"] > 10
    assert set(row) - {"structure", "n_atoms", "status", "reason"} == {column.name for column in SCHEMA.columns}


def test_batched_time_is_per_replica(context: Context) -> None:
    model = SlowWell()
    (row,) = run(model, context, batch=4)
    assert model.fields[0].n_replicas == 4
    (single,) = run(SlowWell(), context)
    assert SLEEP_MS / 4 <= row["ms_per_step"] < single["ms_per_step"]


def test_adapter_and_calculator_are_timed_when_both_exist(context: Context) -> None:
    adapter, ase = run(SlowWell(SlowLennardJones()), context, batch=2)
    assert (adapter["path"], ase["path"]) == ("adapter", "ase")
    assert (adapter["batch"], ase["batch"]) == (2, 1)
    # Two sleeps a call. The first three calls, ten times as long, are the first step and the warm-up: the median has none of them.
    assert 2 * SLEEP_MS <= ase["ms_per_step"] < ase["first_step_ms"]
    (only,) = run(SlowWell(SlowLennardJones()), context, path="ase")
    assert only["path"] == "ase"


def test_the_ase_path_needs_a_calculator(context: Context) -> None:
    with pytest.raises(UnsupportedError, match="has no ASE calculator"):
        run(SlowWell(), context, path="ase")


def test_a_failing_model_has_no_time(context: Context) -> None:
    (row,) = run(Well(k=float("nan")), context)
    assert (row["status"], row["ms_per_step"]) == ("failed", None)
    assert "not finite" in row["reason"]


def test_one_repeat_without_warm_up_has_no_standard_error(context: Context) -> None:
    (row,) = run(Well(), context, warmup_steps=0, repeats=1, steps=1)
    assert row["n_steps"] == 1
    assert row["ms_per_step_se"] is None
    assert row["ms_per_step_low"] == row["ms_per_step"] == row["ms_per_step_high"]


def test_single_atoms_and_constraints_are_refused(context: Context) -> None:
    from ase.constraints import FixAtoms

    atoms = Atoms("He", constraint=FixAtoms([0]))
    (row,) = timing.run(Well(), [Case("he#0", atoms)], settings(), seed=0, context=context).rows
    assert row["status"] == "ok"
    assert np.isfinite(row["ms_per_step"])
    assert len(atoms.constraints) == 1


@pytest.mark.parametrize("wrong", [{"repeats": 0}, {"steps": 0}, {"warmup_steps": -1}, {"batch": 0}, {"path": "both"}])
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        settings(**wrong)
