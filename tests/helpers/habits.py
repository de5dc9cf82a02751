"""ASE calculators on a smooth pair potential, each with one peculiarity of real calculators; an ASE loop."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.neighborlist import primitive_neighbor_list

from ncbench.models.ase_adapter import ASEForceField
from ncbench.models.interface import ModelCard
from ncbench.types import ForceMode

WELL_EV, RANGE_PER_A, REST_A, CUTOFF_A = 0.4, 1.2, 2.4, 5.0


def pair_potential(atoms: Atoms) -> tuple[float, np.ndarray, np.ndarray]:
    """(E, forces [N, 3], virial [3, 3]) of V(d) = D (x² − 2x)(1 − d²/c²)³ with x = exp(−a (d − r₀)), over all pairs within c."""
    i, _, d, v = primitive_neighbor_list("ijdD", atoms.pbc, atoms.cell.complete(), atoms.positions, CUTOFF_A)
    x = np.exp(-RANGE_PER_A * (d - REST_A))
    window, its_slope = (1 - (d / CUTOFF_A) ** 2) ** 3, -6 * d / CUTOFF_A**2 * (1 - (d / CUTOFF_A) ** 2) ** 2
    well, well_slope = WELL_EV * (x * x - 2 * x), -2 * RANGE_PER_A * WELL_EV * (x * x - x)
    pair = (well_slope * window + well * its_slope)[:, None] * v / d[:, None]
    forces = np.zeros((len(atoms), 3))
    np.add.at(forces, i, pair)
    return 0.5 * float(np.sum(well * window)), forces, 0.5 * np.einsum("pa,pb->ab", pair, v)


class Pairs(Calculator):
    """The potential, without a peculiarity. ``calls`` counts computations."""

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, change: Callable[[dict[str, Any], Atoms], None] | None = None) -> None:
        super().__init__()
        self.change = change
        self.calls = 0

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        energy, forces, virial = pair_potential(self.atoms)
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}
        if self.atoms.cell.rank == 3:
            stress = virial / self.atoms.get_volume()
            self.results["stress"] = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        if self.change is not None:
            self.change(self.results, atoms)


def _set(name: str, value: Callable[[np.ndarray], Any]) -> Callable[[dict[str, Any], Atoms], None]:
    def change(results: dict[str, Any], _atoms: Atoms) -> None:
        if name in results:
            results[name] = value(results[name])

    return change


def _one_nan(values: np.ndarray) -> np.ndarray:
    out = np.array(values, dtype=float)
    out.flat[-1] = np.nan
    return out


def _scaled_by(key: str) -> Callable[[dict[str, Any], Atoms], None]:
    def change(results: dict[str, Any], atoms: Atoms) -> None:
        for name in ("energy", "free_energy", "forces"):
            results[name] = results[name] * (1.0 + 0.5 * float(atoms.info.get(key, 0.0)))

    return change


def _extrapolates(results: dict[str, Any], atoms: Atoms) -> None:
    """``energy`` differs from the force-consistent ``free_energy``, as in codes with smeared occupations."""
    results["energy"] = results["free_energy"] + 0.2 * float(np.sum(atoms.get_all_distances()[0]))


def _all_electron_float32(results: dict[str, Any], _atoms: Atoms) -> None:
    """An energy of 1e5 eV in float32, which counts in 1/128 eV."""
    results["energy"] = results["free_energy"] = np.float32(results["energy"] - 102238.230154691)


def _moves(_results: dict[str, Any], atoms: Atoms) -> None:
    atoms.positions += 1.0
    atoms.pbc = True


def _chatter(_results: dict[str, Any], _atoms: Atoms) -> None:
    print("computing")  # noqa: T201 - the habit
    os.write(1, b"from compiled code\n")


HABITS: dict[str, Callable[[dict[str, Any], Atoms], None]] = {
    "forces (1, N, 3)": _set("forces", lambda f: f[None]),
    "forces (1, 3)": _set("forces", lambda f: f[:1]),
    "forces (3N,)": _set("forces", np.ravel),
    "forces (N + 1, 3)": _set("forces", lambda f: np.vstack([f, f[:1]])),
    "forces (3, N)": _set("forces", np.transpose),
    "forces None": _set("forces", lambda _: None),
    "forces text": _set("forces", lambda f: np.full(f.shape, "0.1")),
    "forces complex": _set("forces", lambda f: f.astype(complex)),
    "forces float32": _set("forces", lambda f: f.astype(np.float32)),
    "forces one NaN": _set("forces", _one_nan),
    "energy array of one": _set("energy", lambda e: np.array([e])),
    "energy array of one, 2-d": _set("energy", lambda e: np.array([[e]])),
    "energy an atom": _set("energy", lambda e: np.full(3, e / 3)),
    "energy NaN": _set("energy", lambda _: np.nan),
    "energy text": _set("energy", str),
    "energy None": _set("energy", lambda _: None),
    "stress NaN": _set("stress", lambda s: s * np.nan),
    "stress one inf": _set("stress", lambda s: np.where(np.arange(6) == 5, np.inf, s)),
    "stress (3, 3)": _set("stress", lambda s: s[np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])]),
    "stress (9,)": _set("stress", lambda s: np.resize(s, 9)),
    "moves the atoms": _moves,
    "extrapolates the energy": _extrapolates,
    "all-electron energy in float32": _all_electron_float32,
    "prints": _chatter,
    "sys.exit": lambda _results, _atoms: sys.exit(7),
    "changes the folder": lambda _results, _atoms: os.chdir("/"),
    "reads charge": _scaled_by("charge"),
    "reads total_charge": _scaled_by("total_charge"),
}


def field(habit: str | None = None, **card: Any) -> ASEForceField:
    """The calculator with the named peculiarity as a force field."""
    return wrapped(Pairs(None if habit is None else HABITS[habit]), **card)


def wrapped(calculator: Any, **values: Any) -> ASEForceField:
    """Any calculator as a force field."""
    defaults = {
        "name": "mycalc",
        "family": "ase",
        "force_mode": ForceMode.CONSERVATIVE,
        "force_modes": (ForceMode.CONSERVATIVE,),
        "elements": None,
        "cutoff_A": None,
        "receptive_A": None,
        "dtype": "float64",
        "device": "cpu",
        "has_stress": True,
    }
    return ASEForceField(calculator, ModelCard(**(defaults | values)))


def triangle(*, pbc: bool = True, **info: Any) -> Atoms:
    """Three atoms, no two distances alike, in a cell of 7 Å."""
    positions = [[0.0, 0.1, 0.2], [2.3, 0.3, 0.0], [0.4, 2.6, 0.9]]
    atoms = Atoms("OAl2", positions=positions, cell=[7.0, 7.1, 7.3] if pbc else None, pbc=pbc)
    atoms.info.update(info)
    return atoms
