"""One i-PI simulation in this process, stepped by ncbench: its input, its forces, and its complete state as plain arrays.

i-PI (Litman et al., J. Chem. Phys. 161, 062504, 2024) provides only its integrator, thermostats and barostat: its
outputs, restarts and sockets are unused, files are written to a temporary folder, and its signal handlers are removed.

Units: masses in u, lengths in Bohr, energies in Hartree, hence time in Bohr √(u/Hartree) which needs no physical constant for the conversion between i-PI's units and ncbench's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import Bohr, Hartree
from numpy.typing import NDArray

from ncbench.errors import UnsupportedError
from ncbench.units import FS, KB

FloatArray = NDArray[np.float64]
Driver = Callable[[FloatArray, FloatArray], tuple[float, FloatArray, FloatArray]]
"""(cell [3, 3] of row vectors, positions [N, 3]) in Å → energy, forces [N, 3], virial −dE/dε [3, 3] in eV."""

BOHR, HARTREE = float(Bohr), float(Hartree)
"""Å and eV."""
TIME = float(BOHR / np.sqrt(HARTREE))
"""i-PI's unit of time in Å √(u/eV)."""
MOMENTUM = float(np.sqrt(HARTREE))
"""i-PI's unit of momentum in √(u eV)."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, kw_only=True)
class Input:
    """The input of i-PI."""

    atoms: Atoms
    momenta: FloatArray
    """[N, 3], √(u eV)."""
    mode: str
    """nve, nvt or npt, as named in i-PI."""
    temperature_K: float
    timestep_fs: float
    """Time step of the outermost forces, fs."""
    seed: int
    thermostat: str = ""
    """XML of ``<thermostat>``; see :func:`thermostat_xml`."""
    fix_com: bool = True
    stride: int = 1
    """M of multiple time stepping: the driver ``slow`` is then called at every outer step, ``fast`` at every inner one."""
    pressure_eV_per_A3: float | None = None
    barostat_tau_fs: float = 0.0
    piston_bath: bool = True
    """White noise on the barostat's momentum; without it and a thermostat, enthalpy is conserved."""
    names: tuple[str, ...] = field(default=("field",))
    """Force fields: ``("field",)``, or ``("slow", "fast")``."""


class IpiSimulation:
    """A simulation that can be stepped, read, saved and restored."""

    def __init__(self, simulation_input: Input, drivers: Mapping[str, Driver]) -> None:
        """Build the simulation. ``drivers`` has a function for each of ``simulation_input.names``.

        Raises:
            UnsupportedError: i-PI is not installed.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                from ipi.scripting import InteractiveSimulation
        except ImportError:
            raise UnsupportedError(
                "The engine i-pi needs i-PI, which is not installed.", hint="pip install 'ncbench[i-pi]'"
            ) from None
        with _apart():
            self._simulation: Any = InteractiveSimulation(_xml(simulation_input))
        self._system = self._simulation.syslist[0]
        for name, driver in drivers.items():
            self._simulation.fflist[name].driver = _answering(driver)
        self._step = 0

    def step(self) -> None:
        """One outermost time step."""
        self._system.motion.step(step=self._step)
        self._step += 1

    @property
    def positions(self) -> FloatArray:
        """[N, 3], Å."""
        return _floats(self._system.beads.q[0]).reshape(-1, 3) * BOHR

    @property
    def momenta(self) -> FloatArray:
        """[N, 3], √(u eV)."""
        return _floats(self._system.beads.p[0]).reshape(-1, 3) * MOMENTUM

    @property
    def cell(self) -> FloatArray:
        """[3, 3], rows, Å."""
        return _floats(self._system.cell.h).T * BOHR

    @property
    def energy(self) -> float:
        """eV, of all force fields together."""
        return float(self._system.forces.pot) * HARTREE

    @property
    def kinetic(self) -> float:
        """i-PI's own kinetic energy, eV."""
        return float(self._system.beads[0].kin) * HARTREE

    @property
    def forces(self) -> FloatArray:
        """[N, 3], eV/Å."""
        return _floats(self._system.forces.f[0]).reshape(-1, 3) * (HARTREE / BOHR)

    @property
    def conserved(self) -> float:
        """i-PI's conserved quantity, eV: energy, kinetic energy, energy of thermostats and barostat."""
        return float(self._system.ensemble.econs) * HARTREE

    def saved(self) -> dict[str, FloatArray]:
        """Everything the next step depends on, in i-PI's units: a simulation restored from it makes bitwise identical steps."""
        (state,) = self._system.prng.state
        saved_state = {
            "q": _floats(self._system.beads.q[0]),
            "p": _floats(self._system.beads.p[0]),
            "h": _floats(self._system.cell.h),
            "energies": np.array([float(self._system.ensemble.eens), *(float(bath.ethermo) for bath in self._baths())]),
            # 32-bit integers are exact in float64.
            "random": np.array([*state["state"]["key"], state["state"]["pos"]], dtype=np.float64),
        }
        if self._barostat is not None:
            saved_state["barostat"] = _floats(self._barostat.p)
        for number, bath in enumerate(self._baths()):
            if hasattr(bath, "s"):
                saved_state[f"bath{number}"] = _floats(bath.s)
        return saved_state

    def restore(self, saved: Mapping[str, FloatArray]) -> None:
        """Restore a state returned by :meth:`saved`."""
        self._system.cell.h[:] = saved["h"]
        self._system.beads.q[0, :] = saved["q"]
        self._system.beads.p[0, :] = saved["p"]
        self._system.ensemble.eens = float(saved["energies"][0])
        for bath, energy in zip(self._baths(), saved["energies"][1:], strict=True):
            bath.ethermo = float(energy)
        if self._barostat is not None:
            self._barostat.p[:] = saved["barostat"]
        for number, bath in enumerate(self._baths()):
            if hasattr(bath, "s"):
                bath.s[:] = saved[f"bath{number}"]
        (state,) = self._system.prng.state
        words = saved["random"].astype(np.uint32)
        state["state"] = {"key": words[:-1], "pos": int(words[-1])}
        self._system.prng.state = [state]

    @property
    def _barostat(self) -> Any:
        barostat = getattr(self._system.motion, "barostat", None)
        return barostat if barostat is not None and hasattr(barostat, "p") and hasattr(barostat, "m") else None

    def _baths(self) -> Sequence[Any]:
        """The thermostats of the particles and of the barostat, if present."""
        first = getattr(self._system.motion, "thermostat", None)
        second = getattr(self._barostat, "thermostat", None)
        return [bath for bath in (first, second) if bath is not None and hasattr(bath, "ethermo")]


