"""Errors of short runs at constant energy: known where the same folder shows the forces to be the gradient of a smooth energy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from stored import write_rows

from ncbench.report import judge
from ncbench.report.judge import Answer
from ncbench.report.judge import judge as judge_all
from ncbench.report.read import read
from ncbench.report.summary import summarise
from ncbench.statistics.heating import GRADIENT_WIDENING

MODEL = {"model": "m", "force_mode": "conservative", "system": "water64", "structure": "a", "seed": 0, "n_atoms": 192}


def folder(path: Path, *, drift: dict[str, Any] | None = None, **tables: dict[str, Any] | None) -> Path:
    """A run of 1.6 ps with 0.001(8)? meV/atom/ps, λ of a gradient and an energy without jumps."""
    content: dict[str, dict[str, Any]] = {
        "nve-drift": {
            "timestep_fs": 0.5, "steps": 3200, "energy_drift_meV_per_atom_per_ps": 0.001, "energy_drift_meV_per_atom_per_ps_se": 0.008,
            "drift_from_energy_K_per_ps": 0.004, "drift_from_energy_K_per_ps_se": 0.03, "plateau": False, "error_known_of_gradient": True, **(drift or {}),
        },
        "lambda": {"method": "exact", "lambda": 1e-7, "lambda_high": 2e-7, "lambda_floor": 1e-7, "above_floor": False, "resolved": "gradient"},
        "consistency": {"energy_jump_meV": 0.02, "energy_jump_floor_meV": 0.03},
    }  # fmt: skip
    for name, change in tables.items():
        if change is None:
            del content[name]
        else:
            content[name] |= change
    return write_rows(path, {name: [{**MODEL, **row}] for name, row in content.items()})


@pytest.mark.parametrize(
    ("change", "known"),
    [
        ({}, True),
        ({"lambda": None}, False),
        ({"consistency": None}, False),
        ({"lambda": {"resolved": "unresolved"}}, False),
        ({"lambda": {"resolved": "nonzero", "above_floor": True, "lambda": 0.01}}, False),
        ({"lambda": {"status": "failed"}}, False),
        ({"lambda": {"model": "other"}}, False),
        ({"consistency": {"energy_jump_meV": 0.1}}, False),
        ({"consistency": {"force_mode": "direct"}}, False),
        ({"drift": {"error_known_of_gradient": False}}, False),
        ({"drift": {"error_known_of_gradient": None}}, False),
    ],
)
def test_error_is_known_only_of_a_smooth_gradient(tmp_path: Path, change: dict[str, Any], known: bool) -> None:
    results = read(folder(tmp_path, **change))
    [row] = results.tables["nve-drift"].to_dict("records")
    assert bool(row["plateau"]) is known
    widened = GRADIENT_WIDENING if known else 1.0
    assert row["energy_drift_meV_per_atom_per_ps_se"] == pytest.approx(0.008 * widened)
    assert row["drift_from_energy_K_per_ps_se"] == pytest.approx(0.03 * widened)
    nve = next(one for one in judge_all(results, "m", "conservative", "water64") if one.use == judge.NVE)
    # 0.001 + 3 · 0.012 is below 0.0776.
    assert (nve.answer is Answer.YES) is known


def test_an_error_that_is_known_anyway_is_not_widened(tmp_path: Path) -> None:
    [row] = read(folder(tmp_path, drift={"plateau": True})).tables["nve-drift"].to_dict("records")
    assert row["energy_drift_meV_per_atom_per_ps_se"] == 0.008


def test_summary_and_verdict_print_the_same_error(tmp_path: Path) -> None:
    summary = summarise(folder(tmp_path))
    (model,) = summary.models
    assert "drift 0.001(12) meV/atom/ps" in " ".join(one.evidence for one in model.judgements)
    table = summary.files["markdown"].read_text(encoding="utf-8")
    assert "| 0.001(12) |" in table


@pytest.mark.parametrize(
    ("jump", "text"),
    [
        (0.018, "jumps of the energy ≤ 0.034 meV, the floor"),
        (0.06, "jumps of the energy ≤ 0.06 meV, within three floors"),
        (0.2, "the energy jumps by up to 0.2 meV, above its floor of 0.034 meV"),
    ],
)
def test_a_jump_that_is_not_resolved_is_a_bound_and_not_below_its_floor(tmp_path: Path, jump: float, text: str) -> None:
    """Three floors, 0.102 meV, resolve a jump."""
    results = read(folder(tmp_path, consistency={"energy_jump_meV": jump, "energy_jump_floor_meV": 0.034}))
    (nve,) = [one for one in judge_all(results, "m", "conservative", "water64") if one.use == judge.NVE]
    assert nve.evidence.split("; ")[-1 if jump < 0.1 else 2] == text
