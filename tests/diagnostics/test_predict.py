"""``predict``: rows against the closed form, a conservative model, unsupported cases, Python interface."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.io import read, write

from ncbench import predict_heating
from ncbench.diagnostics.base import Context
from ncbench.diagnostics.predict import DIAGNOSTIC, PredictSettings, run
from ncbench.errors import UsageError
from ncbench.models.loading import load_forcefield
from ncbench.store.keys import job_key
from ncbench.types import Case, ModelRequest, Outcome, Status
from ncbench.units import FS, KB, MEV

K, KAPPA, MASS = 5.0, 0.05, 39.948


def crystal(shift_A: float = 0.05) -> Atoms:
    sites = np.array([[x, y, z] for x in (0.0, 3.0) for y in (0.0, 3.0) for z in (0.0, 3.0)])
    atoms = Atoms("Ar8", positions=sites, cell=[6.0] * 3, pbc=True)
    atoms.arrays["sites"] = sites.copy()
    atoms.positions += np.random.default_rng(0).normal(scale=shift_A, size=sites.shape)
    return atoms


def excess(tau_fs: float) -> float:
    """ΔT of all atoms at 300 K, K: two of three directions at T₀/(1 − q²/(p γ²))."""
    ratio = (KAPPA / MASS) ** 2 / (K / MASS) * (tau_fs * FS) ** 2
    return 300.0 * 2 / 3 * (1 / (1 - ratio) - 1)


SETTINGS = PredictSettings(thermostats=("langevin:10", "langevin:1000", "gle"), quench_fmax=1e-6)


def test_rows_of_a_solenoidal_crystal_equal_the_closed_form(context: Context) -> None:
    outcome = run(
        load_forcefield(ModelRequest(spec="analytic-solenoidal")),
        [Case("a", crystal())],
        SETTINGS,
        seed=0,
        context=context,
    )
    rows = {
        (row["thermostat"], row["tau_fs"], row["duration_fs"]): row for row in outcome.rows if row["species"] == "all"
    }
    for tau_fs in (10.0, 1000.0):
        row = rows["langevin", tau_fs, None]
        assert row["status"] == Status.OK
        # The field is linear, so that J is exact up to rounding wherever the quench ends.
        assert row["temperature_excess_K"] == pytest.approx(excess(tau_fs), rel=1e-6)
        power = 24 * KB * row["temperature_excess_K"] / (tau_fs / 1000.0) / 8 / MEV
        assert row["power_meV_per_atom_per_ps"] == pytest.approx(power, rel=1e-6)
        # No mode is near the floor or imaginary: the results do not depend on them.
        assert row["excess_high_K"] == pytest.approx(row["excess_low_K"])
        assert row["harmonic_limit_fs"] == pytest.approx(np.sqrt(K / MASS) / (KAPPA / MASS) / FS, rel=1e-6)
        assert "not a minimum" in row["note"]
        assert "3 translations of the whole structure are not free" in row["note"]
    assert sum(row["fraction_of_power"] for row in outcome.side["map"]) == pytest.approx(1.0)
    assert rows["none", None, 160.0]["above_floor"]


def test_a_runaway_is_a_row_without_numbers(context: Context) -> None:
    field = load_forcefield(ModelRequest(spec="analytic-solenoidal", options=(("kappa", "0.5"),)))
    outcome = run(field, [Case("a", crystal()), Case("b", crystal(0.02))], SETTINGS, seed=0, context=context)
    row = next(row for row in outcome.rows if row["tau_fs"] == 1000.0 and row["species"] == "all")
    assert row["stable"] is False
    assert row["temperature_K"] is None
    assert row["status"] == Status.OK
    summary = next(row for row in outcome.side["summary"] if row["tau_fs"] == 1000.0 and row["species"] == "all")
    assert (summary["n_structures"], summary["n_runaway"]) == (0, 2)


def test_conservative_forces_read_no_heating(context: Context) -> None:
    outcome = run(
        load_forcefield(ModelRequest(spec="analytic-harmonic")),
        [Case("a", crystal())],
        SETTINGS,
        seed=0,
        context=context,
    )
    for row in outcome.rows:
        assert not row["above_floor"]
        assert row["critical_tau_fs"] is None
        if row["tau_fs"] is not None:
            assert row["temperature_K"] == pytest.approx(300.0, rel=1e-9)


def test_a_single_atom_is_unsupported(context: Context) -> None:
    atoms = crystal()[:1]
    outcome = run(
        load_forcefield(ModelRequest(spec="analytic-harmonic")), [Case("a", atoms)], SETTINGS, seed=0, context=context
    )
    assert [row["status"] for row in outcome.rows] == [Status.UNSUPPORTED]


def test_velocity_rescaling_is_refused() -> None:
    with pytest.raises(UsageError, match="not linear"):
        PredictSettings(thermostats=("svr:10",))


def test_every_budget_has_a_cost() -> None:
    assert all(DIAGNOSTIC.cost(settings, 192) > 0 for settings in DIAGNOSTIC.presets.values())


def test_the_python_interface_agrees() -> None:
    result = predict_heating("analytic-solenoidal", crystal(), thermostats=("langevin:1000",), quench_fmax=1e-6)
    temperature = result.temperature("langevin:1000", "Ar")
    assert temperature == pytest.approx(300.0 + excess(1000.0), rel=1e-6)
    assert result.power("langevin:1000") == pytest.approx(24 * KB * excess(1000.0) / 8 / MEV, rel=1e-6)
    assert result.longest_stable_tau_fs == pytest.approx(np.sqrt(K / MASS) / (KAPPA / MASS) / FS, rel=1e-6)
    assert result.quench.fmax is not None


def conservative_frames(path: Path, *, momenta: bool = True, spacing: bool = True, cell_step: float = 0.0) -> Path:
    """101 frames of a circling crystal at 2 fs: L_z and so w are constant."""
    atoms, frames = crystal(), []
    offsets = atoms.positions - atoms.arrays["sites"]
    omega = np.sqrt(K / MASS)
    speeds = np.random.default_rng(1).normal(scale=0.02, size=offsets.shape)
    speeds -= speeds.mean(axis=0)
    for index in range(101):
        phase = omega * 2.0 * index * FS
        frame = atoms.copy()
        frame.positions = atoms.arrays["sites"] + offsets * np.cos(phase) + speeds / omega * np.sin(phase)
        frame.set_cell([6.0 + cell_step * index] * 3)
        if momenta:
            frame.set_velocities(speeds * np.cos(phase) - offsets * omega * np.sin(phase))
        if spacing:
            frame.info["time_fs"] = 2.0 * index
        frames.append(frame)
    write(path, frames)
    return path


def predicted(path: Path, context: Context, **settings: float) -> Outcome:
    sibling = load_forcefield(ModelRequest(spec="analytic-harmonic"))
    return run(
        load_forcefield(ModelRequest(spec="analytic-solenoidal")),
        [Case("a", crystal())],
        PredictSettings(thermostats=("langevin:100",), trajectory=str(path), quench_steps=0, **settings),  # type: ignore[arg-type]
        seed=0,
        context=replace(context, reference=sibling),
    )


def test_green_kubo_from_a_trajectory_equals_the_closed_form(context: Context, tmp_path: Path) -> None:
    """w = κ/m L_z does not change: ⟨W²⟩ = w² t², so that ⟨W²⟩/(2 k_B T t) grows as the window."""
    outcome = predicted(conservative_frames(tmp_path / "run.xyz"), context)
    (row,) = outcome.side["green-kubo"]
    frame = read(tmp_path / "run.xyz", 0)
    moved, speed = frame.positions - crystal().arrays["sites"], frame.get_velocities()
    rate = KAPPA * float((moved[:, 0] * speed[:, 1] - moved[:, 1] * speed[:, 0]).sum()) * FS
    assert (row["source"], row["duration_fs"], row["spacing_fs"]) == ("run", 200.0, 2.0)
    assert row["temperature_K"] > 0
    for window in outcome.side["windows"]:
        assert window["power_meV_per_atom_per_ps"] == pytest.approx(
            rate**2 * window["window_fs"] / (2 * KB * row["temperature_K"]) * 1000.0 / 8 / MEV,
            # Eight decimals in the file.
            rel=1e-4,
        )
    assert [window["window_fs"] for window in outcome.side["windows"]] == [10.0, 20.0, 50.0]


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ({"momenta": False}, "has no momenta"),
        ({"spacing": False}, "does not have the time between frames"),
        ({"cell_step": 0.01}, "cell of 'run' changes"),
    ],
)
def test_an_unusable_trajectory_is_refused(
    frames: dict[str, Any], reason: str, context: Context, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=reason):
        predicted(conservative_frames(tmp_path / "run.xyz", **frames), context)


def test_frame_spacing_of_a_trajectory_can_be_given(context: Context, tmp_path: Path) -> None:
    path = conservative_frames(tmp_path / "run.xyz", spacing=False)
    (row,) = predicted(path, context, trajectory_spacing_fs=2.0).side["green-kubo"]
    assert row["duration_fs"] == 200.0


def test_a_trajectory_of_other_or_no_atoms_is_refused(context: Context, tmp_path: Path) -> None:
    write(tmp_path / "other.xyz", [crystal()[:3]] * 50)
    with pytest.raises(UsageError, match="does not have the atoms of a"):
        predicted(tmp_path / "other.xyz", context)
    with pytest.raises(UsageError, match="There is no trajectory"):
        PredictSettings(trajectory=str(tmp_path / "missing.xyz"))


def test_a_model_without_conservative_forces_has_no_green_kubo(context: Context) -> None:
    outcome = run(
        load_forcefield(ModelRequest(spec="analytic-solenoidal")),
        [Case("a", crystal())],
        PredictSettings(thermostats=("langevin:100",), quench_steps=0, green_kubo_fs=100.0),
        seed=0,
        context=context,
    )
    (row,) = outcome.rows
    assert row["status"] == Status.UNSUPPORTED
    assert "--reference" in row["reason"] or "conservative forces" in row["reason"]


def test_a_changed_trajectory_changes_the_job_key(tmp_path: Path) -> None:
    path = conservative_frames(tmp_path / "run.xyz")

    def key() -> str:
        return job_key(
            diagnostic="predict",
            version=DIAGNOSTIC.version,
            model=ModelRequest(spec="analytic-solenoidal"),
            system="a",
            structures=[("a", crystal())],
            settings=PredictSettings(trajectory=str(path)),
            seed=0,
        )

    before = key()
    assert key() == before
    conservative_frames(path, spacing=False)
    assert key() != before


def test_the_summary_has_the_power_to_second_order_for_a_runaway_too(context: Context) -> None:
    """Modes of equal frequency: ⟨W²⟩/(2 k_B T t) = k_B T Σ a²/ω² · t/2 over ordered pairs, at t = 160 fs."""
    field = load_forcefield(ModelRequest(spec="analytic-solenoidal", options=(("kappa", "0.5"),)))
    outcome = run(field, [Case("a", crystal())], SETTINGS, seed=0, context=context)
    known = {one.key: one for one in DIAGNOSTIC.quantities(pd.DataFrame(outcome.rows))}
    cell = known["predicted_power"].value(pd.DataFrame(outcome.rows))
    internal = KB * 300.0 * 16 * (0.5 / MASS) ** 2 / (K / MASS) * 160.0 * FS / 2
    assert cell.value == pytest.approx(internal / 8 / MEV * 1000.0 * FS, rel=1e-6)
    assert known["critical_tau"].value(pd.DataFrame(outcome.rows)).value is None
