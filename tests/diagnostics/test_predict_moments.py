"""``predict`` with moments: rows against a closed form and all modes, what is refused, and cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from ase import Atoms

from ncbench.diagnostics.base import Context
from ncbench.diagnostics.predict import DIAGNOSTIC, run
from ncbench.errors import UnsupportedError, UsageError
from ncbench.memory import GIB
from ncbench.models.loading import load_forcefield
from ncbench.prediction import large
from ncbench.prediction.settings import ALL_ATOMS, PredictSettings, cost, uses_moments
from ncbench.report.predicted import power_texts
from ncbench.types import Case, ModelRequest, Status
from ncbench.units import FS, KB, MEV

K, KAPPA, MASS = 5.0, 0.05, 39.948
SETTINGS = PredictSettings(thermostats=("langevin:10", "langevin:1000", "gle"), quench_fmax=1e-6, modes="moments")


def crystal(repeat: int = 2, seed: int = 0) -> Atoms:
    sites = 3.0 * np.stack(np.meshgrid(*[np.arange(float(repeat))] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    atoms = Atoms(f"Ar{len(sites)}", positions=sites, cell=[3.0 * repeat] * 3, pbc=True)
    atoms.arrays["sites"] = sites.copy()
    atoms.positions += np.random.default_rng(seed).normal(scale=0.05, size=sites.shape)
    return atoms


def predicted(atoms: Atoms, context: Context, settings: PredictSettings = SETTINGS) -> pd.DataFrame:
    field = load_forcefield(ModelRequest(spec="analytic-solenoidal"))
    return pd.DataFrame(run(field, [Case("a", atoms)], settings, seed=0, context=context).rows)


@pytest.mark.parametrize("repeat", [2, 9])
def test_rows_of_a_solenoidal_crystal_have_the_closed_form(repeat: int, context: Context) -> None:
    """All modes have ω² = k/m, and a couples the two of an atom in the plane: P = 2 k_B T (κ/m)²/(ω² Γ) an atom, in a window t 1/Γ becomes t/2."""
    rows = predicted(crystal(repeat), context)
    assert list(rows["thermostat"]) == ["langevin", "langevin", "none", "none"]
    assert set(rows["status"]) == {Status.OK}
    for row in rows.to_dict("records"):
        time_fs = row["tau_fs"] if row["thermostat"] == "langevin" else row["duration_fs"] / 2
        power = 2 * KB * 300.0 * (KAPPA / MASS) ** 2 / (K / MASS) * time_fs * FS / MEV * 1000.0 * FS
        assert row["golden_rule_meV_per_atom_per_ps"] == pytest.approx(power, rel=1e-6)
        assert row["golden_rule_meV_per_atom_per_ps_se"] < 1e-6 * power
        assert row["above_floor"]
        assert row["temperature_K"] is None
        assert row["stable"] is None
    assert (rows["modes"] == "moments").all()
    assert rows["note"].str.contains("3 translations of the whole structure are not free").all()
    # The words of the card.
    text = power_texts(rows, nve="NVE", local="local", tau_ps=0.01)
    assert text["local"].endswith("meV/atom/ps to second order")


def test_a_conservative_model_is_below_its_floor(context: Context) -> None:
    field = load_forcefield(ModelRequest(spec="analytic-lj"))
    atoms = Atoms("Ar32", positions=_fcc(5.3), cell=[10.6] * 3, pbc=True)
    rows = pd.DataFrame(run(field, [Case("a", atoms)], SETTINGS, seed=0, context=context).rows)
    assert set(rows["status"]) == {Status.OK}
    assert not rows["above_floor"].any()
    # In float64, rounding of J of 1e-15 of its entries.
    assert rows["golden_rule_meV_per_atom_per_ps"].abs().max() < 1e-12


def _fcc(a: float) -> np.ndarray:
    cell = a * np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
    corners = a * np.stack(np.meshgrid(*[np.arange(2.0)] * 3, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    return (corners + cell).reshape(-1, 3)


def test_remarks_and_summary_take_the_power_to_second_order(context: Context) -> None:
    rows = predicted(crystal(), context).to_dict("records")
    for row in rows:
        row |= {"model": "analytic-solenoidal", "force_mode": "direct"}
    lines = DIAGNOSTIC.remarks(rows, lambda name: [])
    assert any("heats at" in line and "to second order" in line for line in lines)
    known = {one.key: one.value(pd.DataFrame(rows)) for one in DIAGNOSTIC.quantities(pd.DataFrame(rows))}
    assert known["predicted_power"].value == pytest.approx(
        next(r["golden_rule_meV_per_atom_per_ps"] for r in rows if r["duration_fs"] == 160.0)
    )


def test_moments_are_the_default_of_large_structures_alone() -> None:
    card = load_forcefield(ModelRequest(spec="analytic-lj")).card
    settings = PredictSettings()
    assert [uses_moments(card, n, settings) for n in (ALL_ATOMS, ALL_ATOMS + 1)] == [False, True]
    assert not uses_moments(card, 10**5, replace(settings, modes="all"))
    unknown = replace(card, receptive_A=None)
    assert not uses_moments(unknown, 10**4, settings)
    assert uses_moments(unknown, 10**4, replace(settings, reach_A=6.0))
    black_box = replace(card, differentiable=False)
    assert not uses_moments(black_box, 10**4, settings)
    with pytest.raises(UnsupportedError, match="has no Jacobian products"):
        uses_moments(black_box, 10**4, replace(settings, modes="moments"))


def test_settings_are_checked() -> None:
    with pytest.raises(UsageError, match="modes = 'some' is not one of auto, all, moments"):
        PredictSettings(modes="some")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="reach_A"):
        PredictSettings(reach_A=-1.0)


def test_too_large_structures_are_refused_with_memory_and_products(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large, "available", lambda device: GIB)
    (row,) = predicted(crystal(9), context, replace(SETTINGS, reach_A=12.0)).to_dict("records")
    assert row["status"] == Status.UNSUPPORTED
    assert "729 atoms with a reach of 12 Å takes some" in row["reason"]
    assert "2187 products with the Jacobian" in row["reason"]


def test_the_cost_of_a_large_structure_does_not_grow_with_it() -> None:
    settings = PredictSettings(reach_A=6.0)
    assert cost(settings, 10**4) == cost(settings, 10**5) == 200 + 1.5 * 3 * 270
    assert cost(settings, 192) == 200 + 1.5 * 576
    assert cost(replace(settings, modes="all"), 10**4) == 200 + 1.5 * 3e4
