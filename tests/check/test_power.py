"""Power of the quick suite, simulated from real repeats."""

from __future__ import annotations

import csv
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ncbench.check.baseline import Baseline
from ncbench.check.judge import compare
from ncbench.check.metrics import BLIND_OTHER_SEED, BLIND_SAME_SEED, BY_NAME, METRICS, Measured
from ncbench.check.outputs import BLIND, CheckResult, table

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def power() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_power", ROOT / "benchmarks" / "check_power.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("same_seed", [True, False])
def test_a_20_percent_increase_of_lambda_is_detected(power: ModuleType, same_seed: bool) -> None:
    powers = power.simulate(BY_NAME["lambda"], power.read(), same_seed=same_seed, checks=300)
    assert next(one.found for one in powers if one.size == 1.2) >= 0.9
    assert next(one.found for one in powers if one.change == "unchanged") < 0.01


@pytest.mark.parametrize("same_seed", [True, False])
def test_a_10_percent_increase_of_predicted_power_is_detected(power: ModuleType, same_seed: bool) -> None:
    powers = power.simulate(BY_NAME["predicted_power"], power.read(), same_seed=same_seed, checks=300)
    assert next(one.found for one in powers if one.size == 1.1) >= 0.99
    assert next(one.found for one in powers if one.change == "unchanged") < 0.01


@pytest.mark.parametrize("same_seed", [True, False])
def test_false_alarm_rate_over_all_metrics_is_below_one_percent(power: ModuleType, same_seed: bool) -> None:
    repeats = power.read()
    alarms = 0.0
    for metric in METRICS:
        powers = power.simulate(metric, repeats, same_seed=same_seed, checks=400)
        alarms += next(one.found for one in powers if one.change == "unchanged")
    # The sum over metrics bounds the probability that any of them fails.
    assert alarms < 0.01


def test_metrics_without_power_equal_those_of_the_simulation() -> None:
    with (ROOT / "results" / "bench" / "check_power.csv").open(encoding="utf-8", newline="") as file:
        tenfold = [row for row in csv.DictReader(file) if row["change"] == "factor" and float(row["size"]) == 10.0]
    assert len(tenfold) == 2 * len(METRICS)
    for seed, blind in (("same", BLIND_SAME_SEED), ("other", BLIND_OTHER_SEED)):
        assert {row["metric"] for row in tenfold if row["seed"] == seed and float(row["found"]) < 0.9} == blind


@pytest.mark.parametrize(("suite", "remarked"), [("quick", True), ("full", False)])
def test_a_check_lists_the_metrics_without_statistical_power(suite: str, remarked: bool) -> None:
    metrics = {"lambda": Measured(0.01), "drift": Measured(1.0)}
    one = Baseline(
        model="a", force_mode="direct", suite=suite, system="water64", seed=0, metrics=metrics, conditions={}
    )
    findings = tuple(compare(metrics, metrics, paired=True))
    _, rows = table(CheckResult(new=one, old=one, findings=findings, limits=(), failures=()))
    assert {row[1] for row in rows if BLIND in row[-1]} == ({"drift"} if remarked else set())
