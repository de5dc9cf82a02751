"""A power whose error is not known, of a run within the memory of the power: what its bound supports."""

from __future__ import annotations

import numpy as np
import pytest
from exact_modes import Modes

from ncbench.report.decide import BOUND_PS, Answer, Power
from ncbench.statistics.cells import Cell
from ncbench.statistics.floors import power_error
from ncbench.statistics.heating import heating_slope
from ncbench.units import KB, MEV


def short(value: float, error: float = 0.01, *, length_ps: float = 0.16, runs: int = 1) -> Power:
    """A power of 192 atoms at 300 K with an unknown error, from runs of this length."""
    return Power(
        Cell(value, error, loose=True), 192, runs * length_ps, 300.0, "at constant energy", single_ps=length_ps
    )


def test_a_bound_supports_no_and_never_yes() -> None:
    # √(2 k_B T P/(N t)) is 13 for 100 meV/atom/ps over 0.16 ps.
    assert power_error(100.0, 300.0, 0.16, 192) == pytest.approx(13.0, rel=0.01)
    assert short(100.0).decide(1.0)[0] is Answer.NO
    assert short(100.0).decide(70.0)[0] is Answer.UNSURE
    # The run's own error counts where it is larger.
    assert short(100.0, 40.0).decide(1.0)[0] is Answer.UNSURE
    # A power far below the threshold is not shown to be below it.
    assert short(0.01).decide(1000.0) == (Answer.UNSURE, "the run is too short for a known error")
    # Non-conservative forces do not cool: a large negative slope is the error of something else.
    assert short(-100.0).decide(1.0)[0] is Answer.UNSURE


def test_a_bound_needs_a_run_longer_than_vibrations_and_forces_that_are_no_gradient() -> None:
    # 1000 meV/atom/ps, 30 bounds above the threshold at either length.
    assert short(1000.0, length_ps=1.01 * BOUND_PS).decide(1.0)[0] is Answer.NO
    assert short(1000.0, length_ps=0.99 * BOUND_PS).decide(1.0)[0] is Answer.UNSURE
    assert short(1000.0, length_ps=0.9 * BOUND_PS, runs=10).decide(1.0)[0] is Answer.UNSURE
    assert short(100.0).decide(1.0, conservative=True)[0] is Answer.UNSURE


@pytest.mark.parametrize("tau_fs", [30.0, 100.0])
def test_no_short_run_shows_more_than_the_true_power(tau_fs: float) -> None:
    """Modes with an exact power, which is the threshold: "no" would be false."""
    modes = Modes.water(24, curl_per_cm=30.0, tau_fs=tau_fs)
    run = modes.run(150, 1000.0, np.random.default_rng(31))
    truth, decided, unknown = 1000.0 * modes.power(), [], 0
    for length in (100, 300, 1000):
        used = slice(0, length + 1)
        for work in run.work:
            line = heating_slope(run.times_fs[used] / 1000.0, work[used], temperature_K=MEV / KB, n_atoms=1)
            cell = Cell(line.value, line.error, loose=not line.known)
            unknown += cell.loose
            decided.append(Power(cell, 1, length / 1000.0, MEV / KB, "", single_ps=length / 1000.0).decide(truth)[0])
    assert unknown > 400
    # Three standard errors leave 0.6 of 450 above; five or more have a probability of 0.0004.
    assert sum(answer is Answer.NO for answer in decided) < 5
