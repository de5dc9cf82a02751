"""The judge: thresholds in physical terms, decisions at three standard errors, one answer in all reports."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored import write_rows

from ncbench.check import limits
from ncbench.check.limits import Verdict
from ncbench.check.metrics import Measured
from ncbench.paper.page import report
from ncbench.report import judge
from ncbench.report.cards import cards
from ncbench.report.explosions import Explosion
from ncbench.report.judge import SIGMAS, Answer, Power, decide, decide_rate
from ncbench.report.read import Results, read
from ncbench.report.summary import summarise
from ncbench.statistics.cells import Cell

RESULTS = Path(__file__).resolve().parents[2] / "results"
NO_JUMP, JUMP, UNMEASURED_JUMP = (False, "largest step at its floor"), (True, "jumps"), (None, "not measured")


def drift(value: float | None, error: float | None, *, length_ps: float = 100.0, loose: bool = False) -> Power:
    """An energy drift of 192 atoms at 300 K."""
    return Power(Cell(value, error, loose=loose), 192, length_ps, 300.0, "at constant energy")


def nve_row(value: float, error: float, **values: Any) -> dict[str, Any]:
    """A row of nve-drift of 100 ps."""
    return {
        "model": "m",
        "force_mode": "direct",
        "n_atoms": 192,
        "timestep_fs": 0.5,
        "steps": 200_000,
        "energy_drift_meV_per_atom_per_ps": value,
        "energy_drift_meV_per_atom_per_ps_se": error,
        "plateau": True,
        **values,
    }


def test_thresholds_follow_from_their_definitions() -> None:
    k_B = 0.0861733  # meV/K
    assert pytest.approx(3 * k_B * 30 / 100, rel=1e-5) == judge.HEATING_POWER
    assert pytest.approx(3 * k_B * 5 / 0.1, rel=1e-5) == judge.LOCAL_POWER


def test_a_drift_of_0_50_gets_the_same_answer_in_all_reports(tmp_path: Path) -> None:
    """0.50(5) meV/atom/ps: `summary` once said yes, `report` no, and a profile of `check` had a third threshold."""
    folder = write_rows(tmp_path, {"nve-drift": [nve_row(0.50, 0.05)]})
    (row,) = summarise(folder).models
    (card,) = cards(read(folder))
    assert set(card.judgements) == {one for one in row.judgements if one.answer is not Answer.UNKNOWN}
    nve = next(one for one in row.judgements if one.use == judge.NVE)
    assert nve.answer is Answer.NO
    assert nve in card.judgements
    assert nve.evidence in report(folder).read_text(encoding="utf-8")
    assert nve.sentence in summarise(folder).files["markdown"].read_text(encoding="utf-8")
    (heating,) = (limit for limit in limits.profile("nve") if limit.metric.name == "drift")
    assert heating.bound == judge.HEATING_POWER
    measured = {"drift": Measured(0.50, within=0.05, between=0.05)}
    assert limits.judge([heating], measured)[0].verdict is Verdict.BROKEN


@given(st.floats(-1e3, 1e3), st.floats(0, 1e3), st.floats(1e-3, 1e3))
def test_no_answer_where_the_error_spans_the_threshold(value: float, error: float, threshold: float) -> None:
    answer, remark = decide(value, error, threshold)
    spans = abs(abs(value) - threshold) <= SIGMAS * error
    assert (answer is Answer.UNSURE) == spans or error == 0.0
    assert bool(remark) == (answer is Answer.UNSURE)
    # A larger value is never judged better.
    order = [Answer.YES, Answer.UNSURE, Answer.NO]
    assert order.index(decide(abs(value) + 1.0, error, threshold)[0]) >= order.index(answer)


def test_few_degrees_of_freedom_widen_the_margin() -> None:
    assert decide(0.0, 0.3, 1.0)[0] is Answer.YES
    assert decide(0.0, 0.3, 1.0, dof=4.0)[0] is Answer.UNSURE


def test_an_unknown_error_decides_nothing() -> None:
    assert decide(0.0, math.nan, 1.0)[0] is Answer.UNSURE
    assert decide(math.nan, 0.0, 1.0)[0] is Answer.UNSURE
    assert drift(500.0, 0.1, loose=True).decide(judge.HEATING_POWER)[0] is Answer.UNSURE
    assert judge.judge_global({"H": Cell(30.0, 1.0, loose=True)}, False).answer is Answer.UNSURE


def test_error_of_a_power_is_at_least_its_fluctuation() -> None:
    # √(2 k_B T p/(N t)) with p at the threshold: 0.026 meV/atom/ps after 30.5 ps, a third of the threshold.
    short, long = (drift(0.0, 1e-6, length_ps=length) for length in (29.0, 32.0))
    assert short.noise(judge.HEATING_POWER) == pytest.approx(
        math.sqrt(2 * 25.852 * judge.HEATING_POWER / (192 * 29.0)), rel=1e-4
    )
    assert short.decide(judge.HEATING_POWER)[0] is Answer.UNSURE
    assert long.decide(judge.HEATING_POWER)[0] is Answer.YES
    # A few femtoseconds decide nothing, for any estimated error of the slope.
    assert drift(0.0, 0.001, length_ps=0.016).decide(judge.LOCAL_POWER)[0] is Answer.UNSURE


@pytest.mark.parametrize(
    ("gradient", "jump", "measured", "answer"),
    [
        (True, NO_JUMP, drift(0.001, 0.01), Answer.YES),
        (True, UNMEASURED_JUMP, drift(0.001, 0.01), Answer.UNSURE),
        (True, JUMP, drift(0.001, 0.01), Answer.UNSURE),
        (True, NO_JUMP, drift(0.0, 0.05), Answer.UNSURE),
        (True, NO_JUMP, drift(None, None), Answer.UNSURE),
        (True, NO_JUMP, drift(0.5, 0.05), Answer.NO),
        (False, NO_JUMP, drift(None, None), Answer.UNKNOWN),
        (False, NO_JUMP, drift(0.0, 0.01), Answer.YES),
    ],
)
def test_conservative_forces_alone_are_not_judged_safe(
    gradient: bool, jump: tuple[bool | None, str], measured: Power, answer: Answer
) -> None:
    result = judge.judge_nve(measured, gradient, jump)
    assert result.answer is answer
    if gradient and answer is Answer.UNSURE:
        assert "no heating by non-conservative forces" in result.evidence
        assert "integrator's error" in result.evidence or jump[1] in result.evidence


def test_a_strong_thermostat_shows_no_safety_under_a_weaker_one(tmp_path: Path) -> None:
    """1.0(1) meV/atom/ps under τ = 10 fs is too little for a "no", but does not decide 100 fs; 50 is already too much."""

    def nvt_row(tau_fs: float, power: float) -> dict[str, Any]:
        return {
            "model": "m", "force_mode": "direct", "n_atoms": 192, "timestep_fs": 0.5, "steps": 200_000, "thermostat": "langevin", "species": "all",
            "tau_fs": tau_fs, "target_K": 300.0, "power_meV_per_atom_per_ps": power, "power_meV_per_atom_per_ps_se": 0.1, "power_error_known": True,
        }  # fmt: skip

    split = {"integrator": "mts", "stride": 4}
    for number, (rows, answer) in enumerate(
        (
            # Multiple time stepping is a remedy, and no property of the direct forces.
            ([nvt_row(100.0, 1.0) | split], Answer.UNKNOWN),
            ([nvt_row(100.0, 50.0) | {"integrator": "verlet"}, nvt_row(100.0, 1.0) | split], Answer.NO),
            ([nvt_row(10.0, 1.0)], Answer.UNSURE),
            ([nvt_row(10.0, 50.0)], Answer.NO),
            ([nvt_row(100.0, 1.0)], Answer.YES),
            ([nvt_row(10.0, 50.0), nvt_row(100.0, 1.0)], Answer.YES),
        )
    ):
        results = read(write_rows(tmp_path / str(number), {"nvt": rows}))
        (local,) = [one for one in judge.judge(results, "m", "direct", "water64") if one.use == judge.LOCAL]
        assert local.answer is answer


def npt_row(drift: float, error: float, **values: Any) -> dict[str, Any]:
    """A row of npt of 100 ps at constant enthalpy."""
    return {
        "status": "ok", "reason": "", "ensemble": "nph", "n_atoms": 192, "timestep_fs": 0.5, "steps": 200_000, "seed": 0,
        "enthalpy_drift_meV_per_atom_per_ps": drift, "enthalpy_drift_meV_per_atom_per_ps_se": error, "enthalpy_error_known": True,
        **values,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "gradient", "stress", "answer"),
    [
        ([npt_row(0.0, 0.005)], False, False, Answer.YES),
        ([npt_row(0.5, 0.05)], True, True, Answer.NO),
        # In 2 ps the noise of the tolerated power is 0.1, unless forces and stress are those of an energy.
        ([npt_row(0.0, 0.005, steps=4000)], False, False, Answer.UNSURE),
        ([npt_row(0.0, 0.005, steps=4000)], True, None, Answer.UNSURE),
        ([npt_row(0.0, 0.005, steps=4000)], True, False, Answer.UNSURE),
        ([npt_row(0.0, 0.005, steps=4000)], True, True, Answer.YES),
        ([npt_row(0.5, 0.05, enthalpy_error_known=False)], True, True, Answer.UNSURE),
        # Tables of older versions do not say whether the error is known.
        ([npt_row(0.5, 0.05, enthalpy_error_known=None)], True, True, Answer.UNSURE),
        # The longest runs count.
        ([npt_row(0.5, 0.05, steps=4000), npt_row(0.0, 0.005)], False, False, Answer.YES),
        # Baths hide a drift.
        ([npt_row(0.5, 0.05, ensemble="npt")], True, True, Answer.UNKNOWN),
        ([npt_row(0.0, 0.005), npt_row(0.0, 0.0, status="exploded", reason="hot")], False, True, Answer.NO),
        # A gradient explodes for another reason: the start, or the time step.
        ([npt_row(0.0, 0.005), npt_row(0.0, 0.0, status="exploded", reason="hot")], True, True, Answer.UNSURE),
        (
            [{**npt_row(0.0, 0.0), "status": "unsupported", "reason": "m has no stress", "ensemble": None}],
            True,
            None,
            Answer.UNKNOWN,
        ),
        ([], True, True, Answer.UNKNOWN),
    ],
)
def test_constant_pressure_is_judged_by_the_enthalpy_drift(
    rows: list[dict[str, Any]], gradient: bool, stress: bool | None, answer: Answer
) -> None:
    result = judge.judge_pressure(pd.DataFrame(rows), gradient, stress)
    assert result.answer is answer
    if rows and rows[0]["status"] == "unsupported":
        assert result.evidence == "m has no stress"


MASSES = "with repartitioned masses H 3, O 12 u"


def test_repartitioned_masses_are_named_with_their_numbers(tmp_path: Path) -> None:
    """Another dynamics: without the masses its numbers would be taken for the model's own."""
    heavy = {"masses_u": "H 3, O 12", "integrator": "verlet"}
    nvt = {
        "model": "m", "force_mode": "direct", "n_atoms": 192, "timestep_fs": 0.5, "steps": 200_000, "target_K": 300.0, "tau_fs": 100.0, **heavy,
        "power_meV_per_atom_per_ps": 1.0, "power_meV_per_atom_per_ps_se": 0.1, "power_error_known": True, "thermostat": "langevin", "species": "all",
    }  # fmt: skip
    svr = {
        "thermostat": "svr",
        "tau_fs": 10.0,
        "temperature_excess_K": 9.0,
        "temperature_K_se": 0.5,
        "degrees_of_freedom": 573.0,
    }
    tables = {
        "nve-drift": [nve_row(0.5, 0.05, **heavy)],
        "nvt": [nvt, nvt | svr, nvt | svr | {"species": "H"}],
        "npt": [npt_row(0.5, 0.05, model="m", masses_u="H 3, O 12")],
    }
    evidence = evidence_of(read(write_rows(tmp_path / "heavy", tables)))
    for use in (judge.NVE, judge.LOCAL, judge.GLOBAL, judge.PRESSURE):
        assert MASSES in evidence[use], use
    (card,) = cards(read(tmp_path / "heavy" / "results"))
    assert all(MASSES in one.evidence for one in card.judgements)
    real = {table: [{**rows[0], "masses_u": None}, *rows] for table, rows in tables.items()}
    evidence = evidence_of(read(write_rows(tmp_path / "both", real)))
    assert not any("masses" in text for text in evidence.values())
    ended = {"status": "exploded", "reason": "hot", "exploded_at_fs": 500.0}
    evidence = evidence_of(read(write_rows(tmp_path / "hot", {"nve-drift": [nve_row(0.0, 0.0, **heavy, **ended)]})))
    assert evidence[judge.NVE] == f"it explodes: hot, {MASSES}"


