"""The interval of a mean λ over structures covers as stated, whether structures or probes dominate its error."""

from __future__ import annotations

import numpy as np
import pytest

from ncbench.jacobian.clusters import summarise


def repeat(n: int, spread: float, own: float, repeats: int = 600):
    rng = np.random.default_rng(n)
    result = []
    for _ in range(repeats):
        values = 0.3 + spread * rng.normal(size=n) + own * rng.normal(size=n)
        result.append(summarise(values.tolist(), [own] * n, rng))
    return result


@pytest.mark.parametrize("n", [4, 16])
@pytest.mark.parametrize(("spread", "own"), [(0.01, 0.0), (0.01, 0.01), (0.001, 0.01)])
def test_interval_of_the_mean_covers_as_stated(n, spread, own):
    result = repeat(n, spread, own)
    inside = np.mean([f["lambda_low"] <= 0.3 <= f["lambda_high"] for f in result])
    # 95 % of 600 has a standard deviation of 0.9 %; errors bounded below by those of the probes give wide intervals.
    assert inside >= 0.95 - 4 * 0.009
    assert inside <= 0.995 if spread > own else inside <= 1.0


def test_the_spread_over_structures_excludes_the_error_of_probes():
    result = repeat(16, 0.01, 0.01)
    # A variance of 16 values is good to √(2/15) = 37 % a draw, and one of the two is taken from their sum: 600 draws tell 4 %.
    assert np.mean([f["lambda_sd"] ** 2 for f in result]) == pytest.approx(1e-4, rel=0.15)
    bare = np.mean([f["lambda_se"] for f in result])
    assert bare == pytest.approx(np.sqrt(2e-4 / 16), rel=0.05)


def test_equal_structures_have_the_error_of_their_probes():
    result = summarise([0.2, 0.2, 0.2, 0.2], [0.01, None, 0.01, float("nan")], np.random.default_rng(0))
    assert result["lambda_sd"] == 0.0
    assert result["lambda_se"] == pytest.approx(np.sqrt(0.5) * 0.01 / 2)
    assert (result["lambda_least"], result["lambda_most"], result["n_structures"]) == (0.2, 0.2, 4)


def test_intervals_stay_between_the_limits_of_lambda():
    result = summarise([0.001, 0.5], [0.0, 0.0], np.random.default_rng(0))
    assert (result["lambda_low"], result["lambda_high"]) == (0.0, 1.0)
