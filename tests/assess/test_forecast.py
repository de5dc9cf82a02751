"""Lengths of runs follow from the predicted or measured heating power, and the next run is the one that is expected to decide."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixed_clock import FixedClock
from stored import write_rows

from ncbench.assess.assess import Assessor, decide_all
from ncbench.assess.evidence import FIRST_NVE_FS, MOST_ROUNDS, Step, Use, dynamics_text, first_steps, ladder, requests
from ncbench.assess.forecast import GRADIENT_PS, PREDICTION_FACTOR, Speed, needed_ps, predicted_powers
from ncbench.assess.means import Means, Question
from ncbench.report import judge
from ncbench.report.decide import HEATING_POWER, Answer
from ncbench.report.judge import Judgement
from ncbench.report.read import read
from ncbench.run.local import Summary
from ncbench.statistics.floors import power_error
from ncbench.statistics.format import duration
from ncbench.types import ModelRequest, SystemRequest


@pytest.mark.parametrize("power", [0.2, 1.0, 100.0])
def test_needed_length_is_where_three_standard_errors_reach_the_threshold(power: float) -> None:
    error = power_error(power, 300.0, needed_ps(power, 192), 192)
    assert 3.0 * error == pytest.approx(power - HEATING_POWER, rel=1e-9)


def test_needed_length_without_heating_follows_from_the_noise_or_from_a_known_error() -> None:
    error = power_error(HEATING_POWER, 300.0, needed_ps(0.0, 192), 192)
    assert 3.0 * error == pytest.approx(HEATING_POWER, rel=1e-9)
    assert needed_ps(0.0, 192, gradient=True) == GRADIENT_PS
    assert needed_ps(HEATING_POWER, 192) == float("inf")


def predicted(power: float, low: float, high: float | None) -> dict[str, Any]:
    return {
        "thermostat": "none", "duration_fs": 100.0, "species": "all", "power_meV_per_atom_per_ps": power,
        "power_low_meV_per_atom_per_ps": low, "power_high_meV_per_atom_per_ps": high,
    }  # fmt: skip


def test_predicted_powers_come_from_the_shortest_relaxation_time_with_wider_errors(tmp_path: Path) -> None:
    runaway = predicted(1e9, 1e3, None) | {"duration_fs": 1000.0}
    results = read(write_rows(tmp_path, {"predict": [runaway, predicted(60.0, 50.0, 70.0)]}))
    assert predicted_powers(results, "pet-m", "direct") == (50.0 / PREDICTION_FACTOR, 70.0 * PREDICTION_FACTOR)
    assert predicted_powers(results, "pet-m", "conservative") is None


def assessor(folder: Path, *, gradient: bool = False, seconds: float = 1000.0, ms: float = 1.0) -> Assessor:
    """Of pet-m:direct on 192 atoms, with no job finished."""
    question = Question(
        model=ModelRequest(spec="pet-m:direct"), system=SystemRequest(name="water64"), uses=(Use.NVE,), n_atoms=192
    )
    means = Means(folder=folder, run=lambda _: Summary(), finished=lambda _: False)
    made = Assessor(question, means, FixedClock(seconds), speed=Speed(ms_per_call=ms))
    made.found.model, made.found.mode = "pet-m", "direct"
    if gradient:
        made.forces = Judgement(judge.FORCES, Answer.YES, "", "")
    return made


@pytest.mark.parametrize(
    ("gradient", "rows", "length_fs"),
    [
        # Nothing is predicted: the shortest run.
        (False, [], FIRST_NVE_FS),
        # 20 meV/atom/ps within a factor of 3: 6.7 needs 0.37 ps. 5: 1.67 needs 1.6 ps.
        (False, [predicted(20.0, 20.0, 20.0)], 400.0),
        (False, [predicted(5.0, 5.0, 5.0)], 1600.0),
        (False, [predicted(500.0, 500.0, 500.0)], FIRST_NVE_FS),
        # No heating at all: the noise of the limit needs 29.7 ps, more than the ladder has.
        (False, [predicted(0.0, 0.0, 0.0)], FIRST_NVE_FS * 2 ** (MOST_ROUNDS - 1)),
        (True, [], 1600.0),
    ],
)
def test_the_prediction_chooses_the_run(
    tmp_path: Path, gradient: bool, rows: list[dict[str, Any]], length_fs: float
) -> None:
    folder = write_rows(tmp_path, {"predict": rows} if rows else {"timing": [{"path": "adapter", "ms_per_step": 1.0}]})
    choice = assessor(folder, gradient=gradient).next_step(Use.NVE)
    assert choice is not None
    assert (choice.step.diagnostic, choice.step.length) == ("nve-drift", length_fs)


def test_conservative_models_get_long_runs_at_constant_pressure(tmp_path: Path) -> None:
    folder = write_rows(tmp_path, {"timing": [{"path": "adapter", "ms_per_step": 1.0}]})
    plain = assessor(folder)
    made = Assessor(
        replace(plain.question, uses=(Use.NPT,)), plain.means, plain.clock, speed=plain.speed, found=plain.found
    )
    made.forces = Judgement(judge.FORCES, Answer.YES, "", "")
    choice = made.next_step(Use.NPT)
    assert choice is not None
    assert (choice.step.diagnostic, choice.step.length) == ("npt", 1600.0)


def test_a_prediction_is_run_when_the_next_run_costs_more(tmp_path: Path) -> None:
    folder = write_rows(tmp_path, {"timing": [{"path": "adapter", "ms_per_step": 1.0}]})
    made = assessor(folder)
    asked = []
    for _ in range(MOST_ROUNDS):
        choice = made.next_step(Use.NVE)
        assert choice is not None
        asked.append(choice.step.diagnostic)
        made.tried.add(choice.step.title)
    # The prediction costs 1490 calls, as many as 745 fs of 0.5 fs each.
    assert asked == ["nve-drift"] * 2 + ["predict"] + ["nve-drift"] * 5


def test_a_run_longer_than_the_remaining_time_is_replaced_by_the_longest_that_fits(tmp_path: Path) -> None:
    folder = write_rows(tmp_path, {"timing": [{"path": "adapter", "ms_per_step": 1.0}]})
    # 1.6 ps take 3.2 s and a margin of 10 %.
    for seconds, length in ((3.6, 1600.0), (3.4, 800.0), (0.5, FIRST_NVE_FS), (0.3, None)):
        made = assessor(folder, gradient=True, seconds=seconds)
        choice = made.next_step(Use.NVE)
        assert (choice.step.length if choice else None) == length
        assert choice is None or choice.decides is (length == 1600.0)
        assert "nve-drift of 1.6 ps, about" in made.outlook(Use.NVE)


def test_no_run_length_is_repeated(tmp_path: Path) -> None:
    folder = write_rows(tmp_path, {"timing": [{"path": "adapter", "ms_per_step": 1.0}]})
    made = assessor(folder, gradient=True)
    longer = ladder(Use.NVE, seed=0, molecules=False)[5]
    made.tried.add(longer.title)
    choice = made.next_step(Use.NVE)
    assert choice is not None
    assert choice.step.length == 2 * longer.length


def test_step_times_are_estimated_from_long_runs_only() -> None:
    speed = Speed(ms_per_call=10.0)
    short, long = ladder(Use.NVE, seed=0, molecules=False)[0], ladder(Use.NVE, seed=0, molecules=False)[4]
    speed.learn(short, 192, 60.0)
    assert speed.ms_per_call == 10.0
    speed.learn(long, 192, 80.0)
    assert speed.ms_per_call == pytest.approx(1000.0 * 80.0 / 6400.0)


def test_short_runs_count_where_loading_takes_little_of_them() -> None:
    """A run of 200 fs that takes 60 s shows that the machine has become slower, if loading and timing took 4 s at most."""
    short = ladder(Use.NVE, seed=0, molecules=False)[0]
    for loading_s, ms in ((4.0, 150.0), (8.0, 10.0)):
        speed = Speed(ms_per_call=10.0)
        speed.learn(first_steps((Use.NVE,), seed=0)[0][0], 192, loading_s)
        assert speed.ms_per_call == 10.0
        speed.learn(short, 192, 60.0)
        assert speed.ms_per_call == pytest.approx(ms)


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "1 s"), (45.0, "45 s"), (360.0, "6 min"), (7300.0, "2 h")])
def test_durations_as_text(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("ms", "seconds", "probes", "points"),
    [
        (1.0, 100.0, 16, None),
        # λ of 16 probes costs 80 calls, of 4 a quarter; consistency 86 and 52.
        (110.0, 100.0, 16, 12),
        (500.0, 100.0, 4, 12),
        (2000.0, 100.0, 4, -1),
    ],
)
def test_single_point_diagnostics_of_slow_models_are_reduced_or_skipped(
    tmp_path: Path, ms: float, seconds: float, probes: int, points: int | None
) -> None:
    folder = write_rows(tmp_path, {"timing": [{"path": "adapter", "ms_per_step": ms}]})
    made = assessor(folder, seconds=seconds, ms=ms)
    _, asymmetry, consistency = (made.variant(steps) for steps in first_steps((Use.NVE,), seed=0))
    assert asymmetry is not None
    assert asymmetry.overrides["probes"] == probes
    assert (consistency is None) is (points == -1)
    assert consistency is None or consistency.overrides.get("points") == points


class Recorded(Assessor):
    """Records the requested steps and never reaches a decision."""

    log: list[str]

    def do(self, step: Step) -> str:
        self.tried.add(step.title)
        self.log.append(f"{self.found.mode} {step.diagnostic} {step.length:g}")
        return ""


def test_no_consistency_run_for_a_model_whose_deciding_run_does_not_fit(tmp_path: Path) -> None:
    """A gradient needs 1.6 ps: 3520 s of the slow model and 3.5 s of the fast one."""
    folder = write_rows(tmp_path, {"timing": [{"path": "adapter", "ms_per_step": 1.0}]})
    assert "slow consistency 0" not in scheduled(folder, 1000.0, slow_ms=1000.0)
    assert "fast consistency 0" in scheduled(folder, 1000.0, slow_ms=1000.0)
    assert "slow consistency 0" in scheduled(folder, 10_000.0, slow_ms=1000.0)


def test_the_requested_time_step_is_used_in_all_dynamics(tmp_path: Path) -> None:
    folder = write_rows(tmp_path, {"timing": [{"path": "adapter", "ms_per_step": 1.0}]})
    plain = assessor(folder, gradient=True)
    made = Assessor(replace(plain.question, timestep_fs=2.0), plain.means, plain.clock, speed=plain.speed)
    made.forces = plain.forces
    made.found.model, made.found.mode = "pet-m", "direct"
    step, choice = made._wanted(Use.NVE), plain._wanted(Use.NVE)
    assert step is not None
    assert choice is not None
    assert step.overrides["timestep_fs"] == 2.0
    # As many femtoseconds in a quarter of the calls: the default is 0.5 fs.
    assert made.expected(step) == pytest.approx(plain.expected(choice) / 4)
    (job,) = requests(step, made.question.model, made.question.system)
    assert job.settings.timestep_fs == 2.0
    assert made.found.plain()["timestep_fs"] == 2.0


def test_deciding_runs_come_first_for_all_models(tmp_path: Path) -> None:
    """A gradient needs 1.6 ps, which take the fast model 3.5 s and the slow one 35 s: of that the time left allows a shorter run only."""
    folder = write_rows(tmp_path, {"timing": [{"path": "adapter", "ms_per_step": 1.0}]})
    # With time for both the cheaper one comes first.
    log = scheduled(folder, 100.0)
    assert [entry for entry in log if "1600" in entry] == ["fast nve-drift 1600", "slow nve-drift 1600"]
    log = scheduled(folder, 25.0)
    dynamics = [entry for entry in log if "nve-drift" in entry]
    assert dynamics[0] == "fast nve-drift 1600"
    assert dynamics.index("slow nve-drift 800") > 0
    assert "slow nve-drift 1600" not in dynamics
    # Of each use a run that is longer than all before, or none.
    fast = [float(entry.split()[2]) for entry in dynamics if entry.startswith("fast")]
    assert fast == sorted(set(fast))


def scheduled(folder: Path, seconds: float, *, slow_ms: float = 10.0) -> list[str]:
    """What is run of a slow and a fast model, in order."""
    clock = FixedClock(seconds)
    log: list[str] = []
    both = []
    for mode, ms in (("slow", slow_ms), ("fast", 1.0)):
        plain = assessor(folder, gradient=True, ms=ms)
        made = Recorded(plain.question, plain.means, clock, speed=plain.speed, found=plain.found)
        made.found.mode, made.forces, made.log = mode, plain.forces, log
        both.append(made)
    decide_all(both)
    return log


def test_time_step_and_temperature_of_the_longest_run_are_named(tmp_path: Path) -> None:
    short = {"timestep_fs": 0.5, "steps": 100, "temperature_mean_K": 290.0}
    long = {"timestep_fs": 0.25, "steps": 4000, "temperature_mean_K": 152.4}
    results = read(write_rows(tmp_path, {"nve-drift": [short, long]}))
    expected = "time step 0.25 and 0.5 fs, mean temperature 152 K"
    assert dynamics_text(results, "pet-m", "direct", "water64") == expected
    assert dynamics_text(results, "pet-m", "conservative", "water64") == ""