def evidence_of(results: Results) -> dict[str, str]:
    return {one.use: one.evidence for one in judge.judge(results, "m", "direct", "water64")}


def test_an_explosion_is_judged_no() -> None:
    result = judge.judge_nve(drift(0.0, 0.001), False, NO_JUMP, Explosion("above 10000 K after 31 fs"))
    assert result.answer is Answer.NO
    assert "above 10000 K after 31 fs" in result.evidence


def test_forces_are_judged_by_lambda_and_work() -> None:
    zero, unresolved, result = (Cell(1e-7, 1e-7, significant=mark) for mark in (False, None, True))
    loop, no_loop = Cell(-80.0, 0.1, significant=True), Cell(0.0, 0.1, significant=False)
    assert judge.judge_forces(zero, no_loop).answer is Answer.YES
    assert judge.judge_forces(unresolved, no_loop).answer is Answer.UNSURE
    assert judge.judge_forces(result, no_loop).answer is Answer.NO
    assert judge.judge_forces(zero, loop).answer is Answer.NO
    # One closed path without work is no gradient.
    assert judge.judge_forces(Cell(), no_loop).answer is Answer.UNSURE
    assert judge.judge_forces(Cell(), Cell()).answer is Answer.UNKNOWN


@pytest.mark.parametrize(
    ("successes", "trials", "answer"),
    [
        (1, 1, Answer.UNSURE),
        (0, 1, Answer.UNSURE),
        (17, 20, Answer.UNSURE),
        (20, 20, Answer.UNSURE),
        (0, 20, Answer.NO),
        # The interval of n of n at 99.73 % begins at 0.00135^(1/n): above 90 % from n = 63.
        (62, 62, Answer.UNSURE),
        (63, 63, Answer.YES),
    ],
)
def test_one_trial_decides_nothing(successes: int, trials: int, answer: Answer) -> None:
    assert decide_rate(successes, trials)[0] is answer
    assert bool(decide_rate(successes, trials)[1]) == (answer is Answer.UNSURE)


