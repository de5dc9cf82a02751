"""The stiffest vibration of a structure, from the curvature of its energy: a run of a picosecond may hardly excite it, so that its spectrum does not show it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import signal
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from ncbench.md.state import Particles
from ncbench.models.interface import Field

FloatArray = NDArray[np.float64]

STEP_A = 0.01
"""Largest displacement of an atom in the differences that give a product with the curvature."""
NEAR = 0.7
"""Share of the mode's own frequency above which a frequency of the velocities along it is that of the mode, softened by anharmonicity."""
LEAST_POWER = 0.1
"""Share of the power of these velocities above the frequency that is taken: a molecule turns away from the mode's direction."""


def stiffest_mode(field: Field, particles: Particles) -> tuple[float, FloatArray]:
    """Angular frequency and mass-weighted unit direction [3N] of the largest curvature at the field's structure, by Lanczos iterations.

    Products with the Hessian are central differences of forces, two calls each, some forty in all. Internal units; 0 if no curvature is positive.
    """
    start = field.initial_positions()
    root = particles.sqrt_masses[0]

    def product(vector: FloatArray) -> FloatArray:
        weighted = torch.as_tensor(vector.reshape(1, -1, 3), device=start.device, dtype=start.dtype) / root
        scale = STEP_A / float(weighted.norm(dim=-1).max().clamp_min(1e-300))
        plus, minus = (field(start + sign * scale * weighted).forces for sign in (1.0, -1.0))
        curvature: FloatArray = ((minus - plus) / (2.0 * scale) / root)[0].reshape(-1).double().cpu().numpy()
        return curvature

    size = start[0].numel()
    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
    first = np.random.default_rng(0).normal(size=size)
    try:
        result: tuple[Any, Any] = eigsh(operator, k=1, which="LA", v0=first, ncv=min(size, 20), tol=1e-3, maxiter=10)
    except ArpackNoConvergence as error:
        result = error.eigenvalues, error.eigenvectors
    values, vectors = (np.real(one) for one in result)
    if not len(values):
        return 0.0, first / np.linalg.norm(first)
    return float(np.sqrt(max(values[-1], 0.0))), np.asarray(vectors[:, -1], dtype=np.float64)


def frequency_along(velocities: FloatArray, mode: FloatArray, omega: float, interval: float) -> float:
    """Frequency of the vibration along a mode in a run: that of its velocities if they show the mode, softened by anharmonicity, otherwise ``omega``.

    Args:
        velocities: [S, 3N], √m v.
        mode: [3N], mass-weighted unit direction.
        omega: angular frequency by the curvature, internal unit.
        interval: time between samples, internal unit.
    """
    frequencies, power = signal.welch(velocities @ mode, fs=1.0 / interval, nperseg=max(8, len(velocities) // 2))
    total = float(power[1:].sum())
    if not total > 0.0:
        return omega
    above = np.cumsum(power[:0:-1])[::-1] / total
    highest = 2.0 * np.pi * float(frequencies[1:][np.flatnonzero(above >= LEAST_POWER)[-1]])
    # A line between two frequencies of the window spreads to the upper one.
    return min(highest, omega) if highest >= NEAR * omega else omega
