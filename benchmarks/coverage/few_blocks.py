"""Coverage of errors over few blocks, of diffusion, and of rates."""

from __future__ import annotations

import math

import numpy as np
from covered import Found, Row, judged

from ncbench.observables.averages import Curve
from ncbench.observables.motion import diffusion
from ncbench.observables.trajectory import Trajectory
from ncbench.statistics.intervals import Z_95, rate_interval


def of_blocks(n: int, rng: np.random.Generator) -> list[Row]:
    """Errors over few blocks, diffusion, and rates."""
    rows = []
    for blocks in (3, 5):
        curve = Curve.of(np.arange(n, dtype=np.float64), rng.normal(size=(blocks, n)))
        windows = [Found(v, e, True) for v, e in zip(curve.value, curve.error, strict=True)]
        rows.append(judged("blocks", "curve", f"{blocks} blocks", math.nan, windows, 0.0))
    for p in (0.5, 0.9):
        windows = []
        for k in rng.binomial(20, p, size=n):
            low, high = rate_interval(int(k), 20)
            windows.append(Found(0.5 * (low + high), 0.5 * (high - low) / Z_95, True))
        rows.append(judged("blocks", "success rate", f"p = {p}, 20 trials", math.nan, windows, p, bound=True))
    windows = []
    for _ in range(n // 10):
        steps = rng.normal(scale=math.sqrt(2 * 0.3 * 0.01), size=(400, 10, 3))
        walk = np.cumsum(steps, axis=0) % 10.0
        one = Trajectory(
            "w",
            ("Ar",) * 10,
            np.full(10, 40.0),
            walk,
            None,
            np.tile(np.eye(3) * 10.0, (400, 1, 1)),
            np.ones(3, bool),
            10.0,
        )
        value, error = diffusion([one], "Ar")
        windows.append(Found(value, error, True))
    # Without the drift of the centre of mass 9/10 of the motion remain.
    rows.append(judged("blocks", "diffusion", "5 blocks of 0.8 ps, 10 atoms", 4000.0, windows, 0.27))
    return rows