def test_the_estimate_of_longer_runs_is_enough() -> None:
    """As many relaxations as the remark names settle it at the same rate, and a run as much longer does."""
    remark = decide_rate(5, 5)[1]
    needed = int("".join(filter(str.isdigit, remark)))
    assert decide_rate(needed, needed)[0] is Answer.YES
    answer, remark = decide(0.0, 1.0, 1.0)
    times = float(remark.split("about ")[1].split(" ")[0])
    assert answer is Answer.UNSURE
    assert decide(0.0, 1.0 / math.sqrt(times + 0.01), 1.0)[0] is Answer.YES


@pytest.mark.parametrize("name", ["laptop", "demo"])
def test_committed_results_claim_nothing_beyond_their_run_lengths(name: str, tmp_path: Path) -> None:
    """Direct forces are not conservative and heat. Temperatures after 0.01 to 1 ps under SVR stay undecided."""
    rows = {row.label: {one.use: one for one in row.judgements} for row in summarise(RESULTS / name, tmp_path).models}
    direct, conservative, sevennet = (
        rows[label] for label in ("pet-m:direct", "pet-m:conservative", "sevennet-0:conservative")
    )
    assert direct[judge.FORCES].answer is direct[judge.NVE].answer is direct[judge.LOCAL].answer is Answer.NO
    for judgements in (conservative, sevennet):
        # The laptop's tables are from before λ had a verdict, and do not show that it vanishes; the demo's do.
        assert judgements[judge.FORCES].answer is (Answer.YES if name == "demo" else Answer.UNSURE)
        assert judgements[judge.NVE].answer is Answer.UNSURE
    assert {judgements[judge.GLOBAL].answer for judgements in rows.values()} == {Answer.UNSURE}
    assert sevennet[judge.LOCAL].answer is Answer.UNSURE


