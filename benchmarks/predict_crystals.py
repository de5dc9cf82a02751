"""Solenoidal Einstein crystals for ``bench_predict.py``: the harmonic theory, its closed form, and dynamics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from predict_output import Comparison

from ncbench.diagnostics.base import Context
from ncbench.diagnostics.nvt import NvtSettings
from ncbench.diagnostics.nvt import run as run_nvt
from ncbench.models.loading import load_forcefield
from ncbench.prediction.harmonic import harmonic_model
from ncbench.prediction.heating import Thermostat, power_from_excess, predict
from ncbench.prediction.quench import force_jacobian
from ncbench.statistics.floors import power_error
from ncbench.structures.load import load_cases
from ncbench.types import ModelRequest, SystemRequest
from ncbench.units import FS

TEMPERATURE_K = 300.0


class _Silent:
    def start(self, total: float, unit: str) -> None:
        """Nothing is shown."""

    def update(self, done: float, note: str = "") -> None:
        """Nothing is shown."""

    def load(self) -> dict[str, Any] | None:
        """Nothing is kept."""
        return None

    def save(self, state: Any) -> None:
        """Nothing is kept."""


def crystals(duration_fs: float) -> Iterator[Comparison]:
    """ΔT of a solenoidal Einstein crystal under white noise: the harmonic theory, its closed form, and dynamics."""
    (case,) = load_cases(SystemRequest(name="harmonic-crystal"), 1, 0)
    k, mass = 5.0, 39.948
    for kappa, tau_fs in ((0.05, 500.0), (0.05, 1000.0), (0.2, 300.0), (0.2, 500.0)):
        forcefield = load_forcefield(ModelRequest(spec="analytic-solenoidal", options=(("kappa", str(kappa)),)))
        jacobian = force_jacobian(forcefield, case.atoms, rng=np.random.default_rng(0))
        model = harmonic_model(jacobian.matrix, case.atoms.get_masses())
        thermostat = Thermostat.langevin(tau_fs)
        found = predict(
            model, case.atoms.get_chemical_symbols(), temperature_K=TEMPERATURE_K, thermostats=[thermostat]
        ).under(thermostat.label)
        assert found.power is not None
        ratio = (kappa / mass) ** 2 / (k / mass) * (tau_fs * FS) ** 2
        closed = power_from_excess(TEMPERATURE_K * 2 / 3 * (1 / (1 - ratio) - 1), tau_fs, len(model.omega), 64)
        what = f"Einstein crystal, κ = {kappa} eV/Å², Langevin {tau_fs:g} fs: power"
        yield Comparison("crystal", what, "meV/atom/ps", found.power, None, None, closed, 0.0, "closed form")
        silent = _Silent()
        rows = run_nvt(
            forcefield,
            [case],
            NvtSettings(
                thermostats=(thermostat.label,),
                duration_fs=duration_fs,
                equilibration_fs=10 * tau_fs / (1 - ratio),
                timestep_fs=4.0,
                redraw_momenta=True,
            ),
            seed=1,
            context=Context(progress=silent, checkpoint=silent),
        ).rows
        row = next(row for row in rows if row["species"] == "all")
        # The work of the forces has this floor; T² enters, since the hot modes carry the current.
        error = max(
            row["power_meV_per_atom_per_ps_se"] or 0.0,
            power_error(closed, TEMPERATURE_K / (1 - ratio), duration_fs / 1000.0, 64),
        )
        measured = row["power_meV_per_atom_per_ps"]
        yield Comparison(
            "crystal", what, "meV/atom/ps", found.power, None, None, measured, error, f"nvt, {duration_fs / 1000:g} ps"
        )


def kept_crystals(work: Path) -> list[Comparison]:
    """Runs of 100 ps, made once and kept in ``work``."""
    work.mkdir(parents=True, exist_ok=True)
    file = work / "crystals.json"
    if not file.exists():
        file.write_text(json.dumps([vars(row) for row in crystals(100_000.0)]), encoding="utf-8")
    return [Comparison(**values) for values in json.loads(file.read_text(encoding="utf-8"))]
