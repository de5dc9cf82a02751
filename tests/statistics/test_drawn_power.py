"""Power that a thermostat draws: lengths from which its error is known, a bound, or that of the run."""

from __future__ import annotations

import math

import numpy as np
import pytest
from exact_modes import Modes

from ncbench.statistics.floors import power_memory_ps
from ncbench.statistics.heating import SLOW_WIDENING, Bath, drawn_power, heating_slope
from ncbench.statistics.intervals import Z_95
from ncbench.statistics.series import Slope
from ncbench.units import KB, MEV


@pytest.mark.parametrize(
    ("tau_fs", "curl_per_cm"), [(30.0, 40.0), (10.0, 60.0), (30.0, 60.0), (10.0, 100.0), (100.0, 36.0)]
)
def test_a_strong_curl_of_which_few_soft_modes_draw_the_power_has_a_bound(tau_fs: float, curl_per_cm: float) -> None:
    """One soft pair draws 40 to 48 % of the power and remembers 0.2 to 1.1 ps, under the short memory of the others."""
    modes = Modes.water(48, curl_per_cm=curl_per_cm, tau_fs=tau_fs)
    run = modes.run(150, 3000, np.random.default_rng(25), step_fs=4.0)
    bath = Bath("langevin", tau_fs, modes.n_dof)
    truth, covered = 1000.0 * modes.power(), []
    for length_fs in (300, 1000, 1600, 2900, 3000):
        used = slice(0, length_fs // 4 + 1)
        times_ps = run.times_fs[used] / 1000.0
        for work in run.work:
            line = drawn_power(times_ps, work[used], temperature_K=MEV / KB, n_atoms=1, bath=bath)
            assert not line.known or length_fs == 3000
            if line.known:
                assert line.bound
                covered.append(abs(line.value - truth) <= Z_95 * line.error)
    assert len(covered) > 40
    # A bound of 95 %, less three standard errors of the 150 runs, or of the 75 that are known at 100 fs; of the run's own errors 0.74 to 0.96 held the truth.
    assert np.mean(covered) > 0.88


def test_memories_after_which_an_error_is_the_runs_own() -> None:
    """Twenty memories of the power: 10 ps, 40 ps at τ = 10 fs; a hundred where the power may heat by 8 %."""
    rng = np.random.default_rng(5)
    steps = rng.normal(size=60_000)

    def of(length_ps: float, power: float, bath: Bath) -> Slope:
        # A walk of the strength of fluctuation and dissipation at this power, k_B T = 1 meV.
        times = np.linspace(0.0, length_ps, 2001)
        walk = np.concatenate([[0.0], np.cumsum(steps[:2000])]) * math.sqrt(2.0 * power * length_ps / 2000)
        line = drawn_power(times, power * times + walk, temperature_K=MEV / KB, n_atoms=1, bath=bath)
        own = heating_slope(times, power * times + walk, temperature_K=MEV / KB, n_atoms=1)
        # The run's own error, at the upper end of the power's interval.
        assert 1.0 <= line.error / own.error / (SLOW_WIDENING if line.bound else 1.0) < 1.3
        return line

    soft, strong = Bath("langevin", 100.0, 3e4), Bath("langevin", 10.0, 3e4)
    assert [of(t, 100.0, soft).bound for t in (9.9, 10.0)] == [True, False]
    assert [of(t, 100.0, strong).bound for t in (10.0, 39.0, 40.0)] == [True, True, False]
    # 100 k_B T/ps for 0.1 ps, of 90 degrees of freedom: a ninth of k_B T each.
    far = Bath("langevin", 100.0, 90.0)
    assert [(of(t, 100.0, far).known, of(t, 100.0, far).bound) for t in (9.9, 10.0, 49.0, 50.0)] == [
        (False, True), (True, True), (True, True), (True, False),
    ]  # fmt: skip


@pytest.mark.parametrize("tau_fs", [1.0, 10.0, 37.0, 99.0])
def test_the_memory_of_an_overdamped_mode_is_that_of_its_slow_eigenvalue(tau_fs: float) -> None:
    omega = 2.0 * math.pi * 0.8e-3
    drift = np.array([[0.0, 1.0], [-(omega**2), -1.0 / tau_fs]])
    memory_ps = 1e-3 / (2.0 * -np.linalg.eigvals(drift).real.max())
    assert power_memory_ps("langevin", tau_fs) == pytest.approx(max(0.5, memory_ps), rel=1e-9)
    assert power_memory_ps("andersen", tau_fs) == power_memory_ps("langevin", tau_fs)
    assert power_memory_ps("svr", tau_fs) == power_memory_ps("langevin", 100.0) == 0.5


def test_the_power_of_a_thermostat_has_no_known_error_below_its_memory() -> None:
    """White noise, without a walk to be recognised: known at constant energy, and under a thermostat from 3 ps on."""
    rng = np.random.default_rng(27)
    bath = Bath("langevin", 100.0, 573)
    for length_ps, known in ((1.0, False), (2.99, False), (3.0, True)):
        times = np.linspace(0.0, length_ps, 401)
        noises = [rng.normal(size=401) for _ in range(20)]
        free = [heating_slope(times, noise, temperature_K=300.0, n_atoms=192) for noise in noises]
        drawn = [drawn_power(times, noise, temperature_K=300.0, n_atoms=192, bath=bath) for noise in noises]
        assert any(line.known for line in free)
        assert [line.known for line in drawn] == [line.known and known for line in free]
        # 3 ps are fewer than twenty memories.
        widened = SLOW_WIDENING if known else 1.0
        assert [(line.value, line.error) for line in drawn] == [(line.value, widened * line.error) for line in free]
