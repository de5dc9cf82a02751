"""Logs that are truncated, mixed with warnings, restarted, not finite or incomplete."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_logs import END, HEAD, rows_of, samples, write

from ncbench.errors import UsageError
from ncbench.logs.grid import equal_steps
from ncbench.logs.log import Ensemble
from ncbench.logs.read import is_log
from ncbench.logs.tabular import parse_columns
from ncbench.logs.units import factor, lammps_style, parse_units
from ncbench.logs.verdict import Cause, verdict
from ncbench.units import FS, KB

DATA = Path(__file__).parent / "data"


def test_a_complete_log(tmp_path):
    (row,) = rows_of(write(tmp_path, HEAD + "".join(samples(heat=1e-3)) + END))
    assert row["status"] == "ok"
    assert row["ensemble"] == "nve"
    assert row["power_meV_per_atom_per_ps"] == pytest.approx(1.0 / 108 / 0.08, rel=0.05)


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (lambda rows: rows, 40),
        # The last line is cut within a number that still reads as one.
        (lambda rows: [*rows[:-1], rows[-1][:-4]], 39),
        (lambda rows: [*rows[:20], "WARNING: Temperature for thermo is not correct (src/x.cpp:1)\n", *rows[20:]], 40),
        (lambda rows: [*rows[:20], "WARNING: a = b\n", "\n", *rows[20:]], 40),
        (lambda rows: [row.replace("\n", "\r\n") for row in rows], 40),
        (lambda rows: [*rows, "ERROR: Cannot open file (src/dump.cpp:1)\n", "Last command: run 400\n"], 40),
        # The last step of a run beside the grid.
        (lambda rows: [*rows, *samples(1, first=393)], 40),
    ],
)  # fmt: skip
def test_lines_that_are_not_samples_are_skipped(tmp_path, change, left):
    (row,) = rows_of(write(tmp_path, HEAD + "".join(change(samples()))))
    assert row["status"] == "ok"
    assert row["samples"] == left
    assert row["interval_fs"] == pytest.approx(80.0)


@pytest.mark.parametrize("bad", ["nan", "-nan", "inf"])
def test_energies_that_are_not_finite_are_an_explosion(tmp_path, bad):
    rows = samples()
    rows[30] = f"300 {bad} {bad} {bad} {bad}\n"
    (row,) = rows_of(write(tmp_path, HEAD + "".join(rows) + END))
    assert row["status"] == "exploded"
    assert "2.4 ps" in row["reason"]
    assert row.get("power_meV_per_atom_per_ps") is None
    assert verdict([row]).cause is Cause.UNKNOWN


def test_a_restart_from_an_earlier_step_is_a_separate_run(tmp_path):
    (row, again) = rows_of(write(tmp_path, HEAD + "".join([*samples(), *samples(30, first=200)]) + END))
    assert (row["samples"], again["samples"]) == (40, 30)
    assert (row["run"], again["run"]) == (1, 2)


def test_energies_per_atom_are_multiplied(tmp_path):
    text = HEAD.replace("fix 1", "thermo_modify lost warn norm yes\nfix 1")
    lines = [line.split() for line in samples(heat=1e-3)]
    rows = [
        " ".join([step, temperature, *(f"{float(x) / 108:.12g}" for x in rest)]) + "\n"
        for step, temperature, *rest in lines
    ]
    (row,) = rows_of(write(tmp_path, text + "".join(rows) + END))
    assert row["power_meV_per_atom_per_ps"] == pytest.approx(1.0 / 108 / 0.08, rel=0.05)


def test_wrong_units_are_detected_by_the_degrees_of_freedom(tmp_path):
    (row,) = rows_of(write(tmp_path, HEAD + "".join(samples()) + END), units={"style": "real"})
    assert row["status"] == "failed"
    assert "units or the number of atoms" in row["reason"]


@pytest.mark.parametrize("time", ["nan", "inf"])
def test_a_sample_without_a_time_is_left_out(tmp_path, time):
    text = "".join(f"{time if n == 20 else 0.08 * n} {-7 + 1e-3 * n}\n" for n in range(41))
    options = {"columns": {"time": "1", "total": "2"}, "units": {"time": "ps", "energy": "eV"}, "n_atoms": 108}
    (row,) = rows_of(write(tmp_path, text, "e.txt"), **options)
    assert row["samples"] == 20


def test_zero_atoms_are_refused(tmp_path):
    with pytest.raises(UsageError, match="how many atoms"):
        rows_of(write(tmp_path, HEAD + "".join(samples()) + END.replace("108", "0")))


def test_few_samples_give_no_slope(tmp_path):
    (row,) = rows_of(write(tmp_path, HEAD + "".join(samples(5)) + END))
    assert row["status"] == "incomplete"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEAD.replace("units metal\n", "") + "".join(samples()) + END, "does not say its units.*--units metal"),
        (HEAD.replace("metal", "lj") + "".join(samples()) + END, "reduced.*lj:epsilon="),
        (HEAD.replace("Created 108 atoms\n", "") + "".join(samples()), "how many atoms.*N = 107"),
        (HEAD.replace("Temp  ", "Press ").replace("Step", "Xyz "), "without thermo output"),
        ("Per MPI rank memory allocation\nTemp TotEng\n1 2\n3 4\n", "units"),
    ],
)
def test_missing_information_is_requested_as_options(tmp_path, text, says):
    with pytest.raises(UsageError, match=says):
        rows_of(write(tmp_path, text))


def test_removed_thermostats_are_not_counted(tmp_path):
    text = HEAD.replace("fix 1 all nve", "fix 1 all nve\nfix 2 all langevin 60 60 0.1 1\nunfix 2")
    (row,) = rows_of(write(tmp_path, text + "".join(samples()) + END))
    assert row["ensemble"] == "nve"
    text = text.replace("unfix 2\n", "")
    (row,) = rows_of(write(tmp_path, text + "".join(samples()) + END))
    assert (row["ensemble"], row["conserved"]) == ("thermostat", False)


@pytest.mark.parametrize(
    ("fix", "conserved"),
    [
        ("fix 1 all nvt temp 60 60 0.1", True),
        # The quantity of Nosé and Hoover contains the target temperature.
        ("fix 1 all nvt temp 30 90 0.1", False),
        ("fix 1 all npt temp 60 60 0.1 iso 0 1000 1", False),
        ("fix 1 all nvt/kk temp 60 60 0.1", True),
        ("fix 1 all nve\nfix 2 all temp/csvr 30 90 0.1 1", True),
        ("fix 1 all nve\nfix 2 all langevin 60 60 0.1 1 tally yes", True),
        ("fix 1 all nve\nfix 2 all langevin 60 60 0.1 1", False),
        ("fix 1 all nve\nfix 2 all addforce 0.1 0 0", False),
    ],
)
def test_thermostats_whose_heat_is_in_the_conserved_quantity(tmp_path, fix, conserved):
    text = HEAD.replace("fix 1 all nve", fix).replace("TotEng", "Econserve")
    (row,) = rows_of(write(tmp_path, text + "".join(samples()) + END))
    assert (row["ensemble"], row["conserved"]) == ("thermostat", conserved)


def test_precision_of_the_time_step_is_limited_by_the_printed_times(tmp_path):
    """Times with one decimal in ps over 3.1 ps: 0.008 ps a step is known to one digit."""
    text = "\n".join(f"{10 * n},{0.08 * n:.1f},{-7 + 1e-3 * n}" for n in range(1, 40)) + "\n"
    options = {
        "columns": {"step": "1", "time": "2", "total": "3"},
        "units": {"time": "ps", "energy": "eV"},
        "n_atoms": 108,
    }
    (row,) = rows_of(write(tmp_path, text, "e.csv"), **options)
    assert row["timestep_fs"] == 8.0


def test_ensemble_of_a_log_without_commands_is_unknown(tmp_path):
    text = HEAD.replace("fix 1 all nve\n", "")
    (row,) = rows_of(write(tmp_path, text + "".join(samples(heat=1e-3)) + END))
    assert (row["ensemble"], row["conserved"]) == ("unknown", None)


def test_ase_log_with_a_second_header(tmp_path):
    text = (DATA / "ase-swirl-8fs.log").read_text(encoding="utf-8")
    first, second = rows_of(write(tmp_path, text + text, "md.log"), n_atoms=108)
    assert first["power_meV_per_atom_per_ps"] == second["power_meV_per_atom_per_ps"]


def test_ase_logs_need_the_number_of_atoms_and_it_is_suggested():
    with pytest.raises(UsageError, match=r"--atoms N \(2K = 3N k_B T gives N = 108"):
        rows_of(DATA / "ase-swirl-8fs.log")


def test_gpumd_times_are_read_from_run_in(tmp_path):
    """The numbers of a real log of ASE in GPUMD's columns."""
    lines = (DATA / "ase-swirl-8fs.log").read_text(encoding="utf-8").splitlines()[2:]
    thermo = "".join(
        f"{temperature} {kinetic} {potential} 0 0 0 0 0 0 16.2 16.2 16.2\n"
        for _, _, potential, kinetic, temperature in (line.split() for line in lines)
    )
    path = write(tmp_path, thermo, "thermo.out")
    with pytest.raises(UsageError, match=r"no run\.in"):
        rows_of(path, n_atoms=108)
    write(tmp_path, "108\n", "model.xyz")
    write(
        tmp_path,
        "time_step 8\nensemble nvt_lan 60 60 100\ndump_thermo 15\nrun 1500 # equilibration\nensemble nve\ndump_thermo 15\nrun 2250\nrun 100\n",
        "run.in",
    )
    bath, nve = rows_of(path)
    assert (bath["samples"], nve["samples"]) == (100, 150)
    assert (bath["conserved"], nve["conserved"]) == (False, True)
    assert bath["exchange"] == "ensemble nvt_lan"
    assert nve["timestep_fs"] == 8.0
    assert nve["interval_fs"] == pytest.approx(120.0)
    (whole,) = rows_of(path, timestep_fs=8.0, every=15, ensemble=Ensemble.NVE)
    (ase,) = rows_of(DATA / "ase-swirl-8fs.log", n_atoms=108, ensemble=Ensemble.NVE)
    assert whole["power_meV_per_atom_per_ps"] == pytest.approx(ase["power_meV_per_atom_per_ps"], rel=0.05)
    write(tmp_path, "time_step 8\ndump_thermo 15\nrun 150\n", "run.in")
    with pytest.raises(UsageError, match=r"250 lines where run\.in gives 10"):
        rows_of(path)


