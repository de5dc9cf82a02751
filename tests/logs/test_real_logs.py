"""Logs that LAMMPS, ASE, i-PI, OpenMM and torch-sim wrote (``make_logs.py``), whose drifts are known from the work of the force that was added."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ncbench.logs.drift import measured
from ncbench.logs.log import Ensemble, LogOptions, Series
from ncbench.logs.read import is_log, read_log
from ncbench.logs.verdict import Cause, verdict

DATA = Path(__file__).parent / "data"
TRUTH: dict[str, dict[str, Any]] = json.loads((DATA / "truth.json").read_text(encoding="utf-8"))
SWIRLS = sorted(name for name in TRUTH if "swirl" in name)
ENGINES = sorted({name.split("-")[0] for name in SWIRLS})


def options(name: str, **changes: Any) -> LogOptions:
    """Options needed for each engine; logs of ASE and torch-sim contain the least information."""
    if name.endswith(".h5"):
        pytest.importorskip("h5py", reason="reads torch-sim's logs: pip install 'ncbench[logs]'")
    known: dict[str, Any] = {"ensemble": Ensemble.NVE}
    if not name.startswith("lammps"):
        known["n_atoms"] = 108
    if name.startswith(("ase", "torchsim")):
        known["timestep_fs"] = TRUTH[name]["timestep_fs"]
    return LogOptions(**{**known, **changes})


def rows_of(*names: str, **changes: Any) -> list[dict[str, Any]]:
    return [measured(run) for name in names for run in read_log(DATA / name, options(name, **changes))]


def test_all_logs_are_recognised_and_small():
    assert ENGINES == ["ase", "ipi", "lammps", "openmm", "torchsim"]
    for engine in ENGINES:
        # A solenoidal force at two time steps, coarse energies, and a time step that is too long beside half of it.
        kinds = sorted(name.split("-")[1] for name in TRUTH if name.startswith(f"{engine}-"))
        assert [kinds.count(kind) for kind in ("swirl", "rounded", "long")] == [2, 1, 2]
    for name in TRUTH:
        assert is_log(DATA / name)
        assert (DATA / name).stat().st_size <= 70_000


@pytest.mark.parametrize("name", SWIRLS)
def test_power_equals_the_work_of_the_solenoidal_force(name):
    (row,) = rows_of(name)
    work = TRUTH[name]["work_meV_per_atom_per_ps"]
    assert row["timestep_fs"] == pytest.approx(TRUTH[name]["timestep_fs"], rel=1e-6)
    assert row["duration_ps"] == pytest.approx(TRUTH[name]["ps"], rel=0.02)
    assert row["power_meV_per_atom_per_ps"] == pytest.approx(work, abs=3.0 * row["power_meV_per_atom_per_ps_se"])
    # The error is not too large: a tenth to a third of a power of this size, √(2 k_B T P/(N t)) being a tenth.
    assert 0.05 * work < row["power_meV_per_atom_per_ps_se"] < 0.5 * work
    assert row["temperature_K"] == pytest.approx(62.0, abs=12.0)
    assert row["heating_rate_per_ps"] == pytest.approx(work / (3 * 0.08617333 * row["temperature_K"]), rel=0.35)
    assert row["freedom_dof"] == pytest.approx(3.0, abs=0.04)


@pytest.mark.parametrize("engine", ENGINES)
def test_temperature_drifts_at_two_time_steps_agree_within_errors(engine):
    """The same swirl from the same start. The residuals of the temperatures alone give errors at which the two slopes differ by five."""
    first, second = (
        row for step in (4, 8) for row in rows_of(*[n for n in SWIRLS if n.startswith(f"{engine}-swirl-{step}fs")])
    )
    error = np.hypot(first["drift_K_per_ps_se"], second["drift_K_per_ps_se"])
    assert abs(first["drift_K_per_ps"] - second["drift_K_per_ps"]) < 3.0 * error
    for row in (first, second):
        relative = row["power_meV_per_atom_per_ps_se"] / row["power_meV_per_atom_per_ps"]
        # Harmonic equipartition in the error, the liquid's own capacity in the slope: these differ by less than a quarter.
        assert row["drift_K_per_ps_se"] / row["drift_K_per_ps"] > 0.75 * relative


@pytest.mark.parametrize("engine", ENGINES)
def test_two_time_steps_identify_the_model_as_the_cause(engine):
    names = [name for name in SWIRLS if name.startswith(engine)]
    answer = verdict(rows_of(*names))
    assert answer.cause is Cause.MODEL, answer


@pytest.mark.parametrize("engine", ENGINES)
def test_two_time_steps_identify_the_time_step_as_the_cause(engine):
    names = sorted(name for name in TRUTH if name.startswith(f"{engine}-long"))
    answer = verdict(rows_of(*names))
    assert answer.cause is Cause.TIME_STEP, answer


LONGEST = sorted(
    max((n for n in TRUTH if n.startswith(f"{e}-long")), key=lambda n: TRUTH[n]["timestep_fs"]) for e in ENGINES
)


@pytest.mark.parametrize("name", [*SWIRLS, *LONGEST])
def test_one_log_is_undecided_and_the_next_run_is_suggested(name):
    answer = verdict(rows_of(name))
    assert answer.cause is Cause.UNKNOWN
    if "not known" not in answer.because:
        assert f"with {TRUTH[name]['timestep_fs'] / 2:g} fs" in answer.next_run


def test_unknown_ensemble_does_not_exclude_a_thermostat():
    answer = verdict(rows_of("ase-long-38fs.log", ensemble=Ensemble.UNKNOWN))
    assert answer.cause is Cause.UNKNOWN
    assert "thermostat" in answer.because


def test_a_constant_column_is_below_the_printed_precision_and_not_zero():
    """ASE prints energies per atom with four decimals, 0.1 meV: in 10 ps no drift below 0.01 meV/atom/ps is seen."""
    (row,) = rows_of("ase-peratom.log")
    assert row["resolution_meV"] == pytest.approx(0.1 * 108)
    assert row["below_resolution"]
    assert row["power_meV_per_atom_per_ps"] is None
    assert row["power_limit_meV_per_atom_per_ps"] == pytest.approx(0.1 / 10.0, rel=0.1) or row[
        "power_limit_meV_per_atom_per_ps"
    ] == pytest.approx(0.2 / 10.0, rel=0.1)
    answer = verdict([row])
    assert answer.cause is Cause.NONE
    assert "below the printed precision" in answer.because


@pytest.mark.parametrize(("digits", "resolution"), [(4, 2e-4), (2, 2e-2), (1, 0.2)])
def test_a_quantised_log_gives_the_same_power_within_a_larger_error(digits, resolution):
    """The energies of the swirl's log, rounded further: an eV of 108 atoms over 30 ps is 0.3 meV/atom/ps, as much as the swirl does."""
    (run,) = read_log(DATA / "openmm-swirl-8fs.csv", options("openmm-swirl-8fs.csv"))
    series = dict(run.series)
    series["total"] = replace(
        series["total"], values=np.round(series["total"].values, digits), resolution=10.0**-digits
    )
    del series["potential"]
    fine, coarse = measured(run), measured(replace(run, series=series))
    error = coarse["power_meV_per_atom_per_ps_se"]
    assert error >= 0.999 * fine["power_meV_per_atom_per_ps_se"]
    work = TRUTH["openmm-swirl-8fs.csv"]["work_meV_per_atom_per_ps"]
    assert coarse["power_meV_per_atom_per_ps"] == pytest.approx(work, abs=3 * error)
    assert coarse["resolution_meV"] == pytest.approx(500.0 * resolution)


