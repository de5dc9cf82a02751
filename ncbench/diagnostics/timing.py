"""timing: milliseconds a step of molecular dynamics (Bigi, Langer & Ceriotti 2025, Table 5).

Two ways to the same forces: the model family's own ASE calculator driven by ASE's velocity Verlet, as in the paper, and the
adapter's bound field driven by the integrator here. Both include everything a step costs: neighbour list, model, integrator.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from ase import Atoms, units
from ase.md.verlet import VelocityVerlet

from ncbench.diagnostics.base import Context, Diagnostic, Quantity, Shown
from ncbench.errors import UnsupportedError, UsageError
from ncbench.md.integrators import velocity_verlet
from ncbench.md.random import NoiseSource
from ncbench.md.state import Particles, draw_momenta, initial_state
from ncbench.models.interface import ForceField
from ncbench.schema import Column, TableSchema
from ncbench.statistics.cells import Cell, mean_cell
from ncbench.types import Budget, Case, Outcome, Status

if TYPE_CHECKING:
    import pandas as pd

Way = Literal["auto", "adapter", "ase"]

_START_K = 300.0


@dataclass(frozen=True, kw_only=True)
class TimingSettings:
    """How long is measured, and what."""

    path: Way = "auto"
    """``adapter``, ``ase``, or ``auto``: both where the family has an ASE calculator of its own."""
    repeats: int = 10
    """Stretches that are timed; the result is their median."""
    steps: int = 5
    """Steps in a stretch."""
    warmup_steps: int = 5
    """Steps before, which compile, fill caches and build neighbour lists."""
    timestep_fs: float = 0.5
    batch: int = 1
    """Replicas in one model call of the adapter; the ASE path has one."""
    reference_workload: bool = False
    """Also time a fixed piece of work after each stretch: the ratio of the two hardly depends on how busy the machine is."""

    def __post_init__(self) -> None:
        if self.path not in ("auto", "adapter", "ase"):
            raise UsageError(f"There is no path '{self.path}'.", hint="Choose auto, adapter or ase.")
        for name in ("repeats", "steps", "batch", "timestep_fs"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} = {getattr(self, name)} is not a positive number.")
        if self.warmup_steps < 0:
            raise UsageError(f"warmup_steps = {self.warmup_steps} is negative.")


SCHEMA = TableSchema(
    "timing",
    2,
    (
        Column("path", "str", "", "adapter: bound field and the integrator here; ase: the family's own ASE calculator"),
        Column("ms_per_step", "float", "ms", "wall time of a step of one replica, median over stretches"),
        Column("ms_per_step_low", "float", "ms", "lower quartile"),
        Column("ms_per_step_high", "float", "ms", "upper quartile"),
        Column(
            "ms_per_step_se",
            "float",
            "ms",
            "standard error of the median, from the quartiles; absent below 4 stretches",
        ),
        Column("ms_per_step_per_atom", "float", "ms", "median over the number of atoms"),
        Column(
            "reference_ms", "float", "ms", "wall time of the fixed workload, median; absent where it was not asked for"
        ),
        Column("ratio_reference", "float", "", "step over workload, median of ratios taken in turns"),
        Column("ratio_reference_se", "float", "", "its standard error, from the quartiles; absent below 4 stretches"),
        Column("n_steps", "int", "steps", "steps timed"),
        Column("warmup_steps", "int", "steps", "steps before, not timed"),
        Column("first_step_ms", "float", "ms", "binding and first force call, compilation included"),
        Column("batch", "int", "", "replicas in one model call"),
        Column("threads", "int", "", "torch's threads on the CPU"),
        Column("machine", "str", "", "name of the GPU, or of the CPU"),
        Column("peak_memory_MiB", "float", "MiB", "GPU: most allocated while timing; CPU: most the process ever held"),
    ),
)

Stepper = Callable[[int], bool]
"""Makes that many steps; whether all is still finite."""


def run(
    forcefield: ForceField, cases: Sequence[Case], settings: TimingSettings, *, seed: int, context: Context
) -> Outcome:
    """Time each structure on each path.

    Raises:
        UnsupportedError: the ASE path was asked for, and the family has no ASE calculator of its own.
    """
    calculator = None if settings.path == "adapter" else forcefield.ase_calculator()
    if calculator is None and settings.path == "ase":
        raise UnsupportedError(f"{forcefield.card.label} has no ASE calculator of its own.", hint="Use --path adapter.")
    paths = [name for name in ("adapter", "ase") if settings.path in (name, "auto") and (name != "ase" or calculator)]
    outcome = Outcome()
    context.progress.start(len(cases) * len(paths) * settings.repeats, "stretches")
    for case in cases:
        for path in paths:
            done = len(outcome.rows) * settings.repeats

            def tick(count: int, done: int = done, path: str = path) -> None:
                context.progress.update(done + count, path)

            def prepare(case: Case = case, path: str = path) -> Stepper:
                if path == "ase":
                    return _ase_stepper(case.atoms, calculator, settings, seed)
                return _adapter_stepper(forcefield, case.atoms, settings, seed)

            outcome.rows.append(_measure(forcefield, case, path, prepare, settings, tick))
    return outcome


def _measure(
    forcefield: ForceField,
    case: Case,
    path: str,
    prepare: Callable[[], Stepper],
    settings: TimingSettings,
    tick: Callable[[int], None],
) -> dict[str, Any]:
    device = torch.device(forcefield.card.device)
    batch = settings.batch if path == "adapter" else 1
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    began = _now(device)
    step = prepare()
    first = _now(device) - began
    finite = step(settings.warmup_steps)
    milliseconds, references = [], []
    workload = _workload(device) if settings.reference_workload else None
    for repeat in range(settings.repeats):
        began = _now(device)
        finite &= step(settings.steps)
        milliseconds.append(1e3 * (_now(device) - began) / (settings.steps * batch))
        if workload is not None:
            began = _now(device)
            workload()
            references.append(1e3 * (_now(device) - began))
        tick(repeat + 1)
    common = {
        "structure": case.name,
        "n_atoms": len(case.atoms),
        "path": path,
        "n_steps": settings.repeats * settings.steps,
        "warmup_steps": settings.warmup_steps,
        "first_step_ms": 1e3 * first,
        "batch": batch,
        "threads": torch.get_num_threads(),
        "machine": machine(device),
        "peak_memory_MiB": _peak_memory(device),
    }
    if not finite:
        # A time to compute NaN is no time of a step: models leave early, or late, on such input.
        return SCHEMA.row(**common, status=Status.EXPLODED, reason="positions became non-finite while timing")
    low, middle, high = np.percentile(milliseconds, [25, 50, 75]).tolist()
    ratios = [mine / other for mine, other in zip(milliseconds, references, strict=False)]
    return SCHEMA.row(
        **common,
        ms_per_step=middle,
        ms_per_step_low=low,
        ms_per_step_high=high,
        ms_per_step_se=_median_error(milliseconds),
        ms_per_step_per_atom=middle / len(case.atoms),
        reference_ms=float(np.median(references)) if references else None,
        ratio_reference=float(np.median(ratios)) if ratios else None,
        ratio_reference_se=_median_error(ratios),
        status=Status.OK,
        reason="",
    )


def _median_error(values: Sequence[float]) -> float | None:
    """√(π/2) σ/√n, with σ = (quartile distance)/1.349 as of a normal distribution; ``None`` below 4 values."""
    if len(values) < 4:
        return None
    low, high = np.percentile(values, [25, 75]).tolist()
    return float(1.2533 * (high - low) / 1.349 / len(values) ** 0.5)


def _workload(device: torch.device) -> Callable[[], None]:
    """What message passing spends its time on: products of matrices, gathers, sums over neighbours. Some 20 ms on a core."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2048, 128, generator=generator).to(device)
    weights = (torch.randn(128, 128, generator=generator) / 128**0.5).to(device)
    centres = torch.randint(2048, (16384,), generator=generator).to(device)

    def work() -> None:
        here = features
        for _ in range(2):
            messages = torch.nn.functional.silu(here[centres] @ weights)
            here = torch.zeros_like(features).index_add_(0, centres, messages) / 8.0
        _now(device)

    work()
    return work