@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
def test_any_table_with_named_columns(tmp_path, separator):
    rows = [[str(0.08 * n), str(-96.4853 * (7.0 - 1e-3 * n)), "60.1"] for n in range(40)]
    text = "\n".join(separator.join(row) for row in [["t", "E_tot", "T"], *rows]) + "\n"
    path = write(tmp_path, text, "energies.csv")
    assert not is_log(path)
    options = {
        "columns": parse_columns("time=t,energy=E_tot,temperature=3"),
        "units": parse_units("time=ps,energy=kJ/mol"),
        "n_atoms": 108,
    }
    (row,) = rows_of(path, **options)
    assert row["power_meV_per_atom_per_ps"] == pytest.approx(1.0 / 108 / 0.08, rel=1e-4)
    with pytest.raises(UsageError, match=r"no column 'E_tott'.*Did you mean 'E_tot'"):
        rows_of(path, **{**options, "columns": {"time": "t", "total": "E_tott"}})
    with pytest.raises(UsageError, match="unit of 'E_tot'"):
        rows_of(path, **{**options, "units": {}})


CP2K = (
    "#     Step Nr.          Time[fs]        Kin.[a.u.]          Temp[K]            Pot.[a.u.]        Cons Qty[a.u.]\n"
)


@pytest.mark.parametrize("named", ["time=Time[fs],conserved=Cons Qty[a.u.]", "time=2,conserved=6"])
def test_headings_of_several_words(tmp_path, named):
    """CP2K's energies: the samples have fewer fields than the heading has words (dpdata 378)."""
    hartree_eV = 27.211386245988
    text = CP2K + "".join(
        f"{n:10d}{n * 10.0:20.6f}  0.067  300.1  -220.1{-220 + n / hartree_eV:20.9f}\n" for n in range(40)
    )
    options = {"units": parse_units("energy=Hartree"), "n_atoms": 48}
    (row,) = rows_of(write(tmp_path, text, "w-1.ener"), columns=parse_columns(named), **options)
    # 1 eV in 10 fs, printed to 1e-9 Hartree.
    assert row["power_meV_per_atom_per_ps"] == pytest.approx(1e3 / 48 / 0.01, rel=1e-6)
    with pytest.raises(UsageError, match=r"Cons Qty\[a\.u\.\]"):
        rows_of(tmp_path / "w-1.ener", columns=parse_columns("time=2,conserved=Cons"), **options)


