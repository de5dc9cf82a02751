"""``assess``: uses are decided by rounds of runs; stopping when decided does not inflate wrong decisions; remedies are tried."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ncbench.assess.assess import Assessment, Remedy, _rounded_down, _stepping
from ncbench.assess.evidence import JUDGED, MOST_ROUNDS, Use, first_steps, rounds
from ncbench.cli.main import main
from ncbench.report.judge import HEATING_POWER, RULES, Answer, decide
from ncbench.report.read import Results


def typed(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["assess", *arguments])
    return int(str(end.value.code))


def test_stopping_when_decided_is_wrong_as_rarely_as_stated() -> None:
    """Looks at independent runs whose errors shrink as 1/√2 each, at true values just beyond and just within the threshold."""
    rng = np.random.default_rng(0)
    for truth, wrong in ((1.001 * HEATING_POWER, Answer.YES), (0.999 * HEATING_POWER, Answer.NO)):
        mistakes = 0
        trials = 4000
        for _ in range(trials):
            error = 4.0 * HEATING_POWER
            for _ in range(MOST_ROUNDS):
                answer, _ = decide(truth + error * rng.normal(), error, HEATING_POWER)
                if answer in (Answer.YES, Answer.NO):
                    mistakes += answer is wrong
                    break
                error /= np.sqrt(2.0)
        # Stated: at most 2.2 %; one-sided 1.1 %. Three binomial standard errors of 1.1 % in 4000 trials are 0.5 %.
        assert mistakes / trials < 0.016


def test_every_use_has_a_judge_and_rounds_of_its_own() -> None:
    assert {JUDGED[use] for use in Use} <= set(RULES)
    for use in Use:
        steps = list(rounds(use, seed=3, molecules=True))
        assert len(steps) == MOST_ROUNDS
        assert len({step.seed for step in steps}) == MOST_ROUNDS
        costs = [step.cost(64) for step in steps]
        assert costs == sorted(costs)
        assert all(use in step.uses for step in steps)
    assert [step.diagnostic for step in first_steps((Use.RELAX,), seed=0)] == ["lambda"]


def test_a_curl_is_unsafe_and_its_remedy_is_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
    (found,) = json.loads(capsys.readouterr().out)
    assert [(one["use"], one["answer"]) for one in found["uses"]] == [("nve", "unsafe")]
    (remedy,) = found["remedies"]
    assert remedy["status"] == "verified"
    assert "Langevin" in remedy["what"]
    # Everything is in the folder: asked again, nothing is run and the answer is the same.
    ran = sorted(path.name for path in (tmp_path / "out" / "analytic-solenoidal" / "jobs").iterdir())
    assert typed(*command, "--json") == 1
    (again,) = json.loads(capsys.readouterr().out)
    assert again["uses"] == found["uses"]
    assert sorted(path.name for path in (tmp_path / "out" / "analytic-solenoidal" / "jobs").iterdir()) == ran


def test_a_gradient_is_safe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--system", "harmonic-crystal", "--for", "nve,nvt-local", "--time", "2m", "--out", str(tmp_path), "-q")
    assert typed("--model", "analytic-harmonic", *where) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n  safe ") == 2
    assert "no heating by non-conservative forces" in printed


def test_no_time_leaves_uses_open(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--system", "harmonic-crystal", "--for", "nvt-global", "--time", "1s", "--out", str(tmp_path), "-q")
    assert typed("--model", "analytic-harmonic", *where) == 1
    assert "open" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(("--time", "soon"), "--time soon is not a length of time"), (("--for", "nve,nvd"), "There is no use 'nvd'")],
)
def test_what_is_wrong_is_said(arguments: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("--model", "analytic-lj", *arguments) == 2
    assert sentence in capsys.readouterr().err


def _strides(*rows: tuple[int, float, float, bool]) -> Results:
    frame = pd.DataFrame(
        [
            {
                "model": "m", "force_mode": "direct", "system": "s", "status": "ok", "integrator": "mts", "stride": stride,
                "energy_drift_meV_per_atom_per_ps": drift, "energy_drift_meV_per_atom_per_ps_se": error, "error_known": known,
                "ratio_cost": 1.2, "duration_fs": 200.0,
            }
            for stride, drift, error, known in rows
        ]
    )  # fmt: skip
    return Results(Path(), {"mts": frame})


@pytest.mark.parametrize(
    ("rows", "stride", "status"),
    [
        # The largest stride that is shown to be quiet goes before a larger one that is not shown to heat.
        ([(4, 0.0, 0.01, True), (8, 0.0, 0.02, True), (16, 1.0, 5.0, True)], 8, "verified"),
        # An error that is a lower bound verifies nothing.
        ([(4, 0.0, 0.01, False), (8, 100.0, 1.0, True)], 4, "open"),
        ([(4, 100.0, 1.0, False)], None, ""),
        ([], None, ""),
    ],
)
def test_multiple_time_stepping_is_verified_by_known_errors_alone(rows, stride, status) -> None:
    remedies = (
        _stepping(_strides(*rows), Assessment("m", "direct"))
        if rows
        else _stepping(Results(Path(), {}), Assessment("m", "d"))
    )
    if stride is None:
        assert remedies == []
    else:
        assert [(one.status, f"every {stride} steps" in one.what) for one in remedies] == [(status, True)]


@pytest.mark.parametrize(
    ("tau", "rounded"), [(0.4, 0.0), (1.0, 1.0), (12.9, 10.0), (99.0, 50.0), (1234.0, 1000.0), (25.0, 20.0)]
)
def test_time_constants_are_rounded_down(tau: float, rounded: float) -> None:
    assert _rounded_down(tau) == pytest.approx(rounded)


def test_the_schema_describes_the_json() -> None:
    schema = json.loads(
        (Path(__file__).resolve().parents[2] / "docs" / "assess.schema.json").read_text(encoding="utf-8")
    )
    assessment = Assessment("m", "direct", remedies=[Remedy(Use.NVE, "w", "p", "verified", "e")])
    assert set(assessment.plain()) == set(schema["items"]["required"])
    assert set(assessment.plain()["remedies"][0]) == set(schema["items"]["properties"]["remedies"]["items"]["required"])
