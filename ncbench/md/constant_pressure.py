"""Models as drivers of i-PI's constant-pressure dynamics: forces and stress of one or two models, optionally split into fast and slow parts."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import Protocol

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ncbench.errors import StructureError, UnsupportedError
from ncbench.md.ensemble import fast_and_slow
from ncbench.md.ipi_engine import ipi_thermostat
from ncbench.md.ipi_simulation import Driver, Input
from ncbench.md.random import NoiseSource
from ncbench.md.state import Particles, draw_momenta, momenta_of
from ncbench.md.thermostats import make_thermostat
from ncbench.models.interface import ForceField
from ncbench.types import ForceMode
from ncbench.units import GPA

FloatArray = NDArray[np.float64]


class BoxSettings(Protocol):
    """The diagnostic's settings that the input needs."""

    @property
    def ensemble(self) -> str: ...
    @property
    def mts(self) -> int | None: ...
    @property
    def thermostat(self) -> str: ...
    @property
    def temperature_K(self) -> float: ...
    @property
    def pressure_GPa(self) -> float: ...
    @property
    def barostat_tau_fs(self) -> float: ...
    @property
    def timestep_fs(self) -> float: ...
    @property
    def replicas(self) -> int: ...
    @property
    def fix_com(self) -> bool: ...
    @property
    def redraw_momenta(self) -> bool: ...


def simulation_input(atoms: Atoms, settings: BoxSettings, seed: int, index: int) -> tuple[Input, str]:
    """i-PI's input for one structure and replica, and whether its momenta were ``drawn`` or are the ``structure``'s."""
    particles = Particles.from_structures([atoms], fix_com=settings.fix_com)
    drawn = settings.redraw_momenta or settings.replicas > 1
    momenta = None if drawn else momenta_of([atoms], particles, settings.temperature_K)
    kind = "drawn" if momenta is None else "structure"
    if momenta is None:
        noise = NoiseSource(seed, [index], label="npt")
        momenta = draw_momenta(particles, noise.initial_normals((len(atoms), 3)), settings.temperature_K)
    thermostat = make_thermostat(settings.thermostat, settings.temperature_K) if settings.ensemble == "npt" else None
    stride = settings.mts or 1
    return Input(
        atoms=atoms,
        momenta=momenta[0].numpy(),
        # Without a thermostat on particles and piston, i-PI's npt is nph.
        mode="npt",
        temperature_K=settings.temperature_K,
        timestep_fs=settings.timestep_fs * stride,
        seed=zlib.crc32(f"{seed} {index} npt".encode()) >> 1,
        thermostat=ipi_thermostat(thermostat),
        fix_com=settings.fix_com,
        stride=stride,
        pressure_eV_per_A3=settings.pressure_GPa * GPA,
        barostat_tau_fs=settings.barostat_tau_fs,
        piston_bath=settings.ensemble == "npt",
        names=("field",) if settings.mts is None else ("slow", "fast"),
    ), kind


def drivers(
    forcefield: ForceField, reference: ForceField | None, *, mts: bool, conservative_forces: bool
) -> tuple[Callable[[Atoms], dict[str, Driver]], str, str]:
    """(function from a structure to i-PI drivers by name, source of the stress, source of the forces).

    Raises:
        UnsupportedError: a model without a stress, or without the requested second kind of forces.
    """
    if mts:
        fast, slow = fast_and_slow(forcefield, reference)
        _with_stress(fast)
        _with_stress(slow)
        return lambda atoms: _split(atoms, fast, slow), "mts", "mts"
    _with_stress(forcefield)
    mode = str(forcefield.card.force_mode)
    if not conservative_forces:
        return lambda atoms: {"field": _driver(atoms, forcefield, forcefield)}, mode, mode
    if forcefield.card.force_mode is not ForceMode.DIRECT:
        raise UnsupportedError(
            "Conservative forces beside a direct stress need the model's direct mode.", hint="Add ':direct'."
        )
    conservative = forcefield.sibling(ForceMode.CONSERVATIVE)
    return lambda atoms: {"field": _driver(atoms, conservative, forcefield)}, mode, "conservative"


def _with_stress(forcefield: ForceField) -> None:
    if not forcefield.card.has_stress:
        raise UnsupportedError(
            f"{forcefield.card.label} has no stress, and a barostat needs one.",
            hint="Use a mode or model with a stress.",
        )


def _driver(atoms: Atoms, forces: ForceField, stress: ForceField) -> Driver:
    """Energy and forces of one model, the stress of the other."""
    moved = atoms.copy()

    def call(cell: FloatArray, positions: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        moved.set_cell(cell)
        moved.set_positions(positions)
        try:
            (result,) = forces.evaluate([moved], stress=stress is forces)
        except StructureError:
            # Coincident atoms or a collapsed cell: NaN makes the caller treat the run as exploded.
            return math.nan, np.full_like(positions, math.nan), np.full((3, 3), math.nan)
        tensor = result.stress if stress is forces else stress.evaluate([moved], stress=True)[0].stress
        assert tensor is not None
        # i-PI's virial is −dE/dε: positive under compression.
        return float(result.energy), result.forces, -tensor * abs(float(np.linalg.det(cell)))

    return call


def _split(atoms: Atoms, fast: ForceField, slow: ForceField) -> dict[str, Driver]:
    """Drivers of the fast model and of the difference slow − fast, which i-PI adds every M-th step."""
    fast_driver, slow_driver = _driver(atoms, fast, fast), _driver(atoms, slow, slow)

    def correction(cell: FloatArray, positions: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        whole, part = slow_driver(cell, positions), fast_driver(cell, positions)
        return whole[0] - part[0], whole[1] - part[1], whole[2] - part[2]

    return {"slow": correction, "fast": fast_driver}
