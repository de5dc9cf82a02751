"""How long a run must be to decide, from a heating power that is predicted or measured; and how long runs take on this machine."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from ncbench.assess.evidence import DYNAMICS, Step
from ncbench.report.decide import HEATING_POWER, ROOM_K
from ncbench.report.read import Results
from ncbench.statistics.intervals import SIGMAS
from ncbench.units import KB, MEV

PREDICTION_FACTOR = 3.0
"""Allowed factor between predicted and measured powers: twice the observed 1.5 (``results/bench/predict.md``)."""
GRADIENT_PS = 1.5
"""A run of this length decides, most often, where no drift is found and the forces are a gradient. Its error is known from
:data:`~ncbench.statistics.heating.GRADIENT_MEMORY_PS` where the kind of its noise is recognised (in 9 of 10 windows of a run of ``pet-m:conservative``), and three
of it are 0.05 meV/atom/ps for 192 atoms of that model."""
SMALL_POWER_PS = 2.5
"""The same of other forces, whose errors are known from :data:`~ncbench.statistics.heating.POWER_MEMORY_PS`, where the kind of noise is recognised, as in all
windows of 2.5 ps of that run."""
MARGIN = 1.1
"""Estimated times are lengthened by this before they are compared with the time left."""
TIMED_FS = 500.0
"""From this length on the time of loading the model does not count in the time of a step."""
LOADING_SHARE = 0.1
"""Nor does it where it is at most this share of a run."""


def needed_ps(power: float, n_atoms: int, *, gradient: bool = False, temperature_K: float = ROOM_K) -> float:
    """Least length, ps, of a run at constant energy that tells a heating power P from the limit :data:`~ncbench.report.decide.HEATING_POWER`.

    The work of non-conservative forces is diffusive (:mod:`ncbench.report.decide`), σ = √(2 k_B T p/(N t)) with the larger p of P and the limit L, so
    that three of σ are less than the distance |P − L| from t = 9 · 2 k_B T p/(N (P − L)²). A gradient draws no power, and needs :data:`GRADIENT_PS`.

    Args:
        power: P, meV/atom/ps.
        n_atoms: N.
        gradient: the forces are the gradient of an energy.
        temperature_K: T.
    """
    if gradient:
        return GRADIENT_PS
    distance = abs(power - HEATING_POWER)
    if distance == 0.0:
        return math.inf
    noise = 2.0 * KB / MEV * temperature_K * max(power, HEATING_POWER) / n_atoms
    length = SIGMAS**2 * noise / distance**2
    return max(length, SMALL_POWER_PS) if power < HEATING_POWER else length


def predicted_powers(results: Results, model: str, mode: str) -> tuple[float, float] | None:
    """Least and largest heating power at constant energy, meV/atom/ps, that ``predict`` allows; ``None`` where it has no row.

    The spread over frequency floors is widened by :data:`PREDICTION_FACTOR`. The shortest time counts: harmonic runaways grow without bound.
    """
    rows = results.rows("predict", model, mode)
    rows = rows[(rows["status"] == "ok") & (rows["thermostat"] == "none")] if len(rows) else rows
    rows = rows[rows["power_meV_per_atom_per_ps"].notna()] if len(rows) else rows
    if not len(rows):
        return None
    row = rows.sort_values("duration_fs").iloc[0]
    names = ("power_meV_per_atom_per_ps", "power_low_meV_per_atom_per_ps", "power_high_meV_per_atom_per_ps")
    powers = [abs(float(row[name])) for name in names if pd.notna(row[name])]
    return min(powers) / PREDICTION_FACTOR, max(powers) * PREDICTION_FACTOR


@dataclass
class Speed:
    """Wall times on this machine, from what was measured in this assessment or found in its folder."""

    ms_per_call: float = 0.0
    """Of one force call of the structure; 0 where it was not measured."""
    relaxation_s: float = 0.0
    """Of one relaxation; 0 where none was timed."""
    loading_s: float = math.inf
    """Of loading the model, at most; infinite where it is not known."""
    timing_s: float = 0.0
    """Of measuring the time of a step, with imports and loading; 0 where this assessment did not."""
    again_s: float = 0.0
    """Of measuring it again; 0 where it was not."""

    def seconds(self, step: Step, n_atoms: int) -> float:
        """Expected wall time, s, of a step; 0 where nothing of its kind was timed."""
        if step.diagnostic == "relax":
            return MARGIN * self.relaxation_s * step.length
        return self.steps_s(step.cost(n_atoms))

    def steps_s(self, calls: float) -> float:
        """Expected wall time, s, of so many force calls of the structure."""
        return MARGIN * calls * self.ms_per_call / 1000.0

    def learn(self, step: Step, n_atoms: int, seconds: float) -> None:
        """Update the estimates from a step that was just run."""
        if step.diagnostic == "relax" and step.length:
            self.relaxation_s = seconds / step.length
        elif step.diagnostic == "timing":
            self.loading_s = self.timing_s = seconds
        elif step.diagnostic in DYNAMICS and "mts" not in step.overrides and self._is_of_steps(step, seconds):
            # The machine may have become slower or faster since the time of a step was measured.
            self.ms_per_call = 1000.0 * seconds / step.cost(n_atoms)

    def _is_of_steps(self, step: Step, seconds: float) -> bool:
        """Whether loading takes little of a run's wall time."""
        return step.length >= TIMED_FS or self.loading_s <= LOADING_SHARE * seconds

    def read_timing(self, results: Results, model: str, mode: str) -> None:
        """From the table ``timing``, unless dynamics were timed."""
        rows = results.rows("timing", model, mode)
        rows = rows[(rows["status"] == "ok") & (rows["path"] == "adapter")] if len(rows) else rows
        if len(rows) and not self.ms_per_call:
            self.ms_per_call = float(rows.iloc[-1]["ms_per_step"])
