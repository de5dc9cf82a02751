"""Runs of pet-m's two heads on water, for ``bench_predict.py``: work rates of the direct head along blended dynamics.

    python benchmarks/predict_runs.py --work DIR --share 0.25 --thermostat langevin:100 --duration 2000

One run of f = (1 − s) f_conservative + s f_direct; the rates, temperatures and conditions go to ``DIR/run-….npz``, which
``bench_predict.py --work DIR`` reads. A step of 192 atoms takes some 0.08 s of one core.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from ncbench.models.loading import load_forcefield
from ncbench.prediction.work_rates import WorkSeries, equilibrated_run
from ncbench.structures.load import load_cases
from ncbench.types import ForceMode, ModelRequest, SystemRequest

TEMPERATURE_K = 300.0
TIMESTEP_FS = 0.5


@dataclass(frozen=True)
class Run:
    """One run's samples and conditions."""

    share: float
    """s."""
    thermostat: str
    """``langevin:TAU``, or ``none`` for constant energy."""
    structure: int
    """Frame of water64."""
    series: WorkSeries
    seconds: float
    """Wall time, the equilibration included."""


def run(share: float, thermostat: str, *, structure: int, duration_fs: float, seed: int, work: Path) -> Path:
    """Run and keep."""
    direct = load_forcefield(ModelRequest(spec="pet-m:direct"))
    conservative = direct.sibling(ForceMode.CONSERVATIVE)
    cases = load_cases(SystemRequest(name="water64", structures=structure + 1), structure + 1, 0)
    began = time.perf_counter()
    series = equilibrated_run(
        conservative,
        direct,
        cases[structure].atoms,
        duration_fs=duration_fs,
        timestep_fs=TIMESTEP_FS,
        temperature_K=TEMPERATURE_K,
        seed=seed,
        thermostat=None if thermostat == "none" else thermostat,
        direct_share=share,
    )
    work.mkdir(parents=True, exist_ok=True)
    file = work / f"run-{share:g}-{thermostat.replace(':', '')}-{structure}-{seed}.npz"
    arrays: dict[str, Any] = {f"temperature_{name}": values for name, values in series.temperatures_K.items()}
    arrays |= {"share": share, "thermostat": thermostat, "structure": structure}
    arrays |= {"rates": series.rates, "spacing_fs": series.spacing_fs, "seconds": time.perf_counter() - began}
    arrays |= {"positions": series.end.positions, "momenta": series.end.get_momenta()}
    np.savez(file, **arrays)
    return file


def read(work: Path) -> list[Run]:
    """Every run in a folder, by share."""
    runs = []
    for file in sorted(work.glob("run-*.npz")):
        with np.load(file) as kept:
            prefix = "temperature_"
            temperatures = {name.removeprefix(prefix): kept[name] for name in kept.files if name.startswith(prefix)}
            end = Atoms(positions=kept["positions"], momenta=kept["momenta"])
            series = WorkSeries(kept["rates"], float(kept["spacing_fs"]), temperatures, end)
            where = (float(kept["share"]), str(kept["thermostat"]), int(kept["structure"]))
            runs.append(Run(*where, series, float(kept["seconds"])))
    return sorted(runs, key=lambda one: (one.thermostat, one.share, one.structure))


def main() -> None:
    """One run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--share", type=float, required=True, help="s, the direct head's share")
    parser.add_argument("--thermostat", default="langevin:100", help="langevin:TAU, or none")
    parser.add_argument("--structure", type=int, default=0, help="frame of water64")
    parser.add_argument("--duration", type=float, default=2000.0, help="fs, after the equilibration")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    file = run(
        options.share,
        options.thermostat,
        structure=options.structure,
        duration_fs=options.duration,
        seed=options.seed,
        work=options.work,
    )
    print(file)


if __name__ == "__main__":
    main()
