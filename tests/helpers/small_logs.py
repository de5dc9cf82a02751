"""A small LAMMPS log as text, and the rows of a log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ncbench.logs.drift import measured
from ncbench.logs.log import LogOptions
from ncbench.logs.read import read_log
from ncbench.units import KB

HEAD = """LAMMPS (22 Jul 2025)
units metal
Created 108 atoms
timestep ${dt}
timestep 0.008
fix 1 all nve
Per MPI rank memory allocation (min/avg/max) = 3.1 | 3.1 | 3.1 Mbytes
   Step          Temp          PotEng         KinEng         TotEng
"""
END = "Loop time of 1.0 on 1 procs for 400 steps with 108 atoms\n"


def samples(count: int = 40, *, first: int = 0, every: int = 10, heat: float = 0.0) -> list[str]:
    """Rows of a crystal of 108 atoms at 60 K whose total energy (eV) rises by ``heat`` with each sample."""
    rng = np.random.default_rng(3)
    rows = []
    for number in range(count):
        kinetic = 1.5 * 107 * KB * (60 + 3 * rng.normal())
        temperature = kinetic / (1.5 * 107 * KB)
        total = -7.0 + heat * number + 1e-5 * rng.normal()
        rows.append(f"{first + every * number:10d} {temperature:.8g} {total - kinetic:.8g} {kinetic:.8g} {total:.8g}\n")
    return rows


def write(tmp_path: Path, text: str, name: str = "log.lammps") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


def rows_of(path: Path, **options: Any) -> list[dict[str, Any]]:
    return [measured(run) for run in read_log(path, LogOptions(**options))]