@pytest.mark.parametrize(
    ("kept", "said"), [(lambda n: n % 2 == 0 or n % 10 == 1, True), (lambda n: n < 39 or n == 44, False)]
)
def test_unequal_steps_are_named_as_the_cause(tmp_path, kept, said):
    lines = [line for n, line in enumerate(samples(60, heat=1e-3)) if kept(n)]
    rows = rows_of(write(tmp_path, HEAD + "".join(lines) + END))
    assert ("unequal steps" in rows[0]["note"]) is said
    assert ("Print at equal steps" in verdict(rows).next_run) is said


def test_columns_of_one_element_are_not_those_of_the_whole_system(tmp_path):
    """i-PI prints quantities of an element, an atom or a mode under the same name, with arguments."""
    text = (DATA / "ipi-swirl-8fs.out").read_text()
    width = len(text.splitlines()[-1].split())
    head = f"# column {width + 1} --> temperature(Ar){{kelvin}} : x\n# column {width + 2} --> potential(bead=0){{electronvolt}} : x\n"
    described = [f"{line}\n" for line in text.splitlines() if line.startswith("#")]
    samples = [f"{line} 1.0 7.0\n" for line in text.splitlines() if not line.startswith("#")]
    path = tmp_path / "more.out"
    path.write_text("".join(described) + head + "".join(samples))
    (more,) = rows_of(path, n_atoms=108, timestep_fs=8.0)
    (plain,) = rows_of(DATA / "ipi-swirl-8fs.out", n_atoms=108, timestep_fs=8.0)
    assert more["temperature_K"] == plain["temperature_K"]
    assert more["power_meV_per_atom_per_ps"] == plain["power_meV_per_atom_per_ps"]


