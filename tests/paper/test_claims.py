"""The paper's claims: what their checks compute, when they decide, and that they name numbers that exist."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from result_rows import nvt, rows
from rich.console import Console

from ncbench.jacobian.settings import LARGEST_GRADIENT
from ncbench.paper import numbers
from ncbench.paper.claims import (
    Check,
    Claim,
    Fact,
    Verdict,
    answer,
    answers,
    build,
    claims,
    judge,
    quantities,
    thresholds,
)
from ncbench.paper.compare import Source, compare, counterparts
from ncbench.paper.overview import claim_table, count_table, survey
from ncbench.paper.selecting import Ours
from ncbench.paper.terminal import show_claims

ROOT = Path(__file__).resolve().parents[2]


def fact(value: float | None, error: float | None = 0.1, *, run: str = "", **changed: Any) -> Fact:
    ours = Ours(model="pet-m:direct", value=value, error=error, conditions=run, **changed)
    return Fact(ours=ours, unit="K", table="nvt", reason="" if value is not None else "nvt was not run")


def check(**entries: Any) -> Check:
    return Check(**({"says": "excess", "of": "a", "rule": "above", "limit": 1.0} | entries))


@pytest.mark.parametrize(
    ("rule", "value", "verdict"),
    [
        ("above", 1.31, Verdict.AGREES), ("above", 1.29, Verdict.OPEN), ("above", 0.69, Verdict.DIFFERS),
        ("below", 0.69, Verdict.AGREES), ("below", 0.71, Verdict.OPEN), ("below", 1.31, Verdict.DIFFERS),
        ("below", -5.0, Verdict.AGREES), ("above", -5.0, Verdict.DIFFERS),
        ("magnitude_above", -5.0, Verdict.AGREES), ("magnitude_below", -5.0, Verdict.DIFFERS),
        ("magnitude_below", -0.5, Verdict.AGREES), ("magnitude_below", -0.8, Verdict.OPEN),
    ],
)  # fmt: skip
def test_three_standard_errors_decide(rule: str, value: float, verdict: Verdict) -> None:
    # The limit is 1 and the error 0.1, so that values beyond 0.7 and 1.3 decide.
    assert judge(check(rule=rule), {"a": fact(value)}).verdict is verdict


def test_an_error_that_is_not_known_decides_nothing() -> None:
    for known, reason in (
        (fact(100.0, None), "the error is not known"),
        (fact(100.0, math.nan), "the error is not known"),
        (fact(100.0, loose=True), "lower bound"),
    ):
        result = judge(check(), {"a": known})
        assert (result.verdict, result.value) == (Verdict.OPEN, 100.0)
        assert reason in result.text
    assert "100.00(10)?" in judge(check(), {"a": fact(100.0, loose=True)}).text


def test_a_number_that_is_missing_gives_its_reason() -> None:
    result = judge(check(over="b"), {"a": fact(1.0), "b": fact(None)})
    assert (result.verdict, result.value) == (Verdict.MISSING, None)
    assert "not testable here: nvt was not run" in result.text


def test_an_explosion_agrees_only_where_the_claim_is_about_instability() -> None:
    exploded = fact(None, exploded=True)
    assert judge(check(explosion=True), {"a": exploded}).verdict is Verdict.AGREES
    assert judge(check(), {"a": exploded}).verdict is Verdict.OPEN
    # An explosion of what is subtracted does not show that the other is hotter.
    subtracted = {"a": fact(9.0), "b": exploded}
    assert judge(check(minus=("b",), explosion=True), subtracted).verdict is Verdict.OPEN


def test_errors_of_one_run_are_added_and_of_two_in_quadrature() -> None:
    difference = check(minus=("b",))
    apart = judge(difference, {"a": fact(9.0, 0.3, run="x"), "b": fact(5.0, 0.4, run="y")})
    assert (apart.value, apart.error) == (4.0, pytest.approx(0.5))
    together = judge(difference, {"a": fact(9.0, 0.3, run="x"), "b": fact(5.0, 0.4, run="x")})
    assert together.error == pytest.approx(0.7)


def test_a_ratio_has_the_relative_errors_in_quadrature() -> None:
    known = {"a": fact(6.0, 0.3, run="x"), "b": fact(2.0, 0.2, run="y"), "c": fact(0.5, 0.1, run="z")}
    result = judge(check(over="b"), known)
    assert result.value == pytest.approx(3.0)
    # 5 % and 10 % of 3.
    assert result.error == pytest.approx(3.0 * math.hypot(0.05, 0.10))
    assert result.unit == ""
    less = judge(check(over="b", minus=("c", "c")), known)
    assert less.value == pytest.approx(2.0)


def test_the_papers_own_numbers_give_the_same_combination() -> None:
    known = {"a": replace(fact(6.0), printed=24.3), "b": replace(fact(2.0), printed=18.6)}
    assert judge(check(over="b"), known).paper == pytest.approx(24.3 / 18.6)
    assert judge(check(over="b"), {**known, "b": fact(2.0)}).paper is None


def claim(*checks: Check) -> Claim:
    return Claim(key="k", place="section 1", text="t", command="c", checks=checks)


def test_a_claim_differs_if_one_check_does_and_agrees_if_all_do() -> None:
    known = {"high": fact(9.0), "low": fact(0.0), "near": fact(1.0), "none": fact(None)}
    expected = {
        ("high", "high"): Verdict.AGREES,
        ("high", "low"): Verdict.DIFFERS,
        ("high", "near"): Verdict.PARTLY,
        ("high", "none"): Verdict.PARTLY,
        ("near", "none"): Verdict.OPEN,
        ("none", "none"): Verdict.MISSING,
    }
    for names, verdict in expected.items():
        assert answer(claim(*(check(of=name) for name in names)), known).verdict is verdict


def answered(tables: dict[str, pd.DataFrame]) -> dict[str, Any]:
    comparisons = [compare(numbers.table(name), tables, counterparts()) for name in numbers.names()]
    return {one.claim.key: one for one in answers(comparisons, [Source("", tables)])}


def test_claims_are_read_from_result_tables() -> None:
    # Hydrogen 298 ± 3 K and oxygen 350 ± 4 K of one run: 52 ± 7 K, seven standard errors.
    hot = nvt("pet-m:direct")
    hot["temperature_excess_K"] = [0.6, -2.0, 50.0]
    hot["temperature_K_se"] = [0.3, 3.0, 4.0]
    result = answered({"nvt": hot})
    equipartition = result["global-thermostat"].checks[1]
    assert (equipartition.verdict, equipartition.value, equipartition.error) == (Verdict.AGREES, 52.0, 7.0)
    assert equipartition.paper == pytest.approx(9.9 + 4.4)
    assert result["global-thermostat"].verdict is Verdict.AGREES
    assert result["general-models"].verdict is Verdict.MISSING
    cold = hot.assign(temperature_excess_K=[0.6, 2.0, -50.0])
    assert answered({"nvt": cold})["global-thermostat"].verdict is Verdict.DIFFERS


def test_a_quantity_of_pairs_uses_the_distances_of_its_range() -> None:
    entries = [{"distance_A": 1.0, "lambda_ij": 0.02}, {"distance_A": 1.2, "lambda_ij": 0.04}]
    entries += [{"distance_A": d, "lambda_ij": value} for d, value in ((5.6, 0.7), (6.4, 0.72), (7.0, 99.0))]
    result = answered({"lambda-pairs": rows("pet-m:direct", entries)})["asymmetry-distance"]
    assert result.checks[0].value == pytest.approx(0.71 - 0.03)
    assert result.checks[1].value == pytest.approx(0.71)


def test_molecules_that_came_apart_are_no_evidence_of_relaxation() -> None:
    shared = {
        "system": "water-molecule",
        "optimizer": "lbfgs",
        "max_steps": 1000,
        "fmax_eV_per_A": 1e-5,
        "displacement_A": 0.5,
    }
    relaxed = pd.concat(
        [
            rows("pet-m:direct", [{"n": 100, "n_success": 15, "n_fragmented": 15}], **shared),
            rows("pet-m:conservative", [{"n": 100, "n_success": 49, "n_fragmented": 19}], **shared),
        ]
    )
    checks = answered({"relax": relaxed})["relaxation"].checks
    assert [check.value for check in checks] == [34.0, 30.0, None]
    assert [check.verdict for check in checks] == [Verdict.AGREES, Verdict.AGREES, Verdict.MISSING]


def test_every_check_names_a_number_that_exists() -> None:
    cells = {cell.name for name in numbers.names() for cell in numbers.table(name).cells}
    used = {name for one in claims() for each in one.checks for name in each.names}
    assert used <= cells | set(quantities())
    assert set(quantities()) <= used
    assert len(claims()) == 15
    assert len({one.key for one in claims()}) == 15
    assert all(one.text and one.place and one.command and one.checks for one in claims())


def test_a_gradient_is_what_the_diagnostic_calls_so() -> None:
    assert thresholds()["gradient"] == pytest.approx(LARGEST_GRADIENT, rel=1e-12)


def test_a_check_has_one_rule() -> None:
    entry = {"key": "k", "place": "p", "text": "t", "command": "c"}
    for rules in ({}, {"above": 0.0, "below": 1.0}):
        content = {"schema": 1, "quantities": [], "claims": [entry | {"checks": [{"says": "s", "of": "a", **rules}]}]}
        with pytest.raises(ValueError, match="rules"):
            build(content)


def test_the_committed_results_answer_every_claim(tmp_path: Path) -> None:
    folders = [ROOT / "results" / name for name in ("paper", "laptop", "training/laptop", "training/pet-m", "assess")]
    surveyed = survey(folders, counterparts())
    table = claim_table(surveyed.answers)
    assert len(table.lines) == 15
    frame = pd.read_csv(table.write(tmp_path)["csv"])
    assert len(frame) == sum(len(one.checks) for one in claims())
    # No verdict without a known error.
    decided = frame[frame["answer"].isin(["agrees", "differs"])]
    assert np.isfinite(decided["error"]).all()
    assert not decided["error_is_bound"].astype(bool).any()
    counts = count_table(surveyed.comparisons)
    for row in counts.rows:
        assert row["numbers"] == sum(
            row[name] for name in ("same_model", "different_model", "exploded", "not_measured")
        )
        assert row["for_weights"] + row["for_time"] <= row["not_measured"]
    assert "| table8 | 42 |" in counts.markdown()
    # The commands of benchmarks/long/README.md write the committed files again.
    for overview in (table, counts):
        committed = ROOT / "results" / "paper" / "paper" / f"paper-{overview.name}.md"
        assert overview.markdown() == committed.read_text(encoding="utf-8"), f"write {committed.name} again"


def test_claims_fit_into_80_columns_without_broken_words() -> None:
    comparisons = [compare(numbers.table(name), {}, counterparts()) for name in numbers.names()]
    answered_claims = answers(comparisons, [Source("", {})])
    stream = io.StringIO()
    show_claims(answered_claims, claim_table(answered_claims), Console(file=stream, width=80))
    lines = stream.getvalue().splitlines()
    assert all(len(line.rstrip()) <= 80 for line in lines)
    words = set(stream.getvalue().split())
    for one in answered_claims:
        assert set(one.claim.text.split()) <= words
        assert set(one.claim.command.split()) <= words
        assert all(set(check.text.split()) <= words for check in one.checks)


def test_the_rule_of_errors_is_stated_below_the_claims() -> None:
    assert "from one run, which may be correlated, are added" in " ".join(claim_table([]).notes)
