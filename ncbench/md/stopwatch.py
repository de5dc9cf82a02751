"""Timed dynamics of a structure through the adapter and through a family's own ASE calculator, and of a fixed workload."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from ase import Atoms, units
from ase.md.verlet import VelocityVerlet

from ncbench.md.integrators import velocity_verlet
from ncbench.md.random import NoiseSource
from ncbench.md.state import Particles, draw_momenta, initial_state
from ncbench.models.interface import ForceField

Stepper = Callable[[int], bool]
"""Makes the given number of steps; returns whether all positions and forces are still finite. With 0, those at the start."""
START_K = 300.0
"""Temperature of the starting momenta."""


def median_error(values: Sequence[float]) -> float | None:
    """Standard error of a median from the order statistics around it; ``None`` below 5 values.

    The k-th smallest and k-th largest of n values enclose the median with probability 1 − 2 P(Binomial(n, ½) < k), whatever the distribution
    (David & Nagaraja, Order Statistics, 2003, section 7.1). With the largest k for which that is 93 % or more, the farther of the two
    from the median, over the normal quantile of that probability, is the error: the interval of ± that error contains theirs, and so has at least that coverage.
    """
    count = len(values)
    if count < 5:
        return None
    from scipy.stats import binom, norm

    k = 1
    while 1.0 - 2.0 * binom.cdf(k, count, 0.5) >= 0.93:
        k += 1
    outside = float(binom.cdf(k - 1, count, 0.5))
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    middle = float(np.median(ordered))
    return float(max(ordered[count - k] - middle, middle - ordered[k - 1]) / norm.ppf(1.0 - outside))


def fixed_workload(device: torch.device) -> Callable[[], None]:
    """Matrix products, gathers and sums over neighbours, as in message passing; about 20 ms on one core."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2048, 128, generator=generator).to(device)
    weights = (torch.randn(128, 128, generator=generator) / 128**0.5).to(device)
    centres = torch.randint(2048, (16384,), generator=generator).to(device)

    def work() -> None:
        nodes = features
        for _ in range(2):
            messages = torch.nn.functional.silu(nodes[centres] @ weights)
            nodes = torch.zeros_like(features).index_add_(0, centres, messages) / 8.0
        now(device)

    work()
    return work


def adapter_stepper(forcefield: ForceField, atoms: Atoms, *, batch: int, timestep_fs: float, seed: int) -> Stepper:
    """Velocity Verlet of ``batch`` replicas through the bound field."""
    structures = [_bare(atoms) for _ in range(batch)]
    field = forcefield.bind(structures)
    particles = Particles.from_structures(structures, fix_com=len(atoms) > 1, device=field.device)
    noise = NoiseSource(seed, range(batch), label="timing", device=field.device)
    state = initial_state(field, particles, draw_momenta(particles, noise.initial_normals((len(atoms), 3)), START_K))
    timestep = timestep_fs * units.fs

    def step(count: int) -> bool:
        nonlocal state
        for _ in range(count):
            state = velocity_verlet(state, field, particles, timestep)
        return bool(torch.isfinite(state.positions).all() and torch.isfinite(state.forces).all())

    return step


def ase_stepper(atoms: Atoms, calculator: object, *, timestep_fs: float, seed: int) -> Stepper:
    """ASE's velocity Verlet with the family's own calculator."""
    moving = _bare(atoms)
    moving.calc = calculator
    masses = moving.get_masses()[:, None]
    normals = np.random.default_rng(seed).normal(size=moving.positions.shape)
    moving.set_momenta(np.sqrt(masses * units.kB * START_K) * normals)
    moving.get_forces()
    dynamics = VelocityVerlet(moving, timestep=timestep_fs * units.fs)

    def step(count: int) -> bool:
        if count:
            dynamics.run(count)
        # Known from the last step.
        return bool(np.isfinite(moving.positions).all() and np.isfinite(moving.get_forces()).all())

    return step


def _bare(atoms: Atoms) -> Atoms:
    """A copy without constraints, which the two code paths treat differently."""
    bare: Atoms = atoms.copy()
    bare.set_constraint()
    return bare


def now(device: torch.device) -> float:
    """Seconds, after the device has finished its queue."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def machine(device: torch.device) -> str:
    """Name of the GPU, or of the CPU."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    listed = Path("/proc/cpuinfo")
    if listed.is_file():
        for line in listed.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def peak_memory(device: torch.device) -> float | None:
    """MiB: peak allocation on the GPU since the counter was reset; on a CPU, peak memory of the process."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device)) / 2**20
    if sys.platform == "win32":
        return None
    import resource

    # Kibibytes on Linux, bytes on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