def _adapter_stepper(forcefield: ForceField, atoms: Atoms, settings: TimingSettings, seed: int) -> Stepper:
    structures = [_bare(atoms) for _ in range(settings.batch)]
    field = forcefield.bind(structures)
    particles = Particles.from_structures(structures, fix_com=len(atoms) > 1, device=field.device)
    noise = NoiseSource(seed, range(settings.batch), label="timing", device=field.device)
    state = initial_state(field, particles, draw_momenta(particles, noise.initial_normals((len(atoms), 3)), _START_K))
    timestep = settings.timestep_fs * units.fs

    def step(count: int) -> bool:
        nonlocal state
        for _ in range(count):
            state = velocity_verlet(state, field, particles, timestep)
        return bool(torch.isfinite(state.positions).all())

    return step


def _ase_stepper(atoms: Atoms, calculator: object, settings: TimingSettings, seed: int) -> Stepper:
    moving = _bare(atoms)
    moving.calc = calculator
    masses = moving.get_masses()[:, None]
    normals = np.random.default_rng(seed).normal(size=moving.positions.shape)
    moving.set_momenta(np.sqrt(masses * units.kB * _START_K) * normals)
    moving.get_forces()
    dynamics = VelocityVerlet(moving, timestep=settings.timestep_fs * units.fs)

    def step(count: int) -> bool:
        if count:
            dynamics.run(count)
        return bool(np.isfinite(moving.positions).all())

    return step


