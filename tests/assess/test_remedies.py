"""A remedy is called verified only if a run with a known error shows it at three standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fixed_clock import FixedClock
from stored import write_rows

from ncbench.assess.assess import Assessor
from ncbench.assess.evidence import Step, Use, explosions
from ncbench.assess.forecast import Speed
from ncbench.assess.means import Means, Question
from ncbench.assess.remedies import (
    STRIDES,
    conservative,
    heating_power,
    price,
    rounded_down,
    stepping,
    thermostat,
    trials,
    weakest_thermostat,
)
from ncbench.assess.result import OPEN, PREDICTED, VERIFIED, Remedy
from ncbench.report.decide import Answer
from ncbench.report.judge import LOCAL, NVE, Judgement
from ncbench.report.read import read
from ncbench.run.local import Summary
from ncbench.types import Job, ModelRequest, SystemRequest


def nve_row(**values: Any) -> dict[str, Any]:
    return {
        "integrator": "verlet", "stride": 1, "timestep_fs": 0.5, "steps": 4000, "plateau": True, "temperature_mean_K": 300.0,
        "energy_drift_meV_per_atom_per_ps": 100.0, "energy_drift_meV_per_atom_per_ps_se": 10.0, **values,
    }  # fmt: skip


def nvt_row(stride: int = 1, tau_fs: float = 100.0, **values: Any) -> dict[str, Any]:
    return {
        "integrator": "verlet" if stride == 1 else "mts", "stride": stride, "thermostat": "langevin", "tau_fs": tau_fs, "species": "all",
        "timestep_fs": 0.5, "steps": 800, "power_meV_per_atom_per_ps": 1.0, "power_meV_per_atom_per_ps_se": 0.1, "power_error_known": True, **values,
    }  # fmt: skip


def test_runs_are_distinguished_by_tau_and_stride(tmp_path: Path) -> None:
    rows = [
        nvt_row(tau_fs=10.0),
        nvt_row(),
        nvt_row(8, power_meV_per_atom_per_ps=5.0),
        nvt_row(8, status="exploded", power_meV_per_atom_per_ps=None, species=None),
        nvt_row(4, status="failed"),
        nvt_row(8, species="H"),
    ]
    mts = [{"integrator": "conservative", "ratio_cost": 2.15}]
    drifts = [nve_row(), nve_row(integrator="mts", stride=8, energy_drift_meV_per_atom_per_ps=1.0)]
    results = read(write_rows(tmp_path, {"nve-drift": drifts, "nvt": rows, "mts": mts}))
    assert heating_power(results, "pet-m", "direct") == 100.0
    counts = {
        (tau, stride): len(trials(results, "pet-m", "direct", tau, stride))
        for tau, stride in ((10.0, None), (100.0, None), (100.0, 8), (100.0, 4), (50.0, None))
    }
    assert counts == {(10.0, None): 1, (100.0, None): 1, (100.0, 8): 2, (100.0, 4): 0, (50.0, None): 0}
    assert price(results, "pet-m", "direct", None) == "2.15 times a step with direct forces"
    assert price(results, "pet-m", "direct", 8) == "its cost was not measured"


@pytest.mark.parametrize(
    ("tau", "rounded"), [(0.4, 0.0), (1.0, 1.0), (12.9, 10.0), (99.0, 50.0), (1234.0, 1000.0), (25.0, 20.0)]
)
def test_time_constants_are_rounded_down(tau: float, rounded: float) -> None:
    assert rounded_down(tau) == pytest.approx(rounded)


class Simulated(Assessor):
    """Thermostatted runs return prescribed powers (value, error, known) or explode, by stride and length."""

    powers: dict[tuple[int, float], tuple[float, float, bool] | None]
    rows: list[dict[str, Any]]
    log: list[str]

    def do(self, step: Step) -> str:
        self.log.append(step.diagnostic if step.diagnostic == "mts" else f"{step.overrides['mts']} {step.length:g}")
        if step.diagnostic == "nvt":
            stride, length = int(step.overrides["mts"]), step.length
            found = self.powers[stride, length]
            steps = {"steps": round(2 * length)}
            if found is None:
                self.rows.append(
                    nvt_row(stride, status="exploded", power_meV_per_atom_per_ps=None, species=None, **steps)
                )
            else:
                value, error, known = found
                drawn = {"power_meV_per_atom_per_ps": value, "power_meV_per_atom_per_ps_se": error}
                self.rows.append(nvt_row(stride, power_error_known=known, **drawn, **steps))
            write_rows(self.means.folder.parent, {"nvt": self.rows})
        ratios = [{"integrator": "mts", "stride": m, "ratio_cost": 1.2, "timestep_fs": 0.5} for m in STRIDES]
        write_rows(self.means.folder.parent, {"mts": ratios})
        return ""


SOME, LITTLE, UNKNOWN = (3.0, 0.5, True), (0.5, 0.5, True), (0.5, 0.5, False)


@pytest.mark.parametrize(
    ("powers", "seconds", "log", "status"),
    [
        # Resolved and small enough in the short run: 3.0(5) meV/atom/ps heat by 1.2(2) K under 100 fs.
        ({(8, 400.0): SOME}, 1e3, ["mts", "8 400"], "verified"),
        # Not resolved in the short run; in the long one its error is known.
        ({(8, 400.0): UNKNOWN, (8, 3072.0): LITTLE}, 1e3, ["mts", "8 400", "8 3072"], "verified"),
        # Too hot, or exploded in the long run: the next stride.
        ({(8, 400.0): (60.0, 2.0, True), (4, 400.0): SOME}, 1e3, ["mts", "8 400", "4 400"], "verified"),
        (
            {(8, 400.0): UNKNOWN, (8, 3072.0): None, (4, 400.0): SOME},
            1e3,
            ["mts", "8 400", "8 3072", "4 400"],
            "verified",
        ),
        # Every stride explodes: no remedy.
        ({(m, 400.0): None for m in STRIDES}, 1e3, ["mts", "8 400", "4 400", "2 400"], None),
        # The long runs do not fit in the time: nothing is verified.
        ({(m, 400.0): UNKNOWN for m in STRIDES}, 3.0, ["mts", "8 400", "4 400", "2 400"], "open"),
    ],
)
def test_strides_are_tried_from_the_cheapest_until_one_is_verified(
    tmp_path: Path,
    powers: dict[tuple[int, float], tuple[float, float, bool] | None],
    seconds: float,
    log: list[str],
    status: str | None,
) -> None:
    folder = write_rows(tmp_path, {"nve-drift": [nve_row()]})
    question = Question(
        model=ModelRequest(spec="pet-m:direct"), system=SystemRequest(name="water64"), uses=(Use.NVE,), n_atoms=192
    )
    means = Means(folder=folder, run=lambda _: Summary(), finished=lambda _: False)
    made = Simulated(question, means, FixedClock(seconds), speed=Speed(ms_per_call=1.0))
    made.found.model, made.found.mode = "pet-m", "direct"
    made.powers, made.rows, made.log = powers, [], []
    remedy = stepping(made)
    assert made.log == log
    assert (remedy.status if remedy else None) == status
    assert remedy is None or (remedy.use is Use.LOCAL and f"every {log[-1].split()[0]} steps" in remedy.what)
    # What was not run has its command: at constant energy never, under the thermostat the long run.
    asked = "--model pet-m:direct --system water64"
    untried = f"ncbench nve-drift {asked} --mts {log[-1].split()[0]} --duration 10000 --out {folder}"
    missing = f"ncbench nvt {asked} --thermostat langevin:100 --mts {log[-1].split()[0]} --duration 3072 --out {folder}"
    assert remedy is None or remedy.command == (missing if status == "open" else untried)


def test_thermostats_that_did_not_fit_in_the_time_are_predicted(tmp_path: Path) -> None:
    folder = write_rows(tmp_path, {"nve-drift": [nve_row()]})
    question = Question(
        model=ModelRequest(spec="pet-m:direct"), system=SystemRequest(name="water64"), uses=(Use.NVE,), n_atoms=192
    )
    means = Means(folder=folder, run=lambda _: Summary(), finished=lambda _: False)
    made = Assessor(question, means, FixedClock(0.0), speed=Speed(ms_per_call=1.0))
    made.found.model, made.found.mode = "pet-m", "direct"
    remedy = thermostat(made)
    assert remedy is not None
    # 3 k_B · 5 K over 100 meV/atom/ps is 12.9 fs.
    assert (remedy.status, "τ ≤ 10 fs" in remedy.what) == ("predicted", True)
    assert "no time left to try it" in remedy.evidence
    assert "--thermostat langevin:10 --duration 3072" in remedy.command


@pytest.mark.parametrize(
    ("drift", "status", "evidence"),
    [
        (0.001, "verified", "drift 0.001(5)"),
        (5.0, "open", "drift 5.000(5)"),
        (None, "open", "no time left to try them"),
    ],
)
def test_conservative_runs_in_the_folder_are_used_for_the_remedy(
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

    made = Assessor(question, Means(folder=folder, run=run, finished=lambda _: False), FixedClock(0.0))
    made.found.model, made.found.mode = "pet-m", "direct"
    remedy = conservative(made)
    assert (remedy.use, remedy.status) == (Use.NVE, status)
    assert evidence in remedy.evidence
    wanted = "ncbench assess --model pet-m:conservative --system water64 --for nve" if drift is None else ""
    assert remedy.command.partition(" --out")[0] == wanted


@pytest.mark.parametrize(
    ("tau", "status", "answer", "best"),
    [
        (50.0, VERIFIED, Answer.YES, (100.0, VERIFIED)),
        (200.0, PREDICTED, Answer.YES, (100.0, VERIFIED)),
        # A weaker thermostat than the one that is judged, verified by its own run.
        (200.0, VERIFIED, Answer.YES, (200.0, VERIFIED)),
        (50.0, VERIFIED, Answer.UNSURE, (50.0, VERIFIED)),
        (50.0, VERIFIED, Answer.NO, (50.0, VERIFIED)),
        # Multiple time stepping has no τ.
        (None, OPEN, Answer.YES, (None, OPEN)),
    ],
)
def test_suggested_thermostat_is_not_stronger_than_one_judged_safe(
    tmp_path: Path, tau: float | None, status: str, answer: Answer, best: tuple[float | None, str]
) -> None:
    question = Question(
        model=ModelRequest(spec="analytic-solenoidal"),
        system=SystemRequest(name="harmonic-crystal"),
        uses=(Use.NVE,),
        n_atoms=64,
    )
    folder = write_rows(tmp_path, {"nve-drift": [nve_row()]})
    means = Means(folder=folder, run=lambda _: Summary(), finished=lambda _: False)
    made = Assessor(question, means, FixedClock(0.0))
    made.found.judgements = {Use.LOCAL: Judgement(LOCAL, answer, "P = 0.1(4) meV/atom/ps", "")}
    made.found.remedies = [Remedy(Use.NVE, "tried", "", status, "ΔT = 0.23(14) K", tau)]
    assert weakest_thermostat(made, made.found.remedies[0]).status == best[1]
    made.end()
    (remedy,) = made.found.remedies
    assert (remedy.tau_fs, remedy.status) == best
    assert ("τ ≤ 100 fs" in remedy.what) == (remedy.evidence == "P = 0.1(4) meV/atom/ps") == (best[0] == 100.0)


class Exploding(Assessor):
    """Every thermostatted run with a τ of 50 fs or more explodes."""

    log: list[str]

    def do(self, step: Step) -> str:
        (thermostat,) = step.overrides["thermostats"]
        self.log.append(thermostat)
        tau_fs = float(thermostat.partition(":")[2])
        gone = {"status": "exploded", "power_meV_per_atom_per_ps": None, "species": None}
        write_rows(self.means.folder.parent, {"nvt": [nvt_row(tau_fs=tau_fs, **(gone if tau_fs >= 50.0 else {}))]})
        return ""


def test_thermostats_are_tried_below_the_strength_that_exploded(tmp_path: Path) -> None:
    """Nothing has a power, since everything exploded: no run repeats 100 fs, under which one exploded."""
    gone = {"status": "exploded", "exploded_at_fs": 300.0, "energy_drift_meV_per_atom_per_ps": None}
    bath = nvt_row(status="exploded", exploded_at_fs=500.0, power_meV_per_atom_per_ps=None, species=None)
    folder = write_rows(tmp_path, {"nve-drift": [nve_row(**gone)], "nvt": [bath]})
    question = Question(
        model=ModelRequest(spec="pet-m:direct"), system=SystemRequest(name="water64"), uses=(Use.NVE,), n_atoms=192
    )
    means = Means(folder=folder, run=lambda _: Summary(), finished=lambda _: False)
    made = Exploding(question, means, FixedClock(1e3), speed=Speed(ms_per_call=1.0))
    made.found.model, made.found.mode, made.log = "pet-m", "direct", []
    made.explosions = explosions(made.results(), "pet-m", "direct", "water64", gradient=False)
    remedy = thermostat(made)
    assert made.log == ["langevin:50", "langevin:20"]
    assert remedy is not None
    assert (remedy.status, remedy.tau_fs) == ("verified", 20.0)


def test_the_cost_of_conservative_forces_is_taken_from_timing_without_mts(tmp_path: Path) -> None:
    timed = [
        {"path": "adapter", "ms_per_step": 30.0, "n_atoms": 192},
        {"path": "adapter", "ms_per_step": 75.0, "n_atoms": 192, "force_mode": "conservative"},
        # Another code path, in which both kinds take as long.
        {"path": "ase", "ms_per_step": 75.0, "n_atoms": 192},
    ]
    results = read(write_rows(tmp_path / "both", {"timing": timed}))
    assert price(results, "pet-m", "direct", None) == "2.50 times a step with direct forces"
    assert price(results, "pet-m", "direct", 8) == "its cost was not measured"
    alone = read(write_rows(tmp_path / "one", {"timing": timed[:1]}))
    assert price(alone, "pet-m", "direct", None) == "its cost was not measured"


def test_a_cost_measured_on_a_busy_machine_has_its_quartiles(tmp_path: Path) -> None:
    timed = {"integrator": "mts", "stride": 8, "ratio_cost": 0.96, "ratio_cost_low": 0.67, "ratio_cost_high": 1.16}
    quiet = timed | {"stride": 4, "ratio_cost_low": 0.91, "ratio_cost_high": 1.01}
    results = read(write_rows(tmp_path, {"mts": [timed, quiet]}))
    assert price(results, "pet-m", "direct", 8) == "0.96 (0.67 to 1.16) times a step with direct forces"
    assert price(results, "pet-m", "direct", 4) == "0.96 times a step with direct forces"


@pytest.mark.parametrize("answer", [Answer.NO, Answer.UNSURE])
def test_a_thermostat_replaces_constant_energy_where_that_is_unsafe(tmp_path: Path, answer: Answer) -> None:
    """A thermostatted run does not conserve the energy, so that it is no way to run NVE."""
    folder = write_rows(tmp_path, {"nve-drift": [nve_row()]})
    question = Question(
        model=ModelRequest(spec="pet-m:direct"), system=SystemRequest(name="water64"), uses=(Use.NVE,), n_atoms=192
    )
    means = Means(folder=folder, run=lambda _: Summary(), finished=lambda _: False)
    made = Assessor(question, means, FixedClock(0.0), speed=Speed(ms_per_call=1.0))
    made.found.model, made.found.mode = "pet-m", "direct"
    made.found.judgements = {Use.NVE: Judgement(NVE, answer, "drift", "")}
    remedy = thermostat(made)
    assert remedy is not None
    assert remedy.use is Use.LOCAL
    assert remedy.what.startswith("instead of NVE, ") is (answer is Answer.NO)
