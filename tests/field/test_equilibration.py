"""One species starting on its lattice sites: half of the kinetic energy becomes potential energy, which is no drift."""

from __future__ import annotations

import math

import pytest
from measured_rows import rows

from ncbench.diagnostics import registry
from ncbench.diagnostics.equilibration import equilibrating, settling
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


def series(temperatures):
    where = {"job": "k", "structure": "a", "timestep_fs": 2.0}
    return [{**where, "time_fs": 2.0 * step, "temperature_K": value} for step, value in enumerate(temperatures)]


RUN = {"model": "m", "force_mode": "direct", "job": "k", "structure": "a", "timestep_fs": 2.0, "status": "ok"}


def test_the_temperature_at_which_a_relaxed_crystal_settles_is_reported() -> None:
    """A harmonic crystal, whose kinetic energy oscillates around half of the first one: T cos²(ωt)."""
    oscillating = [300.0 * math.cos(0.3 * step) ** 2 for step in range(60)]
    (line,) = settling([RUN], series(oscillating))
    assert "the run is at 15" in line
    assert "--temperature 600" in line
    # Equilibrated, falling by chance only; a run that begins cold and heats; too few samples.
    assert not settling([RUN], series([300.0 + 30.0 * math.sin(step) for step in range(60)]))
    assert not settling([RUN], series([300.0 + 10.0 * step for step in range(60)]))
    assert not settling([RUN], series(oscillating[:10]))
    # A start that is below the run's highest temperature is not one at rest.
    assert not settling([RUN], series([300.0, 310.0, *oscillating[2:]]))
    assert not settling([RUN | {"structure": "b"}], series(oscillating))
