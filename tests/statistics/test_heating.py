"""Improved estimators against exact modes: they are unbiased and scatter less than the simple estimators."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from exact_modes import Modes

from ncbench.statistics.floors import power_error, temperature_slope_error
from ncbench.statistics.heating import (
    GRADIENT_WIDENING,
    Estimate,
    error_known_of_gradient,
    excess_from_power,
    heat_capacity_share,
    heating_rate,
    heating_slope,
    temperature_drift,
    warming_slope,
)
from ncbench.statistics.series import slope
from ncbench.units import KB, MEV

FloatArray = np.ndarray


@pytest.fixture(scope="module")
def heated():
    """Constant energy with a curl, 200 runs of 400 fs."""
    modes = Modes.water(12, curl_per_cm=20.0)
    return modes, modes.run(200, 400.0, np.random.default_rng(7))


def test_temperature_drift_from_the_energy_is_unbiased_and_scatters_less(heated):
    modes, run = heated
    times = run.times_fs / 1000.0
    # Energies in k_B·300 K.
    energy = (run.kinetic + run.potential) * KB * 300.0
    direct = np.array([slope(times, 600.0 * k / modes.n_dof).value for k in run.kinetic])
    from_energy = []
    for series in energy:
        line = slope(times, series / MEV)
        # One "atom" holds all degrees of freedom.
        result = temperature_drift(Estimate(line.value, line.error, line.dof, line.known), n_atoms=1, n_dof=modes.n_dof)
        from_energy.append(result.value)
    exact = modes.energy_after(run.times_fs[::50])
    least_squares = np.polyfit(run.times_fs[::50] / 1000.0, exact, 1)[0] * 300.0 / modes.n_dof
    error = np.std(from_energy) / math.sqrt(200)
    # The curve's curvature is the same to a per cent for 9 points and 401.
    assert np.mean(from_energy) == pytest.approx(least_squares, abs=4.0 * error + 0.02 * least_squares)
    assert np.mean(direct) == pytest.approx(least_squares, abs=4.0 * np.std(direct) / math.sqrt(200))
    assert np.std(from_energy) < 0.7 * np.std(direct)


def test_excess_from_the_power_equals_the_lyapunov_equation():
    modes = Modes.water(12, curl_per_cm=30.0, tau_fs=100.0)
    run = modes.run(200, 1000.0, np.random.default_rng(8))
    read_off = 300.0 * (2.0 * run.kinetic.mean(axis=1) / modes.n_dof - 1.0)
    # meV/ps of the one "atom" that holds all degrees.
    power = run.work[:, -1] * KB * 300.0 / MEV
    drawn = np.array(
        [
            excess_from_power(
                Estimate(p, 1.0, 10.0, True), thermostat="langevin", tau_fs=100.0, n_atoms=1, n_dof=modes.n_dof
            ).value
            for p in power
        ]
    )
    exact = 300.0 * modes.excess()
    assert np.mean(drawn) == pytest.approx(exact, abs=4.0 * drawn.std() / math.sqrt(200))
    assert np.mean(read_off) == pytest.approx(exact, abs=4.0 * read_off.std() / math.sqrt(200))
    assert drawn.std() < 0.5 * read_off.std()
    with pytest.raises(ValueError, match="'gle'"):
        excess_from_power(Estimate(1.0, 1.0, 1.0, True), thermostat="gle", tau_fs=1.0, n_atoms=1, n_dof=3)


def test_one_rate_describes_short_and_long_runs():
    # E = 2K = e^(rt) exactly: the slope over 2 ps is four times that over 0.1 ps, the rate is one.
    rate = 1.25
    rates, slopes = [], []
    for length in (0.1, 2.0):
        times = np.linspace(0.0, length, 401)
        energy = np.exp(rate * times)
        rates.append(heating_rate(times, energy, 0.5 * energy).value)
        slopes.append(slope(times, energy).value)
    assert slopes[1] > 3.0 * slopes[0]
    # Trapezoids of 5 fs: (r h)²/12 = 3e-6.
    assert rates == pytest.approx([rate, rate], rel=1e-4)
    assert math.isnan(heating_rate(times, np.full(401, np.nan), energy).value)
    assert math.isnan(heating_rate(times, energy, np.zeros(401)).value)


def test_rate_of_modes_equals_the_propagated_covariance(heated):
    modes, run = heated
    rates = [
        heating_rate(run.times_fs / 1000.0, k + u, k).value for k, u in zip(run.kinetic, run.potential, strict=True)
    ]
    exact = modes.energy_after(np.array([0.0, 400.0]))
    mean_rate = 1000.0 * math.log(exact[1] / exact[0]) / 400.0
    # Several exponentials: pairs heat at different rates, which the mean rate describes to 10 %.
    assert np.mean(rates) == pytest.approx(mean_rate, abs=4.0 * np.std(rates) / math.sqrt(200) + 0.1 * mean_rate)


def test_half_of_an_energy_becomes_kinetic_in_harmonic_modes():
    modes = Modes.water(12, tau_fs=50.0)
    run = modes.run(400, 200.0, np.random.default_rng(9))
    every = slice(None, None, 50)
    kinetic, total = run.kinetic[:, every].ravel(), (run.kinetic + run.potential)[:, every].ravel()
    # 400 runs of a few independent values: 2 % of a standard error.
    assert heat_capacity_share(kinetic, total) == pytest.approx(0.5, abs=0.05)


def test_significant_heating_includes_its_fluctuation_and_an_oscillation_does_not():
    times = np.linspace(0.0, 4.0, 2001)
    ripple = 1e-3 * np.sin(2 * math.pi * times / 0.02)
    still = heating_slope(times, ripple, temperature_K=300.0, n_atoms=192)
    assert abs(still.value) < 3.0 * still.error < 0.01
    # 100 meV/atom/ps over 4 ps and 0.2 ps of 192 atoms, whatever the ripple about it: the upper end P of the 95 % interval solves
    # (P − 100)² = 1.96² · 2 k_B T P/(N t).
    for used in (slice(None), slice(0, 101)):
        heated = heating_slope(times[used], 100.0 * times[used] + ripple[used], temperature_K=300.0, n_atoms=192)
        upper = 100.0 + 1.96 * heated.error
        length_ps = float(times[used][-1])
        # The ripple moves the slope by 1e-5 of itself.
        assert (upper - 100.0) ** 2 == pytest.approx(1.96**2 * 2 * 25.852 * upper / (192 * length_ps), rel=1e-3)
        assert math.isinf(heated.dof)


@pytest.mark.parametrize("length_ps", [0.3, 1.5, 2.5])
def test_whether_an_error_is_known_does_not_depend_on_the_slope(length_ps: float) -> None:
    """The same noise about different slopes: least squares leaves the same residuals, and the answer is the same."""
    rng = np.random.default_rng(14)
    times = np.linspace(0.0, length_ps, 401)
    for _ in range(20):
        noise = np.cumsum(rng.normal(size=401)) if rng.random() < 0.5 else rng.normal(size=401)
        lines = [heating_slope(times, noise + rate * times, temperature_K=300.0, n_atoms=192) for rate in (0.0, 1e4)]
        assert abs(lines[1].value) > 3.0 * lines[1].error
        assert lines[0].known == lines[1].known


def test_error_of_a_walk_is_known_from_1_ps_for_conservative_forces():
    rng = np.random.default_rng(12)
    times = np.linspace(0.0, 1.2, 1201)
    walks = [np.cumsum(rng.normal(size=1201)) for _ in range(200)]
    lines = [heating_slope(times, walk, temperature_K=300.0, n_atoms=192) for walk in walks]
    known = [error_known_of_gradient(times, walk) for walk in walks]
    # A walk is distinguished from a vibration in most cases.
    assert np.mean(known) > 0.9
    assert not any(line.known for line in lines if line.walk > 0.5)
    covered = [abs(line.value) <= 1.96 * line.error for line, sure in zip(lines, known, strict=True) if sure]
    # 190 windows of 95 %: three standard errors are 5 %.
    assert np.mean(covered) > 0.9
    assert not any(error_known_of_gradient(times[:900], walk[:900]) for walk in walks[:20])
    assert not error_known_of_gradient(times, np.full(1201, np.nan))


@pytest.mark.parametrize("memory_ps", [0.3, 1.0, 3.0])
def test_the_widened_error_of_a_gradient_covers_smooth_noise(memory_ps):
    """Noise with a squared-exponential correlation under a vibration, which the error model of the slope does not contain."""
    rng = np.random.default_rng(13)
    times = np.arange(0.0, 1.6, 0.004)
    lags = times[:, None] - times
    factor = np.linalg.cholesky(np.exp(-(lags**2) / (2.0 * memory_ps**2)) + 1e-9 * np.eye(len(times)))
    covered = []
    for _ in range(300):
        energy = 1e-3 * (factor @ rng.normal(size=len(times)) + np.sin(2 * math.pi * times / 0.04 + rng.uniform(0, 6)))
        if error_known_of_gradient(times, energy):
            line = heating_slope(times, energy, temperature_K=300.0, n_atoms=192)
            covered.append(abs(line.value) <= 1.96 * GRADIENT_WIDENING * line.error)
    assert len(covered) > 50
    # Three standard errors of a rate of 95 % among 50 to 300 windows.
    assert np.mean(covered) > 0.95 - 3.0 * math.sqrt(0.05 * 0.95 / len(covered))


def test_diffusive_energy_shorter_than_the_correlation_time_has_no_known_error():
    rng = np.random.default_rng(11)
    times = np.linspace(0.0, 0.5, 501)
    result = [
        heating_slope(times, np.cumsum(rng.normal(size=501)), temperature_K=300.0, n_atoms=192) for _ in range(50)
    ]
    unsettled = [one for one in result if one.walk > 0.5]
    assert len(unsettled) > 30
    assert not any(one.known for one in unsettled)
    # Nor has the same noise under a heating a hundred errors above it: whether an error is known does not depend on the slope.
    heated = [
        heating_slope(times, 1e4 * times + np.cumsum(rng.normal(size=501)), temperature_K=300.0, n_atoms=192)
        for _ in range(50)
    ]
    assert all(abs(one.value) > 3.0 * one.error for one in heated)
    assert not any(one.known for one in heated if one.walk > 0.5)
    # The same noise over 5 ps, longer than the memory, is a walk whose error is known.
    long = [
        heating_slope(10 * times, np.cumsum(rng.normal(size=501)), temperature_K=300.0, n_atoms=192) for _ in range(50)
    ]
    assert np.mean([one.known for one in long]) > 0.7


def test_a_temperature_that_follows_a_slowly_fluctuating_power_has_the_error_of_the_power():
    """T = E/C exactly, with a power that remembers a sixth of the run: the residuals of T alone miss slow changes of the power."""
    rng = np.random.default_rng(12)
    n_atoms, length_ps, memory_ps, power = 64, 12.0, 2.0, 3.0
    times = np.linspace(0.0, length_ps, 601)
    step, n_dof = times[1], 3 * n_atoms - 3
    # ∫⟨δP δP⟩ dt = 2 k_B T P/N by fluctuation and dissipation, with an exponential memory.
    scatter = math.sqrt(2.0 * KB / MEV * 300.0 * power / n_atoms / (2.0 * memory_ps))
    kept = math.exp(-step / memory_ps)
    plain, floored = [], []
    for _ in range(200):
        work = np.empty(len(times))
        work[0] = rng.normal(0.0, scatter)
        for k, kick in enumerate(rng.normal(0.0, scatter * math.sqrt(1.0 - kept**2), len(times) - 1)):
            work[k + 1] = kept * work[k] + kick
        energy = np.concatenate([[0.0], np.cumsum((power + work[:-1]) * step)])
        temperature = 300.0 + energy * n_atoms * MEV / (n_dof * KB)
        line = heating_slope(times, energy, temperature_K=300.0, n_atoms=n_atoms)
        drift = Estimate(line.value, line.error, line.dof, line.known)
        truth = power * n_atoms * MEV / (n_dof * KB)
        alone = slope(times, temperature)
        found = warming_slope(times, temperature, drift, n_atoms=n_atoms, n_dof=n_dof)
        assert found.value == alone.value
        plain.append(abs(alone.value - truth) < 1.96 * alone.error)
        floored.append(abs(found.value - truth) < 1.96 * found.error)
    # 95 % of 200 have a standard error of 1.5 %; by the residuals alone 85 % are within.
    assert np.mean(floored) > 0.90
    assert np.mean(plain) < 0.90


def test_an_unknown_error_of_the_energy_does_not_limit_that_of_the_temperature():
    times = np.linspace(0.0, 2.0, 401)
    temperature = 300.0 + np.random.default_rng(13).normal(size=401)
    unknown = Estimate(1.0, math.nan, math.nan, False)
    exchange = temperature_slope_error(float(temperature.mean()), 2.0, 21)
    found = warming_slope(times, temperature, unknown, n_atoms=8, n_dof=21)
    # White noise of 1 K has a smaller error; the exchange's is a bound and no estimate.
    assert slope(times, temperature).error < exchange
    assert found == replace(slope(times, temperature, floor=exchange), plateau=False)
    # The error of the energy is known, and decides where it is the largest.
    for size, known in ((1e9, True), (1e9, False), (1e-9, True)):
        energy = Estimate(1.0, size, math.inf, known)
        assert warming_slope(times, temperature, energy, n_atoms=8, n_dof=21).known is (size > 1.0 and known)


def _walk(times: FloatArray, memory: float, rng: np.random.Generator) -> FloatArray:
    """An Ornstein-Uhlenbeck process of unit variance."""
    kept = math.exp(-float(times[1] - times[0]) / memory)
    values = np.empty(len(times))
    values[0] = rng.normal()
    for k, kick in enumerate(rng.normal(0.0, math.sqrt(1.0 - kept**2), len(times) - 1)):
        values[k + 1] = kept * values[k] + kick
    return values


def _smooth(times: FloatArray, memory: float, rng: np.random.Generator) -> FloatArray:
    """A stationary process of unit variance with a squared-exponential correlation of this length."""
    rates, phases = rng.normal(0.0, 1.0 / memory, 40), rng.uniform(0.0, 2.0 * np.pi, 40)
    values: FloatArray = math.sqrt(2.0 / 40) * np.cos(np.outer(times, rates) + phases).sum(axis=1)
    return values


@pytest.mark.parametrize("process", [_walk, _smooth])
@pytest.mark.parametrize("memory_ps", [0.3, 1.0, 3.0, 30.0])
def test_a_slow_exchange_with_the_potential_energy_is_no_resolved_warming(memory_ps: float, process) -> None:
    """Temperatures of 192 atoms at constant energy: vibrations over an exchange of variance T²/n whose memory is from a third of the run to ten runs."""
    n_dof, times = 573, np.linspace(0.0, 1.0, 501)
    rng = np.random.default_rng(5)
    scatter = 300.0 / math.sqrt(n_dof)
    none = Estimate(math.nan, math.nan, math.nan, False)
    inside, resolved = [], []
    for _ in range(200):
        fast = np.cos(2.0 * np.pi * (times / 0.01 + rng.uniform()))
        temperature = 300.0 + scatter * (process(times, memory_ps, rng) + fast)
        found = warming_slope(times, temperature, none, n_atoms=192, n_dof=n_dof)
        inside.append(abs(found.value) < 1.96 * found.error)
        resolved.append(abs(found.value) > 3.0 * found.error)
    # Of 200: 95 % within 1.96 errors has a standard error of 1.5 %.
    assert np.mean(inside) > 0.92
    assert np.mean(resolved) <= 0.01


def test_error_of_a_small_power_includes_fluctuations_of_at_most_four_times_the_power() -> None:
    """A drift of 1e-3 meV/atom/ps in 0.2 ps would be the result of any power up to 2.7 if only fluctuations counted."""
    times = np.linspace(0.0, 0.2, 401)
    energy = 1e-3 * times + 1e-9 * np.random.default_rng(0).normal(size=times.size)
    error = heating_slope(times, energy, temperature_K=300.0, n_atoms=192).error
    assert error == pytest.approx(power_error(4e-3, 300.0, 0.2, 192), rel=1e-3)


def _known_and_covered(work: FloatArray, times_ps: FloatArray, truth: float) -> tuple[list[bool], list[bool]]:
    """Of each energy, in k_B T of one atom, whether its power has a known error and whether the 95 % interval holds the truth."""
    lines = [heating_slope(times_ps, one, temperature_K=MEV / KB, n_atoms=1) for one in work]
    return [line.known for line in lines], [abs(line.value - truth) <= 1.96 * line.error for line in lines]


@pytest.mark.parametrize("length_fs", [2000, 3000])
def test_the_power_of_undamped_modes_that_beat_has_no_known_error(length_fs: int) -> None:
    """Pairs 8/cm apart beat over 4 ps. Their power changes sign once or not at all in the run, and 0.7 to 0.8 of the intervals hold the truth."""
    modes = Modes.water(24, curl_per_cm=12.0)
    run = modes.run(60, length_fs, np.random.default_rng(21), step_fs=2.0)
    knots = np.linspace(0.0, length_fs, 33)
    truth = 1000.0 * float(np.polyfit(knots, modes.energy_after(knots), 1)[0])
    known, covered = _known_and_covered(run.work, run.times_fs / 1000.0, truth)
    assert np.mean(covered) < 0.9
    # 4 % of 240 were missed: more than 8 of 60 have a probability of 0.1 %.
    assert sum(known) <= 8


def test_the_power_of_damped_modes_keeps_its_known_error() -> None:
    modes = Modes.water(24, curl_per_cm=30.0, tau_fs=100.0)
    run = modes.run(100, 3000, np.random.default_rng(22), step_fs=2.0)
    known, covered = _known_and_covered(run.work, run.times_fs / 1000.0, 1000.0 * modes.power())
    # 0.68 of 240; 4 standard errors of 100.
    assert np.mean(known) > 0.49
    # Three standard errors of 95 % of 50 to 80 windows.
    assert np.mean([inside for inside, sure in zip(covered, known, strict=True) if sure]) > 0.87


def test_persistence_is_a_property_of_the_noise_and_not_of_the_slope() -> None:
    times = np.linspace(0.0, 2.0, 501)
    beat = np.sin(math.pi * times / 2.0 + 0.4) + 1e-4 * np.random.default_rng(23).normal(size=501)
    walk = np.cumsum(np.random.default_rng(24).normal(size=501))
    for rate in (0.0, 1e3):
        assert slope(times, beat + rate * times).persistent > 0.9
        assert slope(times, walk + rate * times).persistent < 0.1
