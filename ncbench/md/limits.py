"""Ranges of time steps, time constants and temperatures of dynamics: beyond them arithmetic overflows, or a run would blame the model. Light imports only."""

from __future__ import annotations

import math

from ncbench.errors import UsageError

LEAST_TIMESTEP_FS, MOST_TIMESTEP_FS = 1e-6, 1e3
"""Below, a step is lost in the rounding of positions; above, atoms move by more than a bond length in a step at any usual temperature."""
LEAST_TAU_FS, MOST_TAU_FS = 1e-3, 1e9
"""Of thermostats and barostats: from far below any time step to 1 μs, where a bath does nothing in any run."""
MOST_TEMPERATURE_K = 1e4
"""A run above counts as exploded."""
LEAST_CHAIN_STEPS = 4.0
"""τ of a Nosé–Hoover chain over the time step between its half steps. Liquid argon at 5 fs (20 ps): 1 explodes, 2 heats by 0.014(5) meV/atom/ps, 4 conserves
the extended energy to 0.0005(4) meV/atom/ps."""


def require_positive(name: str, value: float) -> None:
    """Refuse what is not a positive, finite number.

    Raises:
        UsageError: it is not.
    """
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"{name} is {value}; it must be positive and finite.")


def require_timestep(name: str, value_fs: float) -> None:
    """Refuse a time step, in fs, outside :data:`LEAST_TIMESTEP_FS` to :data:`MOST_TIMESTEP_FS`.

    Raises:
        UsageError: it is outside.
    """
    require_positive(name, value_fs)
    _require_between(name, value_fs, LEAST_TIMESTEP_FS, MOST_TIMESTEP_FS)


def require_time_constant(name: str, value_fs: float) -> None:
    """Refuse a time constant of a bath, in fs, outside :data:`LEAST_TAU_FS` to :data:`MOST_TAU_FS`.

    Raises:
        UsageError: it is outside.
    """
    require_positive(name, value_fs)
    _require_between(name, value_fs, LEAST_TAU_FS, MOST_TAU_FS)


def _require_between(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise UsageError(f"{name} is {value:g} fs; it must be between {least:g} and {most:g} fs.")
