"""One species starting on its lattice sites: half of the kinetic energy becomes potential energy, which is no drift."""

from __future__ import annotations

import pytest
from measured_rows import rows

from ncbench.diagnostics import registry
from ncbench.diagnostics.equilibration import equilibrating
from ncbench.models.loading import load_forcefield
from ncbench.structures.load import load_cases
from ncbench.types import ModelRequest, SystemRequest


@pytest.fixture(scope="module")
def argon():
    cases = load_cases(SystemRequest(name="argon"), 1, 0)
    settings = {"temperature_K": 300.0, "timestep_fs": 2.0, "duration_fs": 200.0}
    (row,) = rows("nve-drift", load_forcefield(ModelRequest(spec="analytic-lj")), cases, **settings)
    return {"model": "analytic-lj", "force_mode": "conservative", **row}


def test_the_printed_drift_is_that_of_the_total_energy(argon) -> None:
    # The kinetic temperature falls from 300 K towards 150 K within 200 fs; the energy of a conservative field is constant.
    assert argon["drift_K_per_ps"] < -300.0
    assert abs(argon["drift_from_energy_K_per_ps"]) < 1.0
    (shown,) = [column for column in registry.get("nve-drift").show if column.heading == "drift K/ps"]
    assert abs(float(shown.text(argon).partition("(")[0])) < 1.0


def test_a_model_without_energy_reports_the_kinetic_drift(argon) -> None:
    (shown,) = [column for column in registry.get("nve-drift").show if column.heading == "drift K/ps"]
    blind = argon | {
        "drift_from_energy_K_per_ps": None,
        "drift_from_energy_K_per_ps_se": None,
        "drift_K_per_ps": -700.0,
    }
    assert shown.text(blind).startswith("-")
    assert not equilibrating([blind | {"status": "ok"}])


@pytest.mark.parametrize(
    ("kinetic", "error", "total", "named"),
    [
        (-1400.0, 100.0, 0.0, True),
        (-1400.0, 700.0, 0.0, False),
        # Heating of a liquid, whose heat capacity is larger than that of equipartition.
        (70.0, 1.0, 100.0, False),
        (-70.0, 1.0, 100.0, True),
    ],
)
def test_a_start_out_of_equilibrium_is_reported(argon, kinetic, error, total, named) -> None:
    row = argon | {
        "status": "ok",
        "drift_K_per_ps": kinetic,
        "drift_K_per_ps_se": error,
        "drift_from_energy_K_per_ps": total,
        "drift_from_energy_K_per_ps_se": 1.0,
    }
    assert bool(equilibrating([row])) is named
