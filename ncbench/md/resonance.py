"""Resonances of multiple time stepping: linear stability of a vibration under a fast force and slow impulses.

A mode of total frequency ω, ω² = ω_f² + κ, feels −ω_f² q every inner step Δt and −κ q as an impulse every outer step H = MΔt. The matrix of one outer step
is K(H/2) V(Δt)^M K(H/2), V a step of velocity Verlet; its determinant is 1, so that the mode is unstable where half the trace exceeds 1 in size, and then grows by
arccosh|trace/2| per outer step. With exact inner steps trace/2 = cos ω_f H − (κH/2ω_f) sin ω_f H, which leaves the stable interval first at H = π/ω_f, half a
period (Biesiadecki & Skeel, J. Comput. Phys. 109, 318, 1993; Schlick, Mandziuk, Skeel & Srinivas, J. Comput. Phys. 140, 1, 1998).

Internal units; NumPy alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

FREQUENCY_ERROR = 0.005
"""Relative error of the highest frequency under velocity Verlet, (ωΔt)²/24, that a recommended time step allows: 18 steps in a period."""


def half_trace(omega: FloatArray, kappa: FloatArray, timestep: float, stride: int) -> FloatArray:
    """[n]: half the trace of the matrix of one outer step.

    Args:
        omega: [n], ω of the sum of both forces, internal unit.
        kappa: [n], part of ω² that is due to the slow force; of either sign.
        timestep: Δt, internal unit.
        stride: M.
    """
    omega, kappa = np.broadcast_arrays(np.asarray(omega, dtype=np.float64), np.asarray(kappa, dtype=np.float64))
    inner = _kick(omega**2 - kappa, 0.5 * timestep) @ _drift(timestep) @ _kick(omega**2 - kappa, 0.5 * timestep)
    slow = _kick(kappa, 0.5 * timestep * stride)
    step = slow @ np.linalg.matrix_power(inner, stride) @ slow
    trace: FloatArray = 0.5 * np.trace(step, axis1=-2, axis2=-1)
    return trace


def growth_rate(omega: FloatArray, kappa: FloatArray, timestep: float, stride: int) -> FloatArray:
    """[n]: rate at which an amplitude grows, internal unit of 1/time; 0 for a stable mode. The energy grows at twice the rate. Arguments of :func:`half_trace`."""
    size = np.abs(half_trace(omega, kappa, timestep, stride))
    # Rounding of a trace of ±1 (a mode exactly at the edge) is no growth.
    unstable = size > 1.0 + 1e-12
    rate: FloatArray = np.where(unstable, np.arccosh(np.maximum(size, 1.0)), 0.0) / (stride * timestep)
    return rate


def largest_growth(omega: FloatArray, kappa: FloatArray, timestep: float, stride: int, *, width: float = 0.0) -> float:
    """The largest growth rate of modes within ``width``/2 of ω whose slow part is κ of either sign, internal unit of 1/time."""
    if not len(omega):
        return 0.0
    shifts = np.linspace(-0.5, 0.5, 9) * width
    near = np.maximum(omega[:, None] + shifts, 0.0).ravel()
    size = np.repeat(np.abs(kappa), len(shifts))
    return max(float(growth_rate(near, sign * size, timestep, stride).max()) for sign in (1.0, -1.0))


def largest_stable_stride(growth: Sequence[float]) -> int:
    """The largest M below the first resonance, from the growth rates of M = 1, 2, …; 0 if M = 1 is unstable."""
    unstable = [stride for stride, rate in enumerate(growth, 1) if rate > 0.0]
    return unstable[0] - 1 if unstable else len(growth)


def longest_timestep(omega: float) -> float:
    """Δt at which velocity Verlet shifts ω by :data:`FREQUENCY_ERROR`, internal unit."""
    return math.sqrt(24.0 * FREQUENCY_ERROR) / omega


def half_period(omega: float) -> float:
    """H = π/ω of the first resonance of a small slow part, internal unit."""
    return math.pi / omega


def _kick(stiffness: FloatArray, time: float) -> FloatArray:
    """[n, 2, 2] on (q, p)."""
    matrix = np.zeros((*stiffness.shape, 2, 2))
    matrix[..., 0, 0] = matrix[..., 1, 1] = 1.0
    matrix[..., 1, 0] = -time * stiffness
    return matrix


def _drift(time: float) -> FloatArray:
    return np.array([[1.0, time], [0.0, 1.0]])
