"""Fine-tune the direct head of ``pet-m`` with and without penalties on its antisymmetric Jacobian, and compare what that does to heating.

    python benchmarks/training/antisymmetry.py --work DIR              # some 5 minutes on one core
    python benchmarks/training/antisymmetry.py --work DIR --steps 20   # a try

The head learns the conservative forces of the same weights on frames of 8 water molecules; everything but the head stays, and with it the conservative forces.
Compared are the forces alone, forces with :func:`ncbench.antisymmetry_loss`, and forces with :func:`ncbench.heating_loss`, all from the same start with the same
frames and number of steps. The penalties' weights make them equal to the error of the forces at the start, or ten times larger. Judged by the relative error of the forces on 64
molecules and, on another packing of 8 molecules (``--judge water64``: on the 64), by λ and heating from the exact Jacobian at a minimum and by the work in a run of
the direct forces under white noise.
Writes ``results/bench/antisymmetry.csv`` and ``.md``. Finished parts are kept in ``--work``.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from ase import Atoms
from ase.io import read, write

import ncbench
from ncbench.models.interface import Field, ForceField
from ncbench.models.loading import load_forcefield
from ncbench.prediction.antisymmetry_loss import antisymmetry_loss
from ncbench.prediction.harmonic import FloatArray, harmonic_model
from ncbench.prediction.heating import Thermostat, predict
from ncbench.prediction.heating_loss import HeatingBands, heating_loss
from ncbench.prediction.quench import force_jacobian, quench
from ncbench.prediction.work_rates import work_along_run
from ncbench.relaxation.batch import relax
from ncbench.statistics.floors import power_error
from ncbench.statistics.format import number, with_error
from ncbench.structures.load import load_cases
from ncbench.structures.water import water_box
from ncbench.types import ForceMode, ModelRequest, SystemRequest
from ncbench.units import MEV

ROOT = Path(__file__).resolve().parents[2]
HEAD = "non_conservative_force"
TEMPERATURE_K, TIMESTEP_FS, TAU_FS = 300.0, 0.5, 100.0
FRAMES, APART_FS, EQUILIBRATION_FS = 24, 25.0, 250.0
RATE, PROBES = 5e-4, 2
ARMS = ("forces alone", "antisymmetry", "heating")
WEIGHTS = (1.0, 10.0)
"""Of the penalties, in units of what makes them equal to the error of the forces at the start."""
JUDGES = {"water8": "another packing of 8 molecules", "water64": "64 molecules"}
"""Structures that no training saw."""
Forces = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Frame:
    """A structure of the training set."""

    field: Field
    """Bound to the direct forces."""
    positions: torch.Tensor
    """[1, N, 3], Å."""
    target: torch.Tensor
    """[1, N, 3]: conservative forces, eV/Å."""
    bands: HeatingBands


def head_of(forcefield: ForceField) -> dict[str, torch.nn.Parameter]:
    """Parameters of the direct head alone."""
    model: Any = forcefield.model  # type: ignore[attr-defined]
    return {name: weight for name, weight in model.named_parameters() if HEAD in name}


def training_structures(direct: ForceField, work: Path) -> list[Atoms]:
    """Frames of conservative dynamics of 8 molecules at 300 K."""
    file = work / "frames.xyz"
    if not file.exists():
        (case,) = load_cases(SystemRequest(name="water8"), 1, 0)
        atoms, frames = case.atoms, []
        conservative = direct.sibling(ForceMode.CONSERVATIVE)
        for index in range(FRAMES + 1):
            atoms = work_along_run(
                conservative,
                direct,
                atoms,
                duration_fs=APART_FS if index else EQUILIBRATION_FS,
                timestep_fs=TIMESTEP_FS,
                temperature_K=TEMPERATURE_K,
                seed=index,
                thermostat="langevin:50",
            ).end
            frames.append(atoms)
        write(file, frames[1:])
    return list(read(file, slice(None)))


def bound(direct: ForceField, structures: Sequence[Atoms]) -> list[Frame]:
    """Targets and vibrations of every frame, the latter from the untrained head's symmetric part."""
    conservative, frames = direct.sibling(ForceMode.CONSERVATIVE), []
    for atoms in structures:
        jacobian = force_jacobian(direct, atoms, batch=8, rng=np.random.default_rng(0)).matrix
        field = direct.bind([atoms])
        positions = field.initial_positions()
        target = conservative.bind([atoms])(positions).forces
        frames.append(
            Frame(field, positions, target, HeatingBands.from_jacobian(jacobian, atoms.get_masses(), tau_fs=TAU_FS))
        )
    return frames


