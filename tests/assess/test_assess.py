"""``assess``: uses are decided by rounds of runs; stopping when decided does not inflate wrong decisions; remedies are tried."""

from __future__ import annotations

import html
import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from ase import Atoms
from ase.constraints import FixAtoms

from ncbench.assess.evidence import JUDGED, MOST_ROUNDS, Use, first_steps, ladder
from ncbench.assess.result import legend
from ncbench.cli.main import main
from ncbench.report.decide import HEATING_POWER, Answer, Power, decide
from ncbench.report.judge import RULES, judge_nve
from ncbench.statistics.cells import Cell

SCHEMA = json.loads((Path(__file__).resolve().parents[2] / "docs" / "assess.schema.json").read_text(encoding="utf-8"))


def typed(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["assess", *arguments])
    return int(str(end.value.code))


@pytest.mark.parametrize(
    ("looks", "skips"),
    [
        # A use's own ladder, all of it or with rungs passed over as a noisy first result suggests; NVE's and a thermostat's together; thermostats tried.
        (MOST_ROUNDS, False),
        (MOST_ROUNDS, True),
        (2 * MOST_ROUNDS, False),
        (10, False),
    ],
)
def test_wrong_decisions_of_sequential_stopping_are_as_rare_as_stated(looks: int, skips: bool) -> None:
    """Independent runs whose errors shrink by 1/√2 each, for true values just above and below the threshold."""
    rng = np.random.default_rng(0)
    trials = 4000
    for truth, wrong in ((1.001 * HEATING_POWER, Answer.YES), (0.999 * HEATING_POWER, Answer.NO)):
        mistakes = 0
        for _ in range(trials):
            number = 0
            while number < looks:
                # Beyond the ladder of one diagnostic the other's begins again with short runs.
                error = 4.0 * HEATING_POWER / np.sqrt(2.0) ** (number % MOST_ROUNDS)
                value = truth + error * rng.normal()
                answer, _ = decide(value, error, HEATING_POWER)
                if answer in (Answer.YES, Answer.NO):
                    mistakes += answer is wrong
                    break
                # The next run depends on what the last one showed.
                number += 1 + (skips and int(abs(value) > 2.0 * HEATING_POWER))
        # Stated: at most 0.27 % a look, of which half is on the wrong side of one threshold, with three binomial standard errors of the trials.
        most = looks * 0.00135
        assert mistakes / trials < most + 3.0 * np.sqrt(most / trials)


def test_every_use_has_a_judge_and_a_ladder_of_runs() -> None:
    assert {JUDGED[use] for use in Use} <= set(RULES)
    for use in Use:
        steps = ladder(use, seed=3, molecules=True)
        assert len(steps) == MOST_ROUNDS
        assert len({step.seed for step in steps}) == MOST_ROUNDS
        costs = [step.cost(64) for step in steps]
        assert costs == sorted(costs)
        assert all(use in step.uses for step in steps)
        lengths = [step.length for step in steps]
        assert lengths == [lengths[0] * 2**number for number in range(MOST_ROUNDS)]
    assert [steps[0].diagnostic for steps in first_steps((Use.RELAX,), seed=0)] == ["timing", "lambda"]
    for variants in first_steps(tuple(Use), seed=0):
        costs = [step.cost(64) for step in variants]
        assert costs == sorted(costs, reverse=True)


def test_a_solenoidal_field_is_unsafe_and_its_remedies_are_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    command = (
        "--model",
        "analytic-solenoidal",
        "--system",
        "harmonic-crystal",
        "--for",
        "nve",
        "--time",
        "2m",
        "--out",
        out,
        "-q",
    )
    assert typed(*command, "--json") == 1
    (result,) = json.loads(capsys.readouterr().out)
    assert [(one["use"], one["answer"]) for one in result["uses"]] == [("nve", "unsafe")]
    (remedy,) = result["remedies"]
    assert remedy["status"] == "verified"
    assert "Langevin" in remedy["what"]
    assert remedy["what"] in result["verdict"]
    jsonschema.validate(result, SCHEMA["items"])
    assert json.loads((tmp_path / "out" / "assess.json").read_text(encoding="utf-8")) == [result]
    page = (tmp_path / "out" / "assess.html").read_text(encoding="utf-8")
    assert all(str(html.escape(one["evidence"])) in page for one in [*result["uses"], remedy])
    # Everything is in the folder: repeated, nothing is run and the answer is the same.
    ran = sorted(path.name for path in (tmp_path / "out" / "jobs").iterdir())
    assert typed(*command, "--json") == 1
    (again,) = json.loads(capsys.readouterr().out)
    assert (again["uses"], again["remedies"]) == (result["uses"], result["remedies"])
    assert sorted(path.name for path in (tmp_path / "out" / "jobs").iterdir()) == ran