def _predict_row(**values: Any) -> dict[str, Any]:
    """A prediction of 40 meV/atom/ps under white noise of 100 fs."""
    power = {f"power{end}_meV_per_atom_per_ps": value for end, value in (("", 40.0), ("_low", 30.0), ("_high", 60.0))}
    return {
        "model": "m",
        "force_mode": "direct",
        "thermostat": "langevin",
        "tau_fs": 100.0,
        "species": "all",
        "stable": True,
        "above_floor": True,
        "power_floor_meV_per_atom_per_ps": 0.002,
        **power,
        **values,
    }


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "predicted: 40 (30 to 60) meV/atom/ps"),
        ({"stable": False}, "predicted: a runaway, without a stationary state"),
        ({"above_floor": False}, "predicted: no heating above 0.006 meV/atom/ps"),
    ],
)
def test_a_prediction_is_shown_for_undecided_uses_and_decides_nothing(
    tmp_path: Path, values: dict[str, Any], text: str
) -> None:
    open_drift = nve_row(20.0, 10.0)
    folder = write_rows(tmp_path, {"nve-drift": [open_drift], "predict": [_predict_row(**values)]})
    local = next(one for one in summarise(folder).models[0].judgements if one.use == judge.LOCAL)
    assert local.answer is Answer.UNSURE
    assert local.evidence.endswith(text)
    # The constant-energy prediction was not made, and the runs of the use do not decide.
    nve = next(one for one in summarise(folder).models[0].judgements if one.use == judge.NVE)
    assert "predicted" not in nve.evidence