ROUNDED = {"ase": 1e-4 * 108, "ipi": 0.01, "lammps": 0.1, "openmm": 0.125, "torchsim": 0.125}
"""Engine → distance of neighbouring energies, eV: four decimals per atom; nine digits of 1.5 million eV; one decimal; single precision of 1.5 million eV."""


@pytest.mark.parametrize("engine", ENGINES)
def test_coarse_energies_give_the_power_within_the_larger_error_and_the_same_cause(engine):
    """Up to 1.2 meV/atom between neighbouring energies, where the swirl adds 12 meV/atom in 30 ps."""
    (name,) = (name for name in TRUTH if name.startswith(f"{engine}-rounded"))
    (row,) = rows_of(name)
    (fine,) = rows_of(next(name for name in SWIRLS if name.startswith(f"{engine}-swirl-8fs")))
    work = TRUTH[name]["work_meV_per_atom_per_ps"]
    error = row["power_meV_per_atom_per_ps_se"]
    assert row["power_meV_per_atom_per_ps"] == pytest.approx(work, abs=3.0 * error)
    assert error < 0.5 * work
    assert fine["resolution_meV"] < 1e-3 * row["resolution_meV"] or engine == "ase"
    assert row["resolution_meV"] == pytest.approx(1e3 * ROUNDED[engine], rel=1e-6)
    # The bound of the slope's rounding, (3/2) q/t, where the noise does not hide the steps.
    assert row["power_rounding_meV_per_atom_per_ps"] <= 1.51 * row["resolution_meV"] / 108 / row["duration_ps"]
    slow = rows_of(next(name for name in SWIRLS if name.startswith(f"{engine}-swirl-4fs")))
    answer = verdict([row, *slow])
    assert answer.cause is Cause.MODEL, answer