def test_a_conservative_field_is_safe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--system", "harmonic-crystal", "--for", "nve,nvt-local", "--time", "2m", "--out", str(tmp_path), "-q")
    assert typed("--model", "analytic-harmonic", *where) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n  safe ") == 2
    assert (
        "Safe, by three standard errors: NVE: energy drift below 0.078 meV/atom/ps (30 K in 100 ps); local thermostat (τ = 100 fs): "
        in printed
    )
    assert "(--for nvt-global,npt,relax)" in printed
    # Nothing is open.
    assert "The same command continues" not in printed
    assert "no heating by non-conservative forces" in printed


def test_uses_stay_open_when_time_runs_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--system", "harmonic-crystal", "--for", "nvt-global", "--time", "1s", "--out", str(tmp_path), "-q")
    assert typed("--model", "analytic-harmonic", *where) == 1
    printed = capsys.readouterr().out
    assert "open" in printed
    assert "Run the same command again to continue" in printed


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--time", "soon"), "--time soon is not a length of time"),
        (("--for", "nve,nvd"), "There is no use 'nvd'"),
        (("--budget", "smoke"), "No such option: --budget. Give the time it may take: --time 5m."),
        (("--tume", "5m"), "(Possible options: --mode, --time, --timestep)"),
    ],
)
def test_wrong_options_are_reported(
    arguments: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed("--model", "analytic-lj", *arguments) == 2
    assert sentence in capsys.readouterr().err


def test_a_model_that_fails_leaves_everything_open(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    factory = tmp_path / "broken.py"
    factory.write_text(
        "from ase.calculators.calculator import Calculator, all_changes\n\n\n"
        "class Broken(Calculator):\n    implemented_properties = ['energy', 'forces']\n\n"
        "    def calculate(self, atoms=None, properties=('energy',), system_changes=all_changes):\n"
        "        raise ValueError('no weights')\n",
        encoding="utf-8",
    )
    where = ("--system", "harmonic-crystal", "--out", str(tmp_path / "out"), "-q", "--json")
    assert typed("--model", f"{factory}:Broken", *where) == 1
    (result,) = json.loads(capsys.readouterr().out)
    jsonschema.validate(result, SCHEMA["items"])
    assert {one["answer"] for one in result["uses"]} == {"open"}
    assert "no weights" in result["verdict"]
    # The point-wise tests are enough: nothing else is tried.
    assert [step.split()[0] for step in result["steps"]] == ["timing", "lambda", "consistency"]


@pytest.mark.parametrize("uses", ["nve,nvt-local,nvt-global", "nve"])
def test_constraints_leave_dynamics_open_with_the_reason(
    uses: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    atoms = Atoms("Ar3", positions=[[0.0, 0.0, 0.0], [3.8, 0.0, 0.0], [1.8, 3.3, 0.2]])
    atoms.set_constraint(FixAtoms([0]))
    atoms.write(tmp_path / "held.traj")
    where = (
        "--structure",
        str(tmp_path / "held.traj"),
        "--time",
        "20s",
        "--out",
        str(tmp_path / "out"),
        "-q",
        "--json",
    )
    assert typed("--model", "analytic-lj", "--for", uses, *where) == 1
    (result,) = json.loads(capsys.readouterr().out)
    for use in result["uses"]:
        assert use["answer"] == "open"
        assert "The structure has constraints (FixAtoms)" in use["evidence"], use
        assert "Remove them from the structure" in use["evidence"]


def test_a_model_without_stress_leaves_constant_pressure_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--system", "harmonic-crystal", "--for", "npt", "--time", "2m", "--out", str(tmp_path), "-q", "--json")
    assert typed("--model", "analytic-harmonic", *where) == 1
    (result,) = json.loads(capsys.readouterr().out)
    (use,) = result["uses"]
    assert (use["use"], use["answer"]) == ("npt", "open")
    assert "stress" in use["evidence"]
    assert use["outlook"] == ""
    assert sum(step.startswith("npt") for step in result["steps"]) == 1


def test_an_explosion_of_an_unsuited_structure_is_open_and_nothing_is_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lennard-Jones argon on water: the bonds are a third of its diameter."""
    where = ("--system", "water8", "--time", "2m", "--out", str(tmp_path), "-q", "--json")
    assert typed("--model", "analytic-lj", *where) == 1
    (result,) = json.loads(capsys.readouterr().out)
    answers = {use["use"]: use for use in result["uses"]}
    assert {use["answer"] for use in answers.values()} == {"open"}
    assert "the start is not relaxed (forces of" in answers["nve"]["evidence"]
    assert {use["outlook"] for use in answers.values()} == {"no other run was made: it would explode too"}
    assert [step.split()[0] for step in result["steps"]] == ["timing", "lambda", "consistency", "nve-drift"]
    assert result["remedies"] == []


def test_the_legend_says_what_a_number_without_a_known_error_decides() -> None:
    drift = Power(Cell(88.0, 17.0, loose=True), 192, 0.2, 300.0, "at constant energy", single_ps=0.2)
    judged = judge_nve(drift, gradient=False, jump=(None, ""))
    assert (judged.answer, "drift 88(17)? meV/atom/ps" in judged.evidence) == (Answer.NO, True)
    assert "'?': the run is too short to know the error; it can show that the heating is above its limit" in legend(
        [Use.NVE]
    )