def _bare(atoms: Atoms) -> Atoms:
    """A copy without constraints, which one path would honour and the other refuse."""
    bare: Atoms = atoms.copy()
    bare.set_constraint()
    return bare


def _now(device: torch.device) -> float:
    """Seconds, after the device has finished what it was given."""
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


def _peak_memory(device: torch.device) -> float | None:
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device)) / 2**20
    if sys.platform == "win32":
        return None
    import resource

    # Kibibytes on Linux, bytes on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def cost(settings: TimingSettings, n_atoms: int) -> float:
    """Timed and untimed steps, through each path."""
    ways = 2 if settings.path == "auto" else 1
    return float(ways * settings.batch * (settings.repeats * settings.steps + settings.warmup_steps + 1))


SHOW = (
    Shown("path", "path"),
    Shown("ms/step", "ms_per_step"),
    Shown("low", "ms_per_step_low"),
    Shown("high", "ms_per_step_high"),
    Shown("ms/step/atom", "ms_per_step_per_atom"),
    Shown("threads", "threads"),
)


def quantities(rows: pd.DataFrame | None) -> tuple[Quantity, ...]:
    """Time of a step through ncbench's adapter, which every model has."""
    return (Quantity("step", "time a step", "ms", _adapter_time),)


def _adapter_time(rows: pd.DataFrame) -> Cell:
    rows = rows[rows["path"] == "adapter"]
    return mean_cell(rows, "ms_per_step") if len(rows) else Cell(missing="timing was not run through the adapter")


DIAGNOSTIC = Diagnostic(
    name="timing",
    rank=90,
    version=1,
    summary="Milliseconds a step of molecular dynamics, through the adapter and through the family's ASE calculator.",
    settings=TimingSettings,
    presets={
        Budget.SMOKE: TimingSettings(repeats=5, steps=1, warmup_steps=2),
        Budget.LAPTOP: TimingSettings(repeats=10, steps=5, warmup_steps=5),
        Budget.PAPER: TimingSettings(repeats=20, steps=50, warmup_steps=50),
    },
    run=run,
    schema=SCHEMA,
    cost=cost,
    show=SHOW,
    quantities=quantities,
    conditions=("device",),
)
