"""Exports in the formats of ml-peg and mlipaudit, read by readers written from the descriptions of these formats."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ncbench.cli.main import main
from ncbench.report.conservation.exports import ml_peg_table


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return int(end.value.code or 0)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    model = ("--model", "analytic-solenoidal", "--out", folder, "--quiet")
    assert run("lambda", *model, "--protocol", "ml-peg-lambda") == 0
    assert run("lambda", "--model", "analytic-harmonic", "--system", "water-molecule", "--out", folder, "--quiet", "--protocol", "ml-peg-lambda") == 0  # fmt: skip
    system = ("--system", "harmonic-crystal", "--protocol", "mlipaudit-nve")
    assert run("nve-drift", *model, *system, "--steps", "500") == 0
    assert run("nve-drift", *model, *system, "--steps", "1000") == 0
    # More steps, and yet a shorter run.
    assert run("nve-drift", *model, *system, "--steps", "1500", "--timestep", "0.1") == 0
    return folder


def ml_peg_scores(content: dict[str, Any]) -> dict[str, float | None]:
    """Scores of ml-peg's table, computed again: linear between the thresholds, clipped to [0, 1], weighted; none for a model without values."""
    metrics = [column["id"] for column in content["columns"] if column["id"] not in ("MLIP", "Score")]
    for metric in metrics:
        assert {"good", "bad", "unit"} <= set(content["thresholds"][metric])
    scores = {}
    for row in content["data"]:
        assert content["model_name_map"][row["MLIP"]] == row["id"]
        values = {metric: row[metric] for metric in metrics if row[metric] is not None}
        total = 0.0
        for metric, value in values.items():
            limits = content["thresholds"][metric]
            share = (value - limits["bad"]) / (limits["good"] - limits["bad"])
            total += content["weights"][metric] * min(max(share, 0.0), 1.0)
        scores[row["id"]] = total / sum(content["weights"][m] for m in values) if values else None
    return scores


@dataclass
class StructureResult:
    """A structure of mlipaudit's NVE benchmark; values outside these types are refused."""

    structure_name: str
    description: str
    system_class: str
    num_atoms: int
    num_frames: int
    times_ps: list
    energy_drift_ev: list
    drift_slope_ev_per_ps: float | None
    total_drift_ev: float | None
    kinetic_energy_std_ev: float | None
    energy_drift_ratio: float | None
    intercept_ev: float | None
    skipped: bool
    failed: bool
    score: float | None


def mlipaudit_structures(content: dict[str, Any]) -> list[StructureResult]:
    assert set(content) == {"failed", "score", "structure_results", "n_skipped_unallowed_elements"}
    assert content["score"] is None or 0 <= content["score"] <= 1
    structures = []
    for one in content["structure_results"]:
        assert set(one) == {field.name for field in fields(StructureResult)}
        kinds = {"str": str, "int": int, "bool": bool, "list": list, "float | None": (float, type(None))}
        for field in fields(StructureResult):
            assert isinstance(one[field.name], kinds[str(field.type)]), field.name
        structures.append(StructureResult(**one))
    return structures