def test_torch_sim(tmp_path):
    h5py = pytest.importorskip("h5py")
    source = np.loadtxt(DATA / "ipi-swirl-8fs.out")
    path = tmp_path / "md.h5"
    with h5py.File(path, "w") as stream:
        for name, column in (("potential_energy", 5), ("kinetic_energy", 4), ("temperature", 3)):
            stream[f"data/{name}"] = source[:, [column]].astype(
                np.float32 if name == "potential_energy" else np.float64
            )
            stream[f"steps/{name}"] = source[:, 0].astype(int)
        stream["data/positions"] = np.zeros((1, 108, 3))
        stream["steps/positions"] = np.zeros(1, dtype=int)
    assert is_log(path)
    with pytest.raises(UsageError, match="--timestep"):
        rows_of(path)
    (row,) = rows_of(path, timestep_fs=8.0, ensemble=Ensemble.NVE)
    (ipi,) = rows_of(DATA / "ipi-swirl-8fs.out", n_atoms=108, timestep_fs=8.0)
    assert row["power_meV_per_atom_per_ps"] == pytest.approx(ipi["power_meV_per_atom_per_ps"], rel=0.02)
    # Single precision of 7 eV: 2⁻²¹ eV.
    assert row["resolution_meV"] == pytest.approx(1e3 * 2.0**-21, rel=1e-3)


def test_longest_equidistant_series_is_kept():
    times = np.array([1.0, *range(10, 60, 10), 57.0, *range(60, 110, 10), *range(200, 240, 10)])
    grid = equal_steps(times, 0.0)
    np.testing.assert_allclose(times[grid.rows], np.arange(10.0, 101.0, 10.0))
    # Times printed with one digit: 0.25 becomes 0.2, 0.5, 0.8, 1.0.
    printed = np.round(np.arange(100) * 0.25, 1)
    grid = equal_steps(printed, 0.1)
    assert len(grid.rows) == 100
    assert grid.interval_fs == pytest.approx(0.25, rel=0.01)


def test_units():
    assert factor("total", "kelvin") == pytest.approx(KB)
    assert factor("total", "kcal/mol") == pytest.approx(0.0433641, rel=1e-5)
    assert factor("time", "atomic_unit") == pytest.approx(0.0241888, rel=1e-5)
    assert factor("time", "ASE") == pytest.approx(1 / FS)
    assert factor("temperature", "atomic_unit") == pytest.approx(315775.0, rel=1e-5)
    assert lammps_style("si").energy == pytest.approx(6.241509e18, rel=1e-6)
    assert lammps_style("micro").energy == pytest.approx(6241.509, rel=1e-6)
    for wrong in ("metall", "lj", "lj:epsilon=1", "time=parsec", "mass=u", "time", "metal:x=1", "time=fs,time=ps"):
        with pytest.raises(UsageError):
            parse_units(wrong)