def thermostat_xml(kind: str, *, tau_fs: float | None = None, drift_per_ps: FloatArray | None = None) -> str:
    """``langevin`` or ``svr`` with their time constants, or ``gle`` with its drift matrix."""
    if kind == "gle":
        assert drift_per_ps is not None
        matrix = drift_per_ps / (1000.0 * FS / TIME)
        return f"<thermostat mode='gle'><A shape='{matrix.shape}'> {_listed(matrix)} </A></thermostat>"
    assert tau_fs is not None
    return f"<thermostat mode='{kind}'><tau> {tau_fs * FS / TIME:.17e} </tau></thermostat>"


def _xml(simulation_input: Input) -> str:
    fields = "".join(f"<ffdirect name='{name}'><pes> dummy </pes></ffdirect>" for name in simulation_input.names)
    levels = {"slow": "<mts_weights> [1, 0] </mts_weights>", "fast": "<mts_weights> [0, 1] </mts_weights>", "field": ""}
    forces = "".join(f"<force forcefield='{name}'>{levels[name]}</force>" for name in simulation_input.names)
    steps = f"<nmts> [1, {simulation_input.stride}] </nmts>" if len(simulation_input.names) > 1 else ""
    barostat, pressure = "", ""
    if simulation_input.pressure_eV_per_A3 is not None:
        piston = (
            thermostat_xml("langevin", tau_fs=simulation_input.barostat_tau_fs) if simulation_input.piston_bath else ""
        )
        barostat = f"<barostat mode='isotropic'><tau> {simulation_input.barostat_tau_fs * FS / TIME:.17e} </tau>{piston}</barostat>"
        pressure = f"<pressure> {simulation_input.pressure_eV_per_A3 * BOHR**3 / HARTREE:.17e} </pressure>"
    atoms = simulation_input.atoms
    # At constant volume the forces are functions of positions alone, and i-PI takes no cells that are not triangular.
    in_box = simulation_input.pressure_eV_per_A3 is not None and atoms.cell.rank == 3
    cell = np.asarray(atoms.cell.array) if in_box else 1000.0 * np.eye(3)
    return f"""<simulation verbosity='quiet' threading='False' safe_stride='1000000000'>
<output prefix='unused'><properties stride='1000000000' filename='out'> [ step ] </properties></output>
<total_steps> 1000000000 </total_steps><prng><seed> {simulation_input.seed} </seed></prng>
{fields}
<system>
<initialize nbeads='1'>
<positions mode='manual'> {_listed(atoms.positions / BOHR)} </positions>
<momenta mode='manual'> {_listed(simulation_input.momenta / MOMENTUM)} </momenta>
<masses mode='manual'> {_listed(atoms.get_masses())} </masses>
<labels mode='manual'> [{", ".join(atoms.get_chemical_symbols())}] </labels>
<cell mode='manual'> {_listed(cell.T / BOHR)} </cell>
</initialize>
<forces>{forces}</forces>
<ensemble><temperature> {max(KB * simulation_input.temperature_K, 1e-30) / HARTREE:.17e} </temperature>{pressure}</ensemble>
<motion mode='dynamics'><fixcom> {simulation_input.fix_com} </fixcom>
<dynamics mode='{simulation_input.mode}'><timestep> {simulation_input.timestep_fs * FS / TIME:.17e} </timestep>{steps}{simulation_input.thermostat}{barostat}</dynamics></motion>
</system></simulation>"""


def _floats(values: Any) -> FloatArray:
    """A copy. ``np.array`` of one of i-PI's arrays shares its memory, so that an interrupted step would change the saved state."""
    copy = np.empty(np.shape(values), dtype=np.float64)
    copy[...] = values
    return copy


def _listed(values: FloatArray) -> str:
    return "[" + ", ".join(f"{value:.17e}" for value in np.ravel(values)) + "]"


def _answering(driver: Driver) -> Callable[[FloatArray, FloatArray], tuple[float, FloatArray, FloatArray, str]]:
    """A driver in i-PI's units. i-PI's cell holds vectors in columns."""

    def call(cell: FloatArray, positions: FloatArray) -> tuple[float, FloatArray, FloatArray, str]:
        energy, forces, virial = driver(_floats(cell).T * BOHR, _floats(positions).reshape(-1, 3) * BOHR)
        return energy / HARTREE, forces * (BOHR / HARTREE), virial / HARTREE, "{}"

    return call


@contextlib.contextmanager
def _apart() -> Iterator[None]:
    """Isolates i-PI: a temporary working folder, unchanged signal handlers, and no message at exit."""
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    working_folder = os.getcwd()  # noqa: PTH109 - restored by chdir below
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(working_folder)
            for number, handler in handlers.items():
                signal.signal(number, handler)