def test_ml_pegs_table_has_the_numbers_of_the_protocol_and_their_scores(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run("card", results, "--export", "ml-peg", "--out", tmp_path) == 0
    printed = capsys.readouterr()
    path = Path(printed.out.strip())
    assert path.parent == tmp_path
    assert "analytic-harmonic-conservative has no numbers in the table: without H2O, CH4" in printed.err
    content = json.loads(path.read_text(encoding="utf-8"))
    rows = {row["id"]: row for row in content["data"]}
    # λ of the solenoidal field, κ√2/√(3k² + 2κ²) on every structure, is twice the bad threshold.
    assert rows["analytic-solenoidal-direct"]["mean lambda"] == pytest.approx(0.00816, abs=1e-5)
    assert rows["analytic-solenoidal-direct"]["max lambda"] >= rows["analytic-solenoidal-direct"]["mean lambda"]
    assert rows["analytic-harmonic-conservative"]["mean lambda"] is None
    assert ml_peg_scores(content) == {name: row["Score"] for name, row in rows.items()}


def test_scores_between_the_thresholds_are_those_of_ml_peg() -> None:
    row = {
        "model": "a",
        "force_mode": "direct",
        "system": "ml-peg-ten",
        "differs": "",
        "lambda_mean": 0.001,
        "lambda_max": 0.003,
    }
    content, notes = ml_peg_table([row | {"fraction_score": 0.5}, row | {"model": "b", "fraction_score": math.nan}])
    # (0.75 + 0.25)/2, and a model without all ten.
    assert ml_peg_scores(content) == {"a-direct": pytest.approx(0.5), "b-direct": None}
    assert [one["Score"] for one in content["data"]] == [0.5, None]
    assert notes == ["b-direct has no numbers in the table: not all ten structures have a λ."]


def test_ml_pegs_table_has_the_job_nearest_to_the_published_protocol() -> None:
    row = {"model": "a", "force_mode": "direct", "lambda_mean": 0.001, "lambda_max": 0.003, "fraction_score": math.nan}
    water = row | {"system": "water.xyz", "differs": "without SO2, CH4"}
    refused = row | {"system": "ml-peg-ten", "differs": "without SO2"}
    other_step = row | {"system": "ml-peg-ten", "differs": "step_A 0.01 (0.001)", "fraction_score": 0.4}
    published = row | {"system": "ml-peg-ten", "differs": "", "fraction_score": 0.5}
    for jobs in ([water, refused], [refused, water]):
        assert ml_peg_table(jobs)[1] == ["a-direct has no numbers in the table: without SO2."]
    content, notes = ml_peg_table([published, other_step, water])
    assert (content["data"][0]["Score"], notes) == (0.5, [])


@pytest.mark.parametrize(("protocol", "words"), [("mlipaudit-nve", "score 0"), ("lambench-nve", "instability 5")])
def test_an_exploded_run_of_a_protocol_has_its_line(
    protocol: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Water under the Lennard-Jones potential of argon: its bonds explode in the first step.
    words_of_run = ("nve-drift", "-m", "analytic-lj", "--system", "water64", "--steps", "100")
    assert run(*words_of_run, "--protocol", protocol, "--out", tmp_path, "--quiet") == 0
    assert f"{protocol}: the run counts as failed, {words}. Not as published: steps 100" in capsys.readouterr().out


def test_mlipaudits_result_is_that_of_the_longest_run(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run("card", results, "--export", "mlipaudit", "--out", tmp_path) == 0
    printed = capsys.readouterr()
    path = tmp_path / "analytic-solenoidal-direct" / "nve_energy_conservation" / "result.json"
    assert printed.out.strip() == str(path)
    assert "not as published: steps 1000 (50000)" in printed.err
    content = json.loads(path.read_text(encoding="utf-8"))
    (one,) = mlipaudit_structures(content)
    assert one.num_frames == len(one.times_ps) == len(one.energy_drift_ev) == 21
    assert one.times_ps[-1] == pytest.approx(1.0)
    assert one.energy_drift_ev[0] == 0.0
    line = np.linalg.lstsq(np.stack([one.times_ps, np.ones(21)], axis=1), np.array(one.energy_drift_ev), rcond=None)[0]
    # Two ways to a straight line through 21 points of order 0.01 eV.
    assert (one.drift_slope_ev_per_ps, one.intercept_ev) == pytest.approx(tuple(line), rel=1e-6)
    assert one.total_drift_ev == pytest.approx(abs(line[0]) * 1.0, rel=1e-6)
    assert one.energy_drift_ratio == pytest.approx(one.total_drift_ev / one.kinetic_energy_std_ev, rel=1e-12)
    expected = 1.0 if one.energy_drift_ratio < 1 else math.exp(-3 * (one.energy_drift_ratio - 1))
    assert one.score == content["score"] == pytest.approx(expected, rel=1e-12)
    assert not content["failed"]


def test_a_folder_without_results_of_the_protocol_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ml-peg", "mlipaudit"):
        assert run("card", tmp_path, "--export", name) == 2
        assert "has no results of the protocol" in capsys.readouterr().err
    assert run("card", tmp_path, "--export", "zzz") == 2
