from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import lfilter

from ncbench.diagnostics.statistics import autocorrelation_time, blocking_mean, slope, wilson_interval


def autoregressive(rng, n, phi):
    """Stationary AR(1) of unit innovations: variance 1/(1 − φ²), τ = (1 + φ)/2(1 − φ)."""
    noise = rng.normal(size=n)
    noise[0] /= math.sqrt(1 - phi**2)
    return lfilter([1.0], [1.0, -phi], noise)


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_the_blocking_error_is_that_of_an_autoregressive_series(phi):
    n = 2**16
    mean = blocking_mean(autoregressive(np.random.default_rng(1), n, phi))
    exact = 1 / (1 - phi) / math.sqrt(n)
    # Read from more than 200 blocks: 5 % a standard error.
    assert mean.blocks > 200
    assert mean.plateau
    assert mean.error == pytest.approx(exact, rel=0.2)
    assert mean.correlation_time == pytest.approx((1 + phi) / (2 * (1 - phi)), rel=0.4)


@pytest.mark.parametrize(("phi", "n"), [(0.0, 300), (0.5, 1000), (0.9, 2000), (0.98, 8192)])
def test_the_95_percent_interval_of_the_mean_covers_as_often_as_it_says(phi, n):
    rng = np.random.default_rng(7)
    repeats = 600
    hits = 0
    for _ in range(repeats):
        mean = blocking_mean(autoregressive(rng, n, phi))
        hits += abs(mean.value) < 1.96 * mean.error
    # 80 correlation times and more. A share of 0.95 in 600 repeats has a standard error of 0.9 %.
    assert 0.92 <= hits / repeats <= 0.98


def test_a_series_shorter_than_its_memory_has_no_plateau():
    walk = np.cumsum(np.random.default_rng(3).normal(size=512))
    assert not blocking_mean(walk).plateau


def test_short_constant_and_broken_series_give_no_number_they_do_not_have():
    assert blocking_mean(np.full(100, 3.0)).error == 0.0
    assert math.isnan(blocking_mean(np.array([1.0])).error)
    assert math.isnan(blocking_mean(np.array([])).value)
    assert math.isnan(blocking_mean(np.array([1.0, np.nan, 2.0])).error)
    assert math.isnan(slope(np.arange(3.0), np.array([1.0, np.nan, 2.0])).value)
    assert math.isnan(slope(np.arange(1.0), np.array([1.0])).value)
    few = slope(np.arange(4.0), 2 * np.arange(4.0))
    assert few.value == pytest.approx(2.0)
    assert math.isnan(few.error)


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_the_autocorrelation_time_of_an_autoregressive_series(phi):
    tau = autocorrelation_time(autoregressive(np.random.default_rng(2), 100_000, phi))
    # Relative error √(2(2M + 1)/n) with a window M of 5τ: 4 % at φ = 0.9; the window cuts off 1 %.
    assert tau == pytest.approx((1 + phi) / (2 * (1 - phi)), rel=0.12)
    assert autocorrelation_time(np.ones(50)) == 0.5


def test_the_slope_is_the_least_squares_one():
    rng = np.random.default_rng(0)
    times = np.linspace(3.0, 5.0, 400)
    series = 7.0 * times + autoregressive(rng, 400, 0.8)
    assert slope(times, series).value == pytest.approx(np.polyfit(times, series, 1)[0], rel=1e-9)


def test_a_straight_line_has_a_slope_to_rounding():
    times = np.linspace(0.0, 1.0, 500)
    found = slope(times, 1000.0 - 2.5 * times)
    assert found.value == pytest.approx(-2.5, rel=1e-11)
    assert 0.0 < found.error < 1e-10


@pytest.mark.parametrize(
    ("noise", "least", "most"),
    [
        # (what, lowest, highest share of 1.96-error intervals that may hold the truth)
        (lambda rng, n: rng.normal(size=n), 0.93, 1.0),
        (lambda rng, n: autoregressive(rng, n, 0.9), 0.93, 1.0),
        # A random walk is the work of forces without an energy; block bootstrap alone covers 0.4 here.
        (lambda rng, n: np.cumsum(rng.normal(size=n)), 0.78, 1.0),
        (lambda rng, n: np.cumsum(rng.normal(size=n)) + 20 * np.sin(np.arange(n) + rng.uniform(0, 6)), 0.78, 1.0),
    ],
    ids=["white", "autoregressive", "random-walk", "walk-and-vibration"],
)
def test_the_interval_of_the_slope_covers(noise, least, most):
    rng = np.random.default_rng(5)
    n, repeats = 1000, 150
    times = np.arange(float(n))
    inside, errors, values = 0, [], []
    for _ in range(repeats):
        found = slope(times, 0.3 * times + noise(rng, n))
        inside += abs(found.value - 0.3) < 1.96 * found.error
        errors.append(found.error)
        values.append(found.value)
    # In 150 repeats a share of 0.95 has a standard error of 1.8 %, one of 0.85 of 2.9 %.
    assert least <= inside / repeats <= most
    # Nor is it so wide that it says nothing.
    assert np.median(errors) < 3 * np.std(values)


def test_the_slopes_error_is_reproducible():
    rng = np.random.default_rng(5)
    series = rng.normal(size=300)
    assert slope(np.arange(300.0), series) == slope(np.arange(300.0), series)


def test_wilsons_interval():
    # Newcombe, Stat. Med. 17, 857 (1998), Table I, method 3.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(29, 29) == pytest.approx((0.8830, 1.0), abs=5e-5)
    assert wilson_interval(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="3 successes in 2"):
        wilson_interval(3, 2)