def test_a_prediction_does_not_replace_a_measurement(tmp_path: Path) -> None:
    alone = summarise(write_rows(tmp_path / "alone", {"predict": [_predict_row()]})).models[0].judgements
    assert {one.answer for one in alone} == {Answer.UNKNOWN}
    both = write_rows(tmp_path / "both", {"nve-drift": [nve_row(500.0, 10.0)], "predict": [_predict_row()]})
    local = next(one for one in summarise(both).models[0].judgements if one.use == judge.LOCAL)
    assert local.answer is Answer.NO
    assert "predicted" not in local.evidence


def test_suggested_run_lengths_are_sufficient_and_practical() -> None:
    # The error is 100 times what it must be: 10,000 times the length is impractical and not proposed.
    assert decide(0.0, 100.0 / 3.0, 1.0)[1] == "the error is about 100 times too large to tell"
    assert decide(0.0, 1.0, 1.0)[1] == "a run about 9 times as long would tell if the value stays"
    assert decide_rate(1, 1)[1] == decide_rate(0, 1)[1] == "one trial is no rate"


@pytest.mark.parametrize("n_atoms", [2, 3, 192])
def test_a_power_heats_the_degrees_of_freedom_of_a_fixed_centre_of_mass(n_atoms: int) -> None:
    """ΔT = N P τ/((3N − 3) k_B), and the limit of 5 K is one of this temperature."""
    k_B = 8.617333262e-2  # meV/K
    for excess in (4.9, 5.1):
        value = excess * (3 * n_atoms - 3) * k_B / n_atoms / 0.1
        power = Power(Cell(value, 1e-3 * value / 5), n_atoms, 1e9, 300.0, "under Langevin")
        judged = judge.judge_local([power], False)
        assert f"= {excess:.4f}(10) K" in judged.evidence
        assert judged.answer is (Answer.YES if excess < 5.0 else Answer.NO)


def test_a_temperature_excess_is_marked_like_its_power() -> None:
    loose = Power(Cell(1.0, 0.5, loose=True), 192, 1.0, 300.0, "under Langevin")
    assert "K" in judge.judge_local([loose], False).evidence
    assert ")? K" in judge.judge_local([loose], False).evidence
