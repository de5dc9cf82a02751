"""The coverage benchmark in its fast version: intervals of known error cover as stated."""

from __future__ import annotations

import math

import bench_coverage
import covered
import estimators
import pytest


def test_coverage_counts_only_windows_of_known_error():
    result = [covered.Found(0.0, 1.0, True)] * 95 + [covered.Found(9.0, 1.0, True)] * 5
    assert covered.judged("s", "q", "c", 1.0, result, 0.0)["verdict"] == "covers"
    # 50 of 100 are far from 95 %.
    half = result[:50] + [covered.Found(9.0, 1.0, True)] * 50
    assert covered.judged("s", "q", "c", 1.0, half, 0.0)["verdict"] == "low"
    unknown = [covered.Found(9.0, 1.0, False)] * 100
    row = covered.judged("s", "q", "c", 1.0, unknown, 0.0)
    assert row["verdict"] == "flagged"
    assert math.isnan(float(row["coverage_known"]))


@pytest.mark.slow
def test_intervals_of_known_error_cover_at_least_as_stated():
    table = bench_coverage.coverage(quick=True, runs=None)
    assert not list(table[table["verdict"] == "low"].itertuples())


def test_energy_based_estimators_scatter_less_than_temperature_slopes_and_means():
    used = [gain for gain in estimators.gains(40) if gain.used.startswith(("summary", "columns"))]
    assert len(used) == 5
    # A ratio of two variances of 40 runs has an error of a third; the least true gain, of the drift at 1 ps, is 1.4, the others exceed 50.
    assert all(gain.ratio > (0.7 if gain.condition.endswith("energy, 1000 fs") else 10.0) for gain in used)