def forces_of(frame: Frame) -> Forces:
    """The direct forces as a differentiable function of positions."""

    def forces(positions: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor
        _, found = frame.field._energy_and_forces(positions, create_graph=True)  # type: ignore[attr-defined] # noqa: SLF001
        return found

    return forces


def terms(frame: Frame, arm: str, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Squared relative error of the forces, and the penalty."""
    forces = forces_of(frame)
    error = (forces(frame.positions) - frame.target).square().sum() / frame.target.square().sum()
    if arm == "antisymmetry":
        return error, antisymmetry_loss(forces, frame.positions, PROBES, generator=generator)
    if arm == "heating":
        return error, heating_loss(forces, frame.positions, frame.bands, PROBES, generator=generator)
    return error, torch.zeros_like(error)


def fine_tune(direct: ForceField, frames: Sequence[Frame], arm: str, steps: int, relative: float) -> list[str]:
    """Adam with a cosine schedule on the head's weights, one frame a step. Returns what to note."""
    head = head_of(direct)
    generator = torch.Generator().manual_seed(0)
    start = [[float(term.detach()) for term in terms(frame, arm, generator)] for frame in frames]
    error, penalty = np.mean(start, axis=0)
    weight = relative * error / penalty if penalty > 0 else 0.0
    for parameter in head.values():
        parameter.requires_grad_(True)
    optimiser = torch.optim.Adam(head.values(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    order = np.random.default_rng(0)
    began = time.perf_counter()
    for step in range(steps):
        if step % len(frames) == 0:
            shuffled = order.permutation(len(frames))
        misfit, extra = terms(frames[shuffled[step % len(frames)]], arm, generator)
        loss = misfit + weight * extra
        gradients = torch.autograd.grad(loss, list(head.values()), allow_unused=True)
        for parameter, gradient in zip(head.values(), gradients, strict=True):
            parameter.grad = torch.zeros_like(parameter) if gradient is None else gradient
        optimiser.step()
        schedule.step()
    for parameter in head.values():
        parameter.requires_grad_(False)
    end = [[float(term.detach()) for term in terms(frame, arm, generator)] for frame in frames]
    after = np.mean(end, axis=0)
    unit = {"antisymmetry": "", "heating": " meV/atom/ps"}.get(arm)
    note = f"{arm}{f', weight {relative:g}' if penalty > 0 else ''}: {steps} steps in {time.perf_counter() - began:.0f} s; on the training frames the relative error of the forces went from "
    note += f"{100 * error**0.5:.1f} to {100 * after[0] ** 0.5:.1f} %"
    if unit is not None:
        note += f", the penalty from {number(penalty)} to {number(after[1])}{unit} (its weight: {number(weight)})"
    return [note + "."]


def unseen_structure(direct: ForceField, judge: str) -> Atoms:
    """The first snapshot of ``water64``, or for ``water8`` another packing of 8 molecules, equilibrated with the conservative forces."""
    if judge == "water64":
        return load_cases(SystemRequest(name="water64"), 1, 0)[0].atoms
    conservative, atoms = direct.sibling(ForceMode.CONSERVATIVE), water_box(8, seed=1)
    atoms.positions[:] = relax(conservative, atoms, "lbfgs", fmax=0.05, max_steps=300).positions
    return work_along_run(
        conservative,
        direct,
        atoms,
        duration_fs=EQUILIBRATION_FS,
        timestep_fs=TIMESTEP_FS,
        temperature_K=TEMPERATURE_K,
        seed=1,
        thermostat="langevin:50",
    ).end


def judged(direct: ForceField, atoms: Atoms, duration_fs: float) -> dict[str, float | None]:
    """Errors of forces on two snapshots of 64 molecules; λ and predicted heating at the minimum of ``atoms``, and a run from them."""
    conservative = direct.sibling(ForceMode.CONSERVATIVE)
    squares, scale = 0.0, 0.0
    for case in load_cases(SystemRequest(name="water64", structures=2), 2, 0):
        exact = conservative.evaluate([case.atoms])[0].forces
        squares += float(((direct.evaluate([case.atoms])[0].forces - exact) ** 2).sum())
        scale += float((exact**2).sum())
    rested = quench(direct, None, atoms, fmax=0.02, steps=200).atoms
    jacobian = force_jacobian(direct, rested, rng=np.random.default_rng(0))
    thermostat = Thermostat.langevin(TAU_FS)
    prediction = predict(
        harmonic_model(jacobian.matrix, atoms.get_masses()),
        atoms.get_chemical_symbols(),
        temperature_K=TEMPERATURE_K,
        thermostats=[thermostat],
    ).under(thermostat.label)
    run = work_along_run(
        conservative,
        direct,
        atoms,
        duration_fs=duration_fs,
        timestep_fs=TIMESTEP_FS,
        temperature_K=TEMPERATURE_K,
        seed=0,
        thermostat=thermostat.label,
        direct_share=1.0,
    )
    power = float(run.rates.mean()) * 1000.0 / (len(atoms) * MEV)
    return {
        "force_error_percent": 100 * (squares / scale) ** 0.5,
        "lambda": lambda_of(jacobian.matrix),
        "golden_rule_meV_per_atom_per_ps": prediction.golden_rule_power,
        "predicted_meV_per_atom_per_ps": prediction.power,
        "measured_meV_per_atom_per_ps": power,
        "measured_meV_per_atom_per_ps_se": power_error(
            abs(power), run.mean_temperature_K, duration_fs / 1000.0, len(atoms)
        ),
        "measured_temperature_K": run.mean_temperature_K,
    }


def lambda_of(jacobian: FloatArray) -> float:
    """λ = ‖(J − Jᵀ)/2‖/‖J‖."""
    return float(np.linalg.norm(jacobian - jacobian.T) / 2 / np.linalg.norm(jacobian))


def results(work: Path, steps: int, judge: str, duration_fs: float) -> tuple[list[dict[str, Any]], list[str]]:
    """A row for the head as it is and for each way of training, and notes."""
    direct = load_forcefield(ModelRequest(spec="pet-m:direct"))
    head = head_of(direct)
    untrained = {name: weight.detach().clone() for name, weight in head.items()}
    frames: list[Frame] = []
    unseen = unseen_structure(direct, judge)
    rows, notes = [], []
    trained = [(arm, relative) for relative in WEIGHTS for arm in ARMS[1:]]
    for arm, relative in [("before", 0.0), (ARMS[0], 0.0), *trained]:
        file = work / f"{arm.replace(' ', '-')}-{relative:g}-{steps}.pt"
        with torch.no_grad():
            for name, weight in head.items():
                weight.copy_(untrained[name])
        if file.exists():
            kept = torch.load(file, weights_only=True)
        else:
            remarks: list[str] = []
            if arm != "before":
                frames = frames or bound(direct, training_structures(direct, work))
                remarks = fine_tune(direct, frames, arm, steps, relative)
            kept = {"weights": {name: weight.detach().clone() for name, weight in head.items()}, "notes": remarks}
        with torch.no_grad():
            for name, weight in head.items():
                weight.copy_(kept["weights"][name])
        if judge not in kept:
            torch.save(kept, file)
            kept[judge] = judged(direct, unseen, duration_fs)
            torch.save(kept, file)
        rows.append({"training": f"{arm}, weight {relative:g}" if relative else arm, **kept[judge]})
        notes += kept["notes"]
        print(rows[-1], flush=True)
    return rows, notes


def write_tables(
    rows: Sequence[dict[str, Any]], notes: Sequence[str], folder: Path, judge: str, duration_fs: float
) -> None:
    """CSV and Markdown, with the reading of the numbers where there is one."""
    pd.DataFrame(list(rows)).to_csv(folder / "antisymmetry.csv", index=False, float_format="%.6g")
    lines = [
        "# Fine-tuning a direct head with a penalty on its antisymmetry",
        "",
        (
            f"Made by `benchmarks/training/antisymmetry.py`. {platform.machine()}, {torch.get_num_threads()} thread(s), torch "
            f"{torch.__version__.partition('+')[0]}, ncbench {ncbench.__version__}. `pet-m`, its direct head's weights alone; {FRAMES} frames of 8 molecules. Forces: "
            f"against the conservative forces of the same weights on 64 molecules, root mean square over root mean square. λ and predicted powers: exact Jacobian at a minimum of "
            f"{JUDGES[judge]}, white noise of τ = {TAU_FS:g} fs; a dash is a runaway. Measured: work of the non-conservative part in {duration_fs / 1000:g} ps of direct forces "
            f"with that thermostat, from the same structure at {TEMPERATURE_K:g} K."
        ),
        "",
        "| training | force error % | λ | golden rule meV/atom/ps | predicted meV/atom/ps | measured meV/atom/ps | T K |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        power = with_error(row["measured_meV_per_atom_per_ps"], row["measured_meV_per_atom_per_ps_se"])
        predicted = number(row["predicted_meV_per_atom_per_ps"])
        lines.append(
            f"| {row['training']} | {row['force_error_percent']:.1f} | {row['lambda']:.4f} | {number(row['golden_rule_meV_per_atom_per_ps'])} | "
            f"{predicted} | {power} | {row['measured_temperature_K']:.0f} |"
        )
    lines += ["", *(f"- {note}" for note in notes), ""]
    reading = folder / "antisymmetry_reading.md"
    if reading.exists():
        lines.append(reading.read_text(encoding="utf-8"))
    (folder / "antisymmetry.md").write_text("\n".join(lines), encoding="utf-8")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("antisymmetry_work"), help="where finished parts are kept")
    parser.add_argument("--judge", choices=JUDGES, default="water8", help="structure for λ and the heating")
    parser.add_argument("--steps", type=int, default=300, help="steps of each training")
    parser.add_argument("--duration", type=float, default=600.0, help="length of the runs that measure the heating, fs")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    rows, notes = results(options.work, options.steps, options.judge, options.duration)
    options.out.mkdir(parents=True, exist_ok=True)
    write_tables(rows, notes, options.out, options.judge, options.duration)


if __name__ == "__main__":
    main()
