"""Every diagnostic on every device: the CPU, a simulated one, and CUDA where there is one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from device_cases import crystal, larger, model

from ncbench.api.measurement import Measurement, measure
from ncbench.diagnostics import registry
from ncbench.types import Status

DIAGNOSTICS = registry.diagnostics()
TIME_UNITS = ("s", "ms", "MiB")
DEPENDS_ON_TIME = ("ratio_cost", "ratio_two_calls", "ratio_one_call", "ratio_reference")
"""Columns without a unit that are ratios of times, by the start of their names."""
CHOSEN_FOR_DEVICE = ("device", "batch", "machine")
RELATIVE = {"float64": 1e-6, "float32": 2e-2}
"""Of a printed number, on CUDA: sums in another order differ by ε per term and step. The largest amplification is that of a difference quotient of
forces and of a slope of energies over 40 steps: the drift divides a change of 1e-5 of the energy by a run's length, which leaves 1e5 ε."""


def labelled() -> Atoms:
    atoms = crystal()
    atoms.info["energy_dft"], atoms.arrays["forces_dft"] = -0.1, np.full((4, 3), 0.1)
    return atoms


def cluster() -> Atoms:
    return Atoms("Ar3", positions=[[0.0, 0.0, 0.0], [0.0, 0.0, 3.8], [0.0, 3.3, 1.9]])


@dataclass(frozen=True)
class Small:
    """A run of a second or two."""

    atoms: Callable[[], Atoms] = crystal
    model: str = "analytic-solenoidal"
    reference: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


SMALL = {
    "accuracy": Small(labelled),
    "mts": Small(reference="analytic-harmonic", settings={"duration_fs": 20.0, "strides": (2,), "rounds": 1}),
    "mts-design": Small(
        reference="analytic-harmonic", settings={"duration_fs": 60.0, "strides": (1, 4), "scan_fs": 20.0}
    ),
    "npt": Small(larger, "analytic-lj", settings={"duration_fs": 10.0, "equilibration_fs": 0.0}),
    "nve-drift": Small(settings={"duration_fs": 40.0}),
    "nvt": Small(settings={"duration_fs": 40.0, "equilibration_fs": 10.0}),
    "predict": Small(reference="analytic-harmonic"),
    "relax": Small(cluster, "analytic-lj", settings={"n": 1, "displacement_A": 0.05}),
    "timing": Small(settings={"repeats": 2, "steps": 1}),
}
"""Diagnostics that are not listed run as :class:`Small` has it."""


def measured(name: str, device: str, dtype: str) -> Measurement:
    small = SMALL.get(name, Small())
    reference = None if small.reference is None else model(small.reference, device, dtype)
    field_ = model(small.model, device, dtype)
    settings = dict(small.settings)
    return measure(name, field_, small.atoms(), budget="smoke", reference=reference, progress=False, **settings)


@cache
def on_cpu(name: str, dtype: str) -> Measurement:
    return measured(name, "cpu", dtype)


def compared_columns(name: str) -> list[str]:
    return [
        column.name
        for column in DIAGNOSTICS[name].schema.columns
        if column.unit.split("/")[0] not in TIME_UNITS
        and not column.name.startswith(DEPENDS_ON_TIME)
        and column.name not in CHOSEN_FOR_DEVICE
    ]


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    return bool(one == other)


@pytest.mark.parametrize("name", DIAGNOSTICS)
def test_a_diagnostic_gives_the_results_of_the_cpu(name: str, device: str) -> None:
    compare(name, device, "float64")


@pytest.mark.gpu
@pytest.mark.parametrize("name", DIAGNOSTICS)
def test_a_diagnostic_gives_the_results_of_the_cpu_in_float32(name: str) -> None:
    compare(name, "cuda", "float32")


def compare(name: str, device: str, dtype: str) -> None:
    if name == "npt":
        pytest.importorskip("ipi", reason="npt needs i-PI")
    rows, expected = measured(name, device, dtype).rows, on_cpu(name, dtype).rows
    assert {row["status"] for row in rows} == {Status.OK.value}, [row["reason"] for row in rows]
    assert {row["device"] for row in rows} == {device}
    assert len(rows) == len(expected)
    if device.startswith("cuda"):
        agree(name, rows, expected, RELATIVE[dtype])
        return
    # The CPU repeats itself bit by bit, and the simulated device computes with the operations of the CPU.
    for row, reference in zip(rows, expected, strict=True):
        different = [c for c in compared_columns(name) if not equal(row.get(c), reference.get(c))]
        assert not different, {c: (row[c], reference[c]) for c in different}


def agree(name: str, rows: Any, expected: Any, relative: float) -> None:
    """The printed columns agree within the tolerance, the larger of their printed errors, and three of the bound below which a value is rounding alone."""
    columns = [shown for shown in DIAGNOSTICS[name].show if shown.column in compared_columns(name)]
    for row, reference in zip(rows, expected, strict=True):
        for shown in columns:
            one, other = row.get(shown.column), reference.get(shown.column)
            if not isinstance(one, float) or not isinstance(other, float):
                assert one == other, shown.column
                continue
            errors = [_number(of.get(shown.error)) for of in (row, reference)]
            bounds = [_number(of.get(name)) for of in (row, reference) for name in (shown.at_most, shown.floor)]
            allowed = relative * max(abs(one), abs(other)) + max(errors) + 3.0 * max(bounds)
            assert equal(one, other) or abs(one - other) <= allowed, (shown.column, one, other, allowed)


def _number(value: Any) -> float:
    """Zero for an error that is not there or not known."""
    return value if isinstance(value, float) and math.isfinite(value) else 0.0
