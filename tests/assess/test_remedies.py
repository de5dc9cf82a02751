"""A remedy is called verified only for what a run with a known error showed at three standard errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from stored import write_rows

from ncbench.assess.assess import Assessor, Clock, Means, Question
from ncbench.assess.evidence import Step, Use
from ncbench.assess.forecast import Speed
from ncbench.assess.remedies import (
    STRIDES,
    conservative,
    drift_with_stride,
    heating_power,
    interval,
    judge_stride,
    price,
    rounded_down,
    stepping,
    thermostat,
)
from ncbench.report.decide import HEATING_POWER, Power
from ncbench.report.read import read
from ncbench.run.local import Summary
from ncbench.statistics.cells import Cell
from ncbench.statistics.floors import power_error
from ncbench.types import Job, ModelRequest, SystemRequest

DIRECT = Power(Cell(100.0, 15.0), 192, 0.125, 300.0, "at constant energy")


def power(value: float, error: float, length_ps: float = 2.0, *, loose: bool = False) -> Power:
    return Power(Cell(value, error, loose=loose), 192, length_ps, 300.0, "at constant energy")


@pytest.mark.parametrize(
    ("measured", "use", "status"),
    [
        # 100 ps of no drift: the noise of the limit is 0.014 meV/atom/ps, three of which are below the limit.
        (power(0.0, 0.005, 100.0), Use.NVE, "verified"),
        # In 2 ps the noise of the limit is 0.1: constant energy stays open whatever the fit's error is, a thermostat does not.
        (power(0.0, 0.005), Use.LOCAL, "verified"),
        (power(0.5, 0.3), Use.LOCAL, "verified"),
        # Too much at constant energy, little enough for a thermostat.
        (power(2.0, 0.1, 100.0), Use.LOCAL, "verified"),
        # Too hot for a thermostat of 100 fs.
        (power(20.0, 1.0), Use.NVE, "open"),
        # An error that is a lower bound verifies nothing.
        (power(0.0, 0.005, loose=True), Use.NVE, "open"),
        (power(0.0, math.nan), Use.NVE, "open"),
    ],
)
def test_a_stride_is_verified_for_what_its_drift_shows(measured: Power, use: Use, status: str) -> None:
    remedy = judge_stride(measured, DIRECT, 8, "1.15 times a step with direct forces")
    assert (remedy.use, remedy.status) == (use, status)
    assert ("thermostat" in remedy.what) is (use is Use.LOCAL)
    assert f"limit {HEATING_POWER:.3f}" in remedy.evidence


def test_the_thermostat_follows_from_the_upper_end_of_the_drift() -> None:
    """No drift in 2 ps: a power of 1.2 would be three of its own standard errors away, and heats by 4.7 K under white noise of 1000 fs."""
    low, high = interval(power(0.0, 0.1))
    assert low == 0.0
    assert high == pytest.approx(3.0 * power_error(high, 300.0, 2.0, 192))
    assert high == pytest.approx(1.21, abs=0.005)
    remedy = judge_stride(power(0.0, 0.1), DIRECT, 8, "")
    assert "τ ≤ 1000 fs" in remedy.what
    assert "≤ 5 K at τ = 1000 fs" in remedy.evidence
    # Direct forces: 100 − 3 · 15 = 55 at least, 45 times as much.
    assert "at least 20 times less" in remedy.evidence
    # A larger error of the fit counts instead of the noise.
    assert interval(power(0.5, 1.0)) == (0.0, 3.5)


@pytest.mark.parametrize("value", [0.3, 10.0, 100.0])
def test_the_ends_of_a_power_are_three_of_their_own_errors_away(value: float) -> None:
    low, high = interval(power(value, 0.0))
    assert value - low == pytest.approx(3.0 * power_error(low, 300.0, 2.0, 192))
    assert high - value == pytest.approx(3.0 * power_error(high, 300.0, 2.0, 192))


def nve_row(**values: Any) -> dict[str, Any]:
    return {
        "integrator": "verlet", "stride": 1, "timestep_fs": 0.5, "steps": 4000, "plateau": True, "temperature_mean_K": 300.0,
        "energy_drift_meV_per_atom_per_ps": 100.0, "energy_drift_meV_per_atom_per_ps_se": 10.0, **values,
    }  # fmt: skip


def test_strides_are_kept_apart_from_plain_dynamics(tmp_path: Path) -> None:
    rows = [
        nve_row(),
        nve_row(integrator="mts", stride=8, steps=8000, energy_drift_meV_per_atom_per_ps=1.0),
        nve_row(integrator="mts", stride=4, plateau=False, energy_drift_meV_per_atom_per_ps=0.5),
    ]
    results = read(
        write_rows(tmp_path, {"nve-drift": rows, "mts": [{"integrator": "conservative", "ratio_cost": 2.15}]})
    )
    assert heating_power(results, "pet-m", "direct") == 100.0
    eight, four = (drift_with_stride(results, "pet-m", "direct", stride) for stride in (8, 4))
    assert eight is not None
    assert four is not None
    assert (eight.cell.value, eight.cell.loose, eight.length_ps) == (1.0, False, 4.0)
    assert (four.cell.value, four.cell.loose) == (0.5, True)
    assert drift_with_stride(results, "pet-m", "direct", 2) is None
    assert price(results, "pet-m", "direct", None) == "2.15 times a step with direct forces"
    assert price(results, "pet-m", "direct", 8) == "its cost was not measured"


@pytest.mark.parametrize(
    ("tau", "rounded"), [(0.4, 0.0), (1.0, 1.0), (12.9, 10.0), (99.0, 50.0), (1234.0, 1000.0), (25.0, 20.0)]
)
def test_time_constants_are_rounded_down(tau: float, rounded: float) -> None:
    assert rounded_down(tau) == pytest.approx(rounded)


class Simulated(Assessor):
    """Whose runs with multiple time stepping have prescribed drifts: (value, error, whether it is known), by stride and length."""

    drifts: dict[tuple[int, float], tuple[float, float, bool]]
    rows: list[dict[str, Any]]
    log: list[str]

    def do(self, step: Step) -> str:
        self.log.append(step.diagnostic if step.diagnostic == "mts" else f"{step.overrides['mts']} {step.length:g}")
        if step.diagnostic == "nve-drift":
            stride, length = int(step.overrides["mts"]), step.length
            value, error, known = self.drifts[stride, length]
            self.rows.append(
                nve_row(
                    integrator="mts", stride=stride, steps=round(2 * length), plateau=known,
                    energy_drift_meV_per_atom_per_ps=value, energy_drift_meV_per_atom_per_ps_se=error,
                )
            )  # fmt: skip
        ratios = [{"integrator": "mts", "stride": m, "ratio_cost": 1.2, "timestep_fs": 0.5} for m in STRIDES]
        write_rows(self.means.folder.parent, {"nve-drift": self.rows, "mts": ratios})
        return ""


@pytest.mark.parametrize(
    ("drifts", "seconds", "log", "status"),
    [
        # Resolved and small enough in the short run.
        ({(8, 640.0): (3.0, 0.5, True)}, 1e3, ["mts", "8 640"], "verified"),
        # Not resolved in the short run; in the long one its error is known.
        (
            {(8, 640.0): (1.0, 1.0, False), (8, 2500.0): (0.5, 0.5, True)},
            1e3,
            ["mts", "8 640", "8 2500"],
            "verified",
        ),
        # Too hot beyond doubt: the next stride at once.
        ({(8, 640.0): (60.0, 2.0, True), (4, 640.0): (2.0, 0.4, True)}, 1e3, ["mts", "8 640", "4 640"], "verified"),
        # The long run does not fit in the time: nothing is verified, and no other stride's short run fits either.
        (
            {(8, 640.0): (1.0, 1.0, False), (4, 640.0): (1.0, 1.0, False), (2, 640.0): (1.0, 1.0, False)},
            3.0,
            None,
            "open",
        ),
    ],
)
def test_strides_are_tried_from_the_cheapest_until_one_is_verified(
    tmp_path: Path,
    drifts: dict[tuple[int, float], tuple[float, float, bool]],
    seconds: float,
    log: list[str] | None,
    status: str,
) -> None:
    rows = [nve_row(energy_drift_meV_per_atom_per_ps=100.0, energy_drift_meV_per_atom_per_ps_se=15.0, steps=320)]
    folder = write_rows(tmp_path, {"nve-drift": rows})
    question = Question(
        model=ModelRequest(spec="pet-m:direct"), system=SystemRequest(name="water64"), uses=(Use.NVE,), n_atoms=192
    )
    means = Means(folder=folder, run=lambda _: Summary(), finished=lambda _: False)
    made = Simulated(question, means, Clock(seconds), speed=Speed(ms_per_call=1.0))
    made.found.model, made.found.mode = "pet-m", "direct"
    made.drifts, made.rows, made.log = drifts, rows, []
    remedy = stepping(made)
    assert remedy is not None
    assert remedy.status == status
    if log is not None:
        assert made.log == log
    assert all(not entry.endswith("2500") for entry in made.log) or status == "verified"


def test_a_thermostat_that_had_no_time_is_predicted(tmp_path: Path) -> None:
    folder = write_rows(tmp_path, {"nve-drift": [nve_row()]})
    question = Question(
        model=ModelRequest(spec="pet-m:direct"), system=SystemRequest(name="water64"), uses=(Use.NVE,), n_atoms=192
    )
    means = Means(folder=folder, run=lambda _: Summary(), finished=lambda _: False)
    made = Assessor(question, means, Clock(0.0), speed=Speed(ms_per_call=1.0))
    made.found.model, made.found.mode = "pet-m", "direct"
    remedy = thermostat(made, Use.NVE)
    assert remedy is not None
    # 3 k_B · 5 K over 100 meV/atom/ps is 12.9 fs.
    assert (remedy.status, "τ ≤ 10 fs" in remedy.what) == ("predicted", True)
    assert "no time to try it" in remedy.evidence


@pytest.mark.parametrize(
    ("drift", "status", "evidence"),
    [(0.001, "verified", "drift 0.001(5)"), (5.0, "open", "drift 5.000(5)"), (None, "open", "no time to try them")],
)
def test_conservative_forces_are_judged_by_what_is_known(
    tmp_path: Path, drift: float | None, status: str, evidence: str
) -> None:
    """A run of 100 ps of the conservative mode in the folder; without one and without time nothing is run."""
    rows = [nve_row()]
    if drift is not None:
        values = {"energy_drift_meV_per_atom_per_ps": drift, "energy_drift_meV_per_atom_per_ps_se": 0.005}
        rows.append(nve_row(force_mode="conservative", steps=200_000, **values))
    folder = write_rows(tmp_path, {"nve-drift": rows})
    question = Question(
        model=ModelRequest(spec="pet-m:direct"),
        system=SystemRequest(name="water64"),
        uses=(Use.NVE,),
        n_atoms=192,
        conservative=ModelRequest(spec="pet-m:conservative"),
    )

    def run(_: Sequence[Job]) -> Summary:
        raise AssertionError("nothing is to be run")

    made = Assessor(question, Means(folder=folder, run=run, finished=lambda _: False), Clock(0.0))
    made.found.model, made.found.mode = "pet-m", "direct"
    remedy = conservative(made)
    assert (remedy.use, remedy.status) == (Use.NVE, status)
    assert evidence in remedy.evidence
