"""Measurements of the stages: wall times on the device, each with its range, within the time that the call has left."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ase import Atoms

from ncbench.api.measurement import measure
from ncbench.errors import NcbenchError
from ncbench.jacobian.dense import exact
from ncbench.jacobian.stochastic import products
from ncbench.md.integrators import Dynamics
from ncbench.md.random import NoiseSource
from ncbench.md.run import RunSettings, run_md, warm_up
from ncbench.md.series import EnergySeries
from ncbench.md.state import MDState, Particles, draw_momenta, initial_state
from ncbench.md.thermostats import make_thermostat
from ncbench.models.interface import Field, ForceField
from ncbench.models.loading import load_forcefield
from ncbench.models.registry import models
from ncbench.structures.load import load_cases
from ncbench.types import ModelRequest, SystemRequest

if TYPE_CHECKING:
    from campaign import Call

Row = dict[str, Any]
REPLICAS = (1, 8, 32, 128)
MODELS = ("pet-m:direct", "pet-m:conservative")
TIMESTEP_FS = 0.5
TEMPERATURE_K = 300.0
ROUNDS = 5


def water(repeat: int = 1) -> Atoms:
    """The first snapshot of ``water64``, 192 atoms, repeated along each axis."""
    return load_cases(SystemRequest(name="water64", repeat=(repeat,) * 3), 1, 0)[0].atoms


def loaded(spec: str, device: str) -> ForceField:
    """The model on the device."""
    return load_forcefield(ModelRequest(spec=spec, device=device))


def finish(device: str) -> None:
    """Wait for the device."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def seconds(work: Callable[[], Any], device: str) -> float:
    """Wall time of a call."""
    finish(device)
    began = time.perf_counter()
    work()
    finish(device)
    return time.perf_counter() - began


def spread(values: Sequence[float]) -> Row:
    """Median and range."""
    return {"value": statistics.median(values), "low": min(values), "high": max(values), "rounds": len(values)}


class Trajectory:
    """R replicas under a Langevin thermostat, whose steps are timed in pieces."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self.particles = Particles.from_structures(field.structures, device=field.device)
        self.noise = NoiseSource(0, range(field.n_replicas), device=field.device)
        self.momenta = draw_momenta(self.particles, self.noise.initial_normals((field.n_atoms, 3)), TEMPERATURE_K)
        self.dynamics = Dynamics(TIMESTEP_FS, make_thermostat("langevin:100", TEMPERATURE_K))
        self.state: MDState | None = None

    def run(self, steps: int) -> None:
        """Steps from the start, with a sample at every tenth."""
        stride = min(10, steps)
        series = EnergySeries(self.particles, n_steps=steps, stride=stride, timestep_fs=TIMESTEP_FS)
        run_md(
            self.field,
            self.particles,
            lambda: initial_state(self.field, self.particles, self.momenta),
            self.dynamics,
            self.noise,
            RunSettings(n_steps=steps, sample_every=stride),
            observers=[series],
        )

    def advance(self, steps: int) -> None:
        """Bare steps from where the last call ended, without samples."""
        if self.state is None:
            self.state = initial_state(self.field, self.particles, self.momenta)
        for _ in range(steps):
            self.state = self.dynamics.step(self.state, self.field, self.particles, self.noise)

    def waits_in_a_step(self) -> int | None:
        """Synchronisations that CUDA reports in a step; ``None`` on a CPU."""
        if self.field.device.type != "cuda":
            return None
        state = initial_state(self.field, self.particles, self.momenta)
        state = self.dynamics.step(state, self.field, self.particles, self.noise)
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as reported:
                warnings.simplefilter("always")
                self.dynamics.step(state, self.field, self.particles, self.noise)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return sum("synchroniz" in str(one.message) for one in reported)


def dynamics(call: Call) -> list[Row]:
    """Replica-steps a second for each model and R, and over those of R = 1."""
    rows: list[Row] = []
    counts = REPLICAS[:2] if call.small else REPLICAS
    for number, spec in enumerate(MODELS):
        forcefield = loaded(spec, call.device)
        alone = 0.0
        for place, count in enumerate(counts):
            budget = call.share(0.5 / (len(counts) - place) / (len(MODELS) - number))
            try:
                row = _rate(forcefield, count, budget, small=call.small)
            except torch.OutOfMemoryError:
                rows.append({"model": spec, "replicas": count, "reason": "out of memory"})
                continue
            alone = alone or row["value"]
            rows.append({"model": spec, "replicas": count, **row, "over_one_replica": row["value"] / alone})
    return rows


def _rate(forcefield: ForceField, count: int, budget_s: float, *, small: bool) -> Row:
    trajectory = Trajectory(forcefield.bind([water()] * count))
    warm_up(trajectory.field)
    device = forcefield.card.device
    one = seconds(lambda: trajectory.run(2), device) / 3
    rounds = 1 if small else ROUNDS
    steps = 2 if small else max(5, min(500, int(budget_s / rounds / one)))

    def rate() -> float:
        # A run makes three calls before its first step, which are no part of a long one.
        first = seconds(lambda: trajectory.run(1), device)
        return count * steps / max(1e-9, seconds(lambda: trajectory.run(steps + 1), device) - first)

    rates = [rate() for _ in range(rounds)]
    return {**spread(rates), "unit": "replica-steps/s", "steps": steps, "waits_in_a_step": trajectory.waits_in_a_step()}


def jacobians(call: Call) -> list[Row]:
    """Exact and stochastic λ of 192 atoms, and 6N calls of the model's own calculator, sampled and scaled."""
    rows: list[Row] = []
    atoms, names = water(), (*MODELS, "sevennet-0")
    names = tuple(name for name in names if _installed(name))[: 1 if call.small else None]
    for number, spec in enumerate(names):
        if call.share(1.0 / (len(names) - number)) < 20.0 and not call.small:
            rows.append({"model": spec, "reason": "no time is left"})
            continue
        forcefield = loaded(spec, call.device)
        copy = atoms.copy()
        copy.calc = forcefield.ase_calculator()
        rng = np.random.default_rng(0)

        def one_call(copy: Atoms = copy, rng: np.random.Generator = rng) -> None:
            copy.positions[rng.integers(len(copy)), rng.integers(3)] += 1e-3
            copy.get_forces()

        for _ in range(2):
            one_call()
        sampled = [seconds(one_call, call.device) for _ in range(3 if call.small else 20)]
        differences = 6 * len(atoms) * statistics.mean(sampled)
        batch = 4 if call.small else 32

        def stochastic(forcefield: ForceField = forcefield, batch: int = batch) -> None:
            rng = np.random.default_rng(0)
            products(forcefield, atoms, probes=16, target_error=0.03, batch=batch, rng=rng, memory_GiB=60)

        def whole(forcefield: ForceField = forcefield, batch: int = batch) -> None:
            exact(forcefield, atoms, batch=batch, rng=np.random.default_rng(0))

        tasks = {"stochastic": stochastic} if call.small else {"stochastic": stochastic, "exact": whole}
        for kind, task in tasks.items():
            if not call.small:
                first = seconds(task, call.device)
                if first > call.left_s - 10.0:
                    rows.append({"model": spec, "method": kind, "reason": f"no time is left: {first:.0f} s a time"})
                    break
            taken = seconds(task, call.device)
            rows.append(
                {
                    "model": spec,
                    "method": kind,
                    "seconds": taken,
                    "differences_s": differences,
                    "times_faster": differences / taken,
                }
            )
    return rows