def test_rounding_is_added_to_the_error_in_squares():
    """White noise that is small beside the printed step: its error is known, and the rounding's bound is an error of 95 %."""
    (run,) = read_log(DATA / "openmm-swirl-8fs.csv", options("openmm-swirl-8fs.csv"))
    line = np.linspace(0.0, 5.0, len(run.times_fs)) + 0.01 * np.random.default_rng(0).normal(size=len(run.times_fs))

    others = {role: series for role, series in run.series.items() if role != "potential"}

    def row(resolution: float) -> dict[str, Any]:
        return measured(replace(run, series=others | {"total": Series(line, resolution, "E")}))

    exact, printed = row(1e-12), row(1.0)
    rounding = printed["power_rounding_meV_per_atom_per_ps"]
    assert rounding == pytest.approx(1.5 * 1e3 / 108 / printed["duration_ps"], rel=0.02)
    added = printed["power_meV_per_atom_per_ps_se"] ** 2 - exact["power_meV_per_atom_per_ps_se"] ** 2
    assert added == pytest.approx((rounding / 1.96) ** 2, rel=0.01)


def test_runs_of_a_lammps_log_are_separate():
    rows = rows_of("lammps-runs.log", ensemble=Ensemble.UNKNOWN)
    assert [row["ensemble"] for row in rows] == ["minimisation", "thermostat", "nve", "thermostat"]
    minimisation, bath, nve, langevin = rows
    assert minimisation["status"] == "unsupported"
    # Two runs of 12 ps, between which nothing was changed, are one.
    assert nve["duration_ps"] == pytest.approx(24.0, rel=0.02)
    assert bath["quantity"] == "Econserve"
    assert bath["conserved"] is True
    assert langevin["conserved"] is False
    assert "fix langevin" in langevin["choice"]
    assert langevin["timestep_fs"] == 8.0
    assert verdict(rows).cause in (Cause.NONE, Cause.THERMOSTAT)
    answer = verdict([langevin])
    assert answer.cause is Cause.UNKNOWN
    assert "econserve" in answer.next_run


def test_a_thermostatted_run_above_its_temperature_is_reported():
    (row,) = rows_of("lammps-ramp.log", ensemble=Ensemble.UNKNOWN)
    assert row["conserved"] is True
    # From 30 to 90 K in 20 ps.
    assert row["drift_K_per_ps"] == pytest.approx(3.0, abs=3 * row["drift_K_per_ps_se"])
    answer = verdict([row])
    assert answer.cause is Cause.THERMOSTAT
    assert "fix temp/csvr" in answer.because


def test_lost_atoms_are_an_explosion():
    (row,) = rows_of("lammps-lost.log", ensemble=Ensemble.UNKNOWN)
    assert row["status"] == "exploded"
    assert "Lost atoms" in row["reason"]
    answer = verdict([row])
    assert answer.cause is Cause.UNKNOWN
    assert "half the time step" in answer.next_run


@pytest.mark.parametrize("name", ["lammps-yaml.log", "lammps-multi.log"])
def test_other_thermo_styles_are_read(name):
    (row,) = rows_of(name, ensemble=Ensemble.UNKNOWN)
    assert row["ensemble"] == "nve"
    assert row["duration_ps"] == pytest.approx(TRUTH[name]["ps"], rel=0.1)
    assert verdict([row]).cause in (Cause.NONE, Cause.UNKNOWN)
    assert abs(row["power_meV_per_atom_per_ps"]) < 0.02


def test_conserved_quantity_of_a_thermostat_has_no_drift():
    (row,) = rows_of("ipi-langevin.out", ensemble=Ensemble.UNKNOWN)
    assert row["quantity"] == "conserved"
    assert row["conserved"] is True
    assert abs(row["power_meV_per_atom_per_ps"]) < 0.02
    assert verdict([row]).cause in (Cause.NONE, Cause.THERMOSTAT)


def test_reduced_units_are_per_atom_and_need_their_scale():
    """T* = 0.7 at ε/k_B = 120.7 K: some 84 K; the log's 5000 steps of 0.004 τ, τ = 2.16 ps."""
    from ncbench.logs.units import parse_units

    units = parse_units("lj:epsilon=0.0104,sigma=3.4,mass=39.948")
    (row,) = rows_of("lammps-lj.log", units=units, ensemble=Ensemble.UNKNOWN)
    assert 60 < row["temperature_K"] < 110
    assert row["timestep_fs"] == pytest.approx(4.0 * 2.145, rel=0.01)
    assert row["duration_ps"] == pytest.approx(20 * 2.145, rel=0.02)
    assert abs(row["power_meV_per_atom_per_ps"]) < 0.05
