"""Units of logs: to eV, fs and K."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from ncbench.errors import UsageError, did_you_mean
from ncbench.logs.log import ENERGIES
from ncbench.units import FS, KB

PER_ATOM = "/atom"
"""Ends the unit of an energy that is printed per atom."""


@dataclass(frozen=True)
class UnitStyle:
    """Factors to eV, fs and K."""

    energy: float
    time: float
    temperature: float = 1.0


@lru_cache(maxsize=1)
def _energies() -> Mapping[str, float]:
    from ase import units

    joule = units.J
    per_mole = {"kcal/mol": units.kcal / units.mol, "kj/mol": units.kJ / units.mol}
    return {
        "ev": 1.0, "mev": 1e-3, "hartree": units.Hartree, "ha": units.Hartree, "rydberg": units.Rydberg, "ry": units.Rydberg,
        **per_mole, "j": joule, "erg": 1e-7 * joule,
        # As i-PI and OpenMM write them.
        "electronvolt": 1.0, "millielectronvolt": 1e-3, "kilocal/mol": per_mole["kcal/mol"], "kilojoule/mol": per_mole["kj/mol"],
        "kj/mole": per_mole["kj/mol"], "kcal/mole": per_mole["kcal/mol"], "atomic_unit": units.Hartree, "kelvin": KB, "joule": joule,
    }  # fmt: skip


@lru_cache(maxsize=1)
def _times() -> Mapping[str, float]:
    from ase import units

    atomic = units.AUT / units.fs
    return {
        "fs": 1.0, "ps": 1e3, "ns": 1e6, "us": 1e9, "µs": 1e9, "s": 1e15, "as": 1e-3, "ase": 1.0 / FS, "atomic_unit": atomic,
        "femtosecond": 1.0, "picosecond": 1e3, "nanosecond": 1e6, "second": 1e15,
    }  # fmt: skip


def _temperatures() -> Mapping[str, float]:
    return {"k": 1.0, "kelvin": 1.0, "atomic_unit": _energies()["hartree"] / KB}


def factor(role: str, unit: str) -> float:
    """Factor that converts a column to eV, fs or K; ``/atom`` is ignored.

    Raises:
        UsageError: no such unit.
    """
    known = _times() if role == "time" else _temperatures() if role == "temperature" else _energies()
    name = unit.removesuffix(PER_ATOM).strip().lower()
    if name not in known:
        quantity = role if role in ("time", "temperature") else "energy"
        raise UsageError(
            f"'{unit}' is not a known unit of {quantity}.",
            hint=did_you_mean(name, known) or f"Known: {', '.join(known)}.",
        )
    return known[name]


def lammps_style(style: str) -> UnitStyle:
    """Factors of a LAMMPS ``units`` style.

    Raises:
        UsageError: no such style, or ``lj``, whose units only the user knows.
    """
    energies, times = _energies(), _times()
    joule = energies["j"]
    styles = {
        "metal": UnitStyle(1.0, times["ps"]),
        "real": UnitStyle(energies["kcal/mol"], 1.0),
        "si": UnitStyle(joule, times["s"]),
        "cgs": UnitStyle(energies["erg"], times["s"]),
        "electron": UnitStyle(energies["hartree"], 1.0),
        # pg·µm²/µs² and ag·nm²/ns².
        "micro": UnitStyle(1e-15 * joule, times["us"]),
        "nano": UnitStyle(1e-21 * joule, times["ns"]),
    }
    if style == "lj":
        raise UsageError(
            "The log is in reduced (lj) units, which have no length in ps.",
            hint="Give ε in eV, σ in Å and the mass in u: --units lj:epsilon=0.0104,sigma=3.4,mass=39.948.",
        )
    if style not in styles:
        raise UsageError(f"LAMMPS has no units '{style}'.", hint=f"Known: {', '.join(styles)}, lj.")
    return styles[style]


def reduced_style(units: Mapping[str, str]) -> UnitStyle:
    """Factors of reduced units from ε (eV), σ (Å) and the mass (u): time σ√(m/ε), temperature ε/k_B.

    Raises:
        UsageError: one is absent or not positive.
    """
    values = []
    for name in ("epsilon", "sigma", "mass"):
        try:
            value = float(units.get(name, ""))
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value > 0):
            raise UsageError(
                f"Reduced units need a positive {name}.", hint="--units lj:epsilon=0.0104,sigma=3.4,mass=39.948."
            )
        values.append(value)
    epsilon, sigma, mass = values
    return UnitStyle(epsilon, sigma * math.sqrt(mass / epsilon) / FS, epsilon / KB)


def parse_units(typed: str) -> dict[str, str]:
    """``metal``, ``lj:epsilon=…,sigma=…,mass=…`` or ``time=ps,energy=kJ/mol,temperature=K`` as a mapping; ``style`` holds the first two's name.

    Raises:
        UsageError: neither of these, or an unknown unit.
    """
    units: dict[str, str] = {}
    style, colon, rest = typed.strip().partition(":")
    if "=" not in style:
        units["style"] = style.strip().lower()
        if units["style"] != "lj":
            lammps_style(units["style"])
            if colon:
                raise UsageError(f"Nothing may follow '{style}' in --units.")
            return units
        units |= pairs(rest, "--units")
        reduced_style(units)
        return units
    for role, unit in pairs(typed, "--units").items():
        if role not in ("time", "energy", "temperature", *ENERGIES):
            raise UsageError(f"--units has no quantity '{role}'.", hint="Write time=ps,energy=eV,temperature=K.")
        factor(role, unit)
        units[role] = unit
    return units


def pairs(typed: str, option: str) -> dict[str, str]:
    """``a=b,c=d`` as a mapping.

    Raises:
        UsageError: something else, or a name twice.
    """
    values_by_name: dict[str, str] = {}
    for part in typed.split(","):
        name, equals, value = (text.strip() for text in part.partition("="))
        if not (name and equals and value):
            raise UsageError(f"'{part.strip()}' in {option} is not NAME=VALUE.")
        if name in values_by_name:
            raise UsageError(f"{option} names '{name}' twice.")
        values_by_name[name] = value
    return values_by_name