def _installed(name: str) -> bool:
    wanted = name.partition(":")[0]
    return any(row.name == wanted and row.installed() and row.weights_present() is not False for row in models())


def installed_models() -> list[str]:
    """Models of this environment whose weights need no download, with their modes."""
    names = []
    for row in models():
        if row.family in ("analytic", "ase") or row.needed or not row.installed() or row.weights_present() is not True:
            continue
        names += [f"{row.name}:{mode}" for mode in row.modes]
    return names


def step_times(call: Call) -> list[Row]:
    """Milliseconds a step of constant-energy dynamics, 192 atoms of water, by both code paths."""
    names = list(MODELS) if call.small else installed_models()
    sizes: Row = (
        {"repeats": 2, "steps": 1, "warmup_steps": 1}
        if call.small
        else {"repeats": 20, "steps": 10, "warmup_steps": 20}
    )
    columns = ("path", "ms_per_step", "ms_per_step_low", "ms_per_step_high", "peak_memory_MiB", "status", "reason")
    rows: list[Row] = []
    for spec in names:
        if call.left_s < 15.0:
            rows.append({"model": spec, "reason": "no time is left"})
            continue
        try:
            measured = measure("timing", spec, water(), device=call.device, progress=False, **sizes)
        except NcbenchError as error:
            rows.append({"model": spec, "reason": error.message})
            continue
        rows += [{"model": spec, **{name: row[name] for name in columns}} for row in measured.rows]
    return rows


def thermostats(call: Call) -> list[Row]:
    """Temperatures under Langevin thermostats, with R replicas as long as half of the rest of the time allows for each mode."""
    columns = (
        "thermostat",
        "tau_fs",
        "species",
        "temperature_K",
        "temperature_K_se",
        "power_meV_per_atom_per_ps",
        "status",
        "reason",
    )
    baths = ("langevin:10",) if call.small else ("langevin:10", "langevin:100", "svr:10")
    rows: list[Row] = []
    for number, spec in enumerate(MODELS[: 1 if call.small else None]):
        count = 2 if call.small else 32
        trajectory = Trajectory(loaded(spec, call.device).bind([water()] * count))
        one = seconds(lambda trajectory=trajectory: trajectory.run(10), call.device) / 11
        budget = call.share(0.8 / (len(MODELS) - number))
        steps = 20 if call.small else max(100, int(budget / len(baths) / one))
        duration = steps * TIMESTEP_FS
        measured = measure(
            "nvt",
            spec,
            water(),
            budget="paper",
            device=call.device,
            progress=False,
            thermostats=baths,
            replicas=count,
            equilibration_fs=0.2 * duration,
            duration_fs=0.8 * duration,
            sample_every=10,
        )
        for row in measured.rows:
            kept = {name: row[name] for name in columns if name in row}
            rows.append({"model": spec, "replicas": count, "fs_of_each": 0.8 * duration, **kept})
    return rows
