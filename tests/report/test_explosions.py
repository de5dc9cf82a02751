"""An explosion makes a use unsafe only where the work of the forces around closed paths can have caused it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored import write_rows

from ncbench.assess.evidence import Use, explosions
from ncbench.report import judge
from ncbench.report.explosions import EARLY_FS, START_FORCE
from ncbench.report.judge import Answer, Judgement
from ncbench.report.read import read

KINETIC_EV = 7.3
"""Of 192 atoms at 300 K."""


def exploded(at_fs: float, **values: Any) -> dict[str, Any]:
    reason = f"not finite or above 10000 K after {at_fs:g} fs"
    return {
        "integrator": "verlet", "stride": 1, "timestep_fs": 0.5, "steps": 4000, "status": "exploded", "reason": reason,
        "exploded_at_fs": at_fs, **values,
    }  # fmt: skip


def asymmetry(resolved: str) -> dict[str, Any]:
    size = {"nonzero": 0.01, "gradient": 0.0}[resolved]
    return {
        "method": "exact", "lambda": size, "lambda_se": 0.0, "lambda_low": size, "lambda_high": size, "lambda_floor": 1e-7,
        "above_floor": size > 0.0, "resolved": resolved,
    }  # fmt: skip


def heated_samples(total_share: float) -> list[dict[str, Any]]:
    """Kinetic energies that grow tenfold in 90 fs; the total gains a share of that."""
    times = np.arange(0.0, 91.0, 10.0)
    kinetic = KINETIC_EV * 10.0 ** (times / 90.0)
    total = -100.0 + total_share * (kinetic - KINETIC_EV)
    return [
        {
            "time_fs": t,
            "timestep_fs": 0.5,
            "kinetic_eV": k,
            "total_eV": e,
            "potential_eV": e - k,
            "temperature_K": 41 * k,
        }
        for t, k, e in zip(times, kinetic, total, strict=True)
    ]


def judged(
    folder: Path, tables: dict[str, list[dict[str, Any]]], series: list[dict[str, Any]] | None = None
) -> dict[str, Judgement]:
    side = {} if series is None else {("nve-drift", "series"): series}
    results = read(write_rows(folder, tables, side))
    return {one.use: one for one in judge.judge(results, "pet-m", "direct", "water64")}


@pytest.mark.parametrize(
    ("at_fs", "resolved", "total_share", "answer", "words"),
    [
        # Curl, late, and the energy came with the heat.
        (100.0, "nonzero", 1.0, Answer.NO, "after 100 fs"),
        (100.0, "nonzero", None, Answer.NO, "after 100 fs"),
        # The kinetic energy came out of the potential: a start far from equilibrium.
        (100.0, "nonzero", 0.03, Answer.UNSURE, "the heat is potential energy (the total gained 3 % of it)"),
        (EARLY_FS, "nonzero", 1.0, Answer.UNSURE, "too early for the forces' curl"),
        (EARLY_FS + 0.5, "nonzero", 1.0, Answer.NO, "after 20.5 fs"),
        (100.0, "gradient", 1.0, Answer.UNSURE, "which λ excludes"),
    ],
)
def test_an_explosion_is_unsafe_only_where_the_curl_can_have_caused_it(
    tmp_path: Path, at_fs: float, resolved: str, total_share: float | None, answer: Answer, words: str
) -> None:
    tables = {"nve-drift": [exploded(at_fs)], "lambda": [asymmetry(resolved)]}
    nve = judged(tmp_path, tables, None if total_share is None else heated_samples(total_share))[judge.NVE]
    assert nve.answer is answer
    assert words in nve.evidence
    assert ("relaxed structure" in nve.evidence) is (answer is Answer.UNSURE)


def test_large_forces_at_the_start_leave_an_explosion_open(tmp_path: Path) -> None:
    for number, (force, answer) in enumerate(((0.9 * START_FORCE, Answer.NO), (1.1 * START_FORCE, Answer.UNSURE))):
        tables = {"nve-drift": [exploded(100.0)], "consistency": [{"force_rms_eV_per_A": force}]}
        assert judged(tmp_path / str(number), tables)[judge.NVE].answer is answer
    # Those of another structure say nothing about this start.
    tables["consistency"] = [{"force_rms_eV_per_A": 2.0 * START_FORCE, "system": "silicon"}]
    assert judged(tmp_path / "other", tables)[judge.NVE].answer is Answer.NO


def test_samples_before_the_heating_do_not_excuse_an_explosion(tmp_path: Path) -> None:
    cold = [{**sample, "kinetic_eV": KINETIC_EV, "total_eV": -100.0} for sample in heated_samples(0.0)]
    assert judged(tmp_path, {"nve-drift": [exploded(100.0)]}, cold)[judge.NVE].answer is Answer.NO


@pytest.mark.parametrize(
    ("thermostat", "tau_fs", "use", "answer"),
    [
        ("langevin", 100.0, judge.LOCAL, Answer.NO),
        ("langevin", 10.0, judge.LOCAL, Answer.NO),
        # A weaker bath than the judged one may fail where that one holds.
        ("langevin", 1000.0, judge.LOCAL, Answer.UNKNOWN),
        ("svr", 10.0, judge.GLOBAL, Answer.NO),
        ("svr", 10.0, judge.LOCAL, Answer.UNKNOWN),
    ],
)
def test_explosions_under_a_thermostat_are_judged_by_its_strength(
    tmp_path: Path, thermostat: str, tau_fs: float, use: str, answer: Answer
) -> None:
    row = exploded(500.0, thermostat=thermostat, tau_fs=tau_fs, species="all", target_K=300.0)
    answers = judged(tmp_path, {"nvt": [row]})
    assert answers[use].answer is answer
    assert answers[judge.NVE].answer is Answer.NO


def test_an_explosion_ends_the_runs_of_the_same_or_a_weaker_thermostat(tmp_path: Path) -> None:
    row = exploded(500.0, thermostat="langevin", tau_fs=100.0, species="all", target_K=300.0)
    results = read(write_rows(tmp_path / "late", {"nvt": [row]}))
    assert set(explosions(results, "pet-m", "direct", "water64", gradient=False)) == {Use.NVE, Use.LOCAL}
    # At constant energy only: a thermostat may hold what explodes without one.
    results = read(write_rows(tmp_path / "nve", {"nve-drift": [exploded(500.0)]}))
    assert set(explosions(results, "pet-m", "direct", "water64", gradient=False)) == {Use.NVE}
    # No thermostat holds a start that is not relaxed.
    results = read(write_rows(tmp_path / "early", {"nve-drift": [exploded(0.5)]}))
    assert set(explosions(results, "pet-m", "direct", "water64", gradient=False)) == {
        Use.NVE, Use.LOCAL, Use.GLOBAL, Use.NPT,
    }  # fmt: skip
