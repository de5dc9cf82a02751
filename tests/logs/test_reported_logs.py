"""Logs of the kinds that public bug reports show: the same numbers as from the plain log, or the explosion that happened."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms, units
from ase.md import MDLogger
from ase.md.verlet import VelocityVerlet
from habits import Pairs
from small_logs import END, HEAD, rows_of, samples, write

from ncbench.logs.drift import measured
from ncbench.logs.log import Ensemble, LogOptions
from ncbench.logs.read import is_log, read_log
from ncbench.units import KB


def openmm_table(rows: list[str], separator: str, *, progress_first: bool) -> list[str]:
    """Heading and samples of a StateDataReporter with progress and remaining time, from rows of :func:`samples`."""
    names = ["Step", "Time (ps)", "Potential Energy (kJ/mole)", "Total Energy (kJ/mole)", "Temperature (K)"]
    words = ["Progress (%)", "Time Remaining"]
    lines = []
    for number, row in enumerate(rows):
        step, temperature, potential, _, total = row.split()
        numbers = [step, f"{int(step) * 0.008:.6g}", *(f"{float(x) * 96.48533212:.12g}" for x in (potential, total))]
        text = [f"{number:.1f}%", "0:05" if number else "--"]
        fields = [*text, *numbers, temperature] if progress_first else [*numbers, temperature, *text]
        lines.append(separator.join(fields) + "\n")
    headings = [*words, *names] if progress_first else [*names, *words]
    return ["#" + separator.join(f'"{name}"' for name in headings) + "\n", *lines]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("progress_first", [True, False])
def test_openmm_progress_columns_may_contain_text(tmp_path, separator, progress_first):
    """openmm/openmm 4712 and 940: ``progress=True, remainingTime=True, separator=';'``."""
    table = openmm_table(samples(heat=1e-3), separator, progress_first=progress_first)
    (row,) = rows_of(write(tmp_path, "".join(table), "md.csv"), n_atoms=108, ensemble=Ensemble.NVE)
    assert row["samples"] == 40
    assert row["timestep_fs"] == pytest.approx(8.0)
    assert row["power_meV_per_atom_per_ps"] == pytest.approx(1.0 / 108 / 0.08, rel=0.05)


@pytest.mark.parametrize("heading", [True, False])
def test_openmm_restarted_from_an_older_checkpoint(tmp_path, heading):
    """openmm/openmm_workshops 10: a reporter appends samples of steps that the file already has."""
    first = openmm_table(samples(heat=1e-3), ",", progress_first=True)
    again = openmm_table(samples(30, first=200, heat=1e-3), ",", progress_first=True)
    path = write(tmp_path, "".join([*first, *(again if heading else again[1:])]), "md.csv")
    rows = rows_of(path, n_atoms=108, ensemble=Ensemble.NVE)
    assert [row["samples"] for row in rows] == [40, 30]
    assert [row["power_meV_per_atom_per_ps"] for row in rows] == pytest.approx([1.0 / 108 / 0.08] * 2, rel=0.05)


def test_a_table_may_begin_with_a_text_column(tmp_path):
    text = "".join(f"{name},{0.08 * n},{-7 + 1e-3 * n}\n" for n, name in enumerate(["warm", "run"] * 20))
    options = {"columns": {"time": "t", "total": "E"}, "units": {"time": "ps", "energy": "eV"}, "n_atoms": 108}
    (row,) = rows_of(write(tmp_path, "part,t,E\n" + text, "e.csv"), **options)
    assert row["samples"] == 40


@pytest.mark.parametrize(
    "comments",
    [
        "".join(f"# col {number}: {name}\n" for number, name in enumerate(("T K", "K eV", "U eV", "Pxx GPa"), 1)),
        "# T(K) K(eV) U(eV) Pxx(GPa) Pyy(GPa) Pzz(GPa)\n\n",
    ],
)
def test_gpumd_names_its_columns_in_comments(tmp_path, comments):
    """brucefan1983/GPUMD PR 996: versions whose ``thermo.out`` begins with comments; another run appends them again."""
    fields = [row.split() for row in samples(heat=1e-3)]
    rows = [f"{t} {float(e) - float(p)!r} {p} 0 0 0 0 0 0 16.2 16.2 16.2\n" for _, t, p, _, e in fields]
    path = write(tmp_path, comments + "".join(rows) + comments + "".join(rows), "thermo.out")
    write(tmp_path, "108\n", "model.xyz")
    write(tmp_path, "time_step 8\n" + "ensemble nve\ndump_thermo 10\nrun 400\n" * 2, "run.in")
    assert is_log(path)
    runs = rows_of(path)
    assert [row["samples"] for row in runs] == [40, 40]
    assert [row["power_meV_per_atom_per_ps"] for row in runs] == pytest.approx([1.0 / 108 / 0.08] * 2, rel=0.05)


def test_colvars_lines_within_the_table_are_skipped(tmp_path):
    """lammps/lammps 752 and PR 3181: messages of a fix between samples, and a warning directly below the heading."""
    rows = samples(heat=1e-3)
    message = 'colvars: Saving collective variables state to "out2.colvars.state".\n'
    warning = "WARNING: Too many warnings: 106 vs 100. All future warnings will be suppressed (src/thermo.cpp:461)\n"
    numbers = "colvars: 1 2 3 4\n"
    text = HEAD + warning + "".join([*rows[:20], message, *rows[20:30], numbers, *rows[30:]]) + END
    (row,) = rows_of(write(tmp_path, text))
    assert row["samples"] == 40
    assert row["power_meV_per_atom_per_ps"] == pytest.approx(1.0 / 108 / 0.08, rel=0.05)


def test_samples_printed_twice_are_counted_once(tmp_path):
    """mir-group/flare 361: a program that restarts each run prints its first step again, with energies rounded otherwise."""
    rows, doubled = samples(heat=1e-3), []
    for row in rows:
        step, temperature, potential, kinetic, total = row.split()
        again = f"{step} {temperature} {potential} {kinetic} {float(total) * (1 + 3e-16)!r}\n"
        doubled += [row, again] if int(step) >= 100 else [row]
    (row,) = rows_of(write(tmp_path, HEAD + "".join(doubled) + END))
    (plain,) = rows_of(write(tmp_path, HEAD + "".join(rows) + END))
    assert row["samples"] == 40
    assert "30 samples that are printed twice" in row["note"]
    assert row["power_meV_per_atom_per_ps"] == pytest.approx(plain["power_meV_per_atom_per_ps"], rel=1e-9)


def test_a_step_printed_again_with_another_energy_begins_a_run(tmp_path):
    (row, again) = rows_of(write(tmp_path, HEAD + "".join([*samples(), *samples(30, first=390, heat=1e-3)]) + END))
    assert (row["samples"], again["samples"]) == (40, 30)


def test_a_temperature_that_falls_to_zero_is_an_explosion(tmp_path):
    """mir-group/pair_nequip_allegro 4: 303, 19325, 0, 0, … K; a constant energy afterwards is no steady run."""
    gone = [f"{10 * number} 0 -3.5 0 -3.5\n" for number in range(3, 60)]
    rows = [*samples(2), "20 19324.723 -7 269.2 262.2\n", *gone]
    (row,) = rows_of(write(tmp_path, HEAD + "".join(rows) + END))
    assert row["status"] == "exploded"
    assert "19324.7 K at 0.16 ps and 0 in all later samples" in row["reason"]
    (later,) = [measured(run, skip_fs=500.0) for run in read_log(tmp_path / "log.lammps", LogOptions())]
    assert later["status"] == "exploded"


def test_a_start_at_rest_and_slow_cooling_are_not_explosions(tmp_path):
    start = ["0 0 -7.0 0 -7.0\n", *samples(40, first=10)]
    (row,) = rows_of(write(tmp_path, HEAD + "".join(start) + END))
    assert row["status"] == "ok"
    cooled = [f"{10 * n} {t:.1f} -7.5 {1.5 * 107 * KB * t:.6f} -7.5\n" for n, t in enumerate(60 * 0.7 ** np.arange(30))]
    (row,) = rows_of(write(tmp_path, HEAD + "".join(cooled) + END))
    assert row["status"] != "exploded"


def test_an_openmm_table_without_leading_hash_is_recognised(tmp_path):
    """openmm/openmm 2403: ``#`` is removed for programs that read CSV."""
    table = "".join(openmm_table(samples(heat=1e-3), ",", progress_first=True)).removeprefix("#")
    path = write(tmp_path, table + table, "md.csv")
    assert is_log(path)
    rows = rows_of(path, n_atoms=108, ensemble=Ensemble.NVE)
    assert [row["samples"] for row in rows] == [40, 40]
    assert rows[0]["power_meV_per_atom_per_ps"] == pytest.approx(1.0 / 108 / 0.08, rel=0.05)
    assert not is_log(write(tmp_path, '"a","b"\n1,2\n', "other.csv"))


@pytest.mark.parametrize("per_atom", [False, True])
def test_an_ase_log_with_stresses_is_read_as_the_log_without(tmp_path, per_atom):
    """facebookresearch/fairchem PR 1972: stresses in the log of ASE's MDLogger, under one heading for six columns."""
    atoms = Atoms("Al2", [[0.0, 0.0, 0.0], [2.3, 0.1, 0.2]], cell=[9.0, 9.0, 9.0], pbc=True, calculator=Pairs())
    atoms.set_momenta([[3.0, 1.0, 0.0], [-3.0, -1.0, 0.0]])
    dynamics = VelocityVerlet(atoms, timestep=2.0 * units.fs)
    for stress in (False, True):
        name = str(tmp_path / f"{stress}.log")
        dynamics.attach(MDLogger(dynamics, atoms, name, stress=stress, peratom=per_atom, mode="w"))
    dynamics.run(40)
    plain, stressed = (rows_of(tmp_path / f"{stress}.log", n_atoms=2, timestep_fs=2.0) for stress in (False, True))
    assert [row["samples"] for row in stressed] == [41]
    for column in ("power_meV_per_atom_per_ps", "power_meV_per_atom_per_ps_se", "temperature_K"):
        assert stressed[0][column] == plain[0][column]
