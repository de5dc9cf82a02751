"""The coverage benchmark in its fast version: intervals whose error is said to be known cover."""

from __future__ import annotations

import math

import bench_coverage
import pytest


def test_a_row_is_judged_by_its_windows_of_known_error():
    result = [bench_coverage.Found(0.0, 1.0, True)] * 95 + [bench_coverage.Found(9.0, 1.0, True)] * 5
    assert bench_coverage.judged("s", "q", "c", 1.0, result, 0.0)["verdict"] == "covers"
    # 50 of 100 are far from 95 %.
    half = result[:50] + [bench_coverage.Found(9.0, 1.0, True)] * 50
    assert bench_coverage.judged("s", "q", "c", 1.0, half, 0.0)["verdict"] == "low"
    unknown = [bench_coverage.Found(9.0, 1.0, False)] * 100
    row = bench_coverage.judged("s", "q", "c", 1.0, unknown, 0.0)
    assert row["verdict"] == "flagged"
    assert math.isnan(float(row["coverage_known"]))


@pytest.mark.slow
def test_no_interval_of_known_error_covers_less_than_it_says():
    table, gains = bench_coverage.coverage(quick=True, runs=None)
    assert not list(table[table["verdict"] == "low"].itertuples())
    # What replaces a slope or a mean of a temperature must be sharper than that.
    assert all(gain > 1.0 for name, _, gain in gains if name.startswith(("temperature drift", "ΔT")))
