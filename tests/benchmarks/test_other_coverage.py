"""Coverage of λ, accuracy and timing errors, small samples of the benchmark."""

from __future__ import annotations

import numpy as np
import other_quantities
import pytest


def test_unknown_errors_are_flagged_and_low_coverage_is_reported():
    unknown = other_quantities.judged("s", "q", "c", [(0.0, np.nan, np.nan)] * 50, 0.0)
    assert unknown["verdict"] == "flagged"
    low = other_quantities.judged("s", "q", "c", [(0.0, -1.0, 1.0)] * 50 + [(9.0, 8.0, 10.0)] * 50, 0.0)
    assert low["verdict"] == "low"


@pytest.mark.parametrize("rows", [other_quantities.of_lambda, other_quantities.of_timing, other_quantities.of_work])
def test_every_interval_covers_at_least_as_stated(rows):
    # The verdict's 95 % interval of 200 windows (100 loops) is some ±3 % (±4 %) wide, as the verdict takes into account.
    measured = rows(200 if rows is not other_quantities.of_work else 60, np.random.default_rng(11))
    assert [row for row in measured if row["verdict"] == "low"] == []
