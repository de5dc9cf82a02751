"""The designer of multiple time stepping on an oscillator with a fast and a slow spring, whose resonance is known."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import molecule
from known_fields import Well, cluster
from memory_context import MemoryCheckpoint, NoProgress

from ncbench.diagnostics import registry
from ncbench.diagnostics.base import Context
from ncbench.diagnostics.mts_design import MtsDesignSettings, _per_sample, remarks, run
from ncbench.errors import UsageError
from ncbench.report.figures import draw_figures
from ncbench.store.store import Store
from ncbench.types import Case
from ncbench.units import FS, WAVENUMBER

FAST, WHOLE = 20.0, 26.0
MASS = 1.008
OMEGA = float(np.sqrt(WHOLE / MASS))
"""Of a hydrogen in the well: a period of 12.6 fs."""
HALF_PERIOD_FS = float(np.pi / np.sqrt(FAST / MASS)) / FS
"""Of the fast force alone: where impulses resonate, 7.2 fs."""


def designed(**changes):
    settings = MtsDesignSettings(
        **{
            "timestep_fs": 0.5,
            "duration_fs": 1000.0,
            "sample_every": 1,
            "scan_fs": 400.0,
            "strides": (1, 4, 8, 14),
            "rounds": 1,
            "timed_steps": 1,
            "fix_com": False,
            "limit_meV_per_atom_per_ps": 50.0,
        }
        | changes
    )
    cases = [Case("wells", cluster("H6", spread=0.05))]
    return run(
        Well(FAST), cases, settings, seed=0, context=Context(NoProgress(), MemoryCheckpoint(), reference=Well(WHOLE))
    )


def test_frequency_slow_part_and_resonance_are_those_of_the_springs():
    outcome = designed()
    (design,) = outcome.side["design"]
    # The window is four frequency steps wide.
    assert design["highest_per_cm"] == pytest.approx(OMEGA / WAVENUMBER, abs=2 * design["resolution_per_cm"])
    assert design["first_resonance_fs"] == pytest.approx(
        np.pi / OMEGA / FS, rel=2 * design["resolution_per_cm"] / design["highest_per_cm"]
    )
    peak = max(outcome.side["spectrum"], key=lambda row: row["fraction_kinetic"])
    # One frequency step in ω², twice relative.
    tolerance = 2 * design["resolution_per_cm"] / design["highest_per_cm"]
    assert peak["ratio_slow"] == pytest.approx(1 - FAST / WHOLE, rel=tolerance)
    assert peak["ratio_slow_rms"] == pytest.approx(1 - FAST / WHOLE, rel=tolerance)


def test_the_scan_shows_the_predicted_resonance_and_the_recommendation_is_below_it():
    outcome = designed()
    rows = {row["stride"]: row for row in outcome.rows}
    assert rows[14]["outer_fs"] == pytest.approx(HALF_PERIOD_FS, rel=0.03)
    assert rows[14]["verdict"] == "explodes"
    assert rows[14]["growth_bound_per_ps"] > 0
    assert not rows[14]["below_resonance"]
    assert [rows[m]["verdict"] for m in (1, 4, 8)] == ["stable"] * 3
    assert all(rows[m]["below_resonance"] for m in (1, 4, 8))
    (design,) = outcome.side["design"]
    assert design["stride_verified"] == 8
    assert 8 <= design["stride_below_resonance"] < 14
    # 18 steps a period of 12.6 fs, rounded down to 0.05 fs.
    assert design["timestep_recommended_fs"] == pytest.approx(0.65, abs=0.051)
    # Runs of 400 fs of undamped modes, whose temperature does not decorrelate, know no τ_c.
    assert {row["ms_per_independent_sample"] for row in outcome.rows} == {None}
    (line,) = remarks(outcome.rows, lambda _: [{**design, "model": "well", "force_mode": "direct"}])
    assert design["stride_first_drift"] == 14
    assert "Verified in the scan: M = 8, below the first resonance. M = 14 drifts or explodes." in line


def test_remark_explains_a_smaller_stride_and_a_time_step_above_its_own_advice():
    design = {
        "model": "m", "force_mode": "direct", "structure": "a", "timestep_fs": 0.5, "highest_per_cm": 4100.0, "resolution_per_cm": 140.0,
        "shortest_period_fs": 8.1, "first_resonance_fs": 4.05, "timestep_longest_fs": 0.45, "timestep_recommended_fs": 0.45,
        "stride_below_resonance": 7, "stride_recommended": 8, "stride_verified": None, "stride_without_drift": 4, "stride_first_drift": None,
        "limit_meV_per_atom_per_ps": 1.0,
    }  # fmt: skip
    (line,) = remarks([], lambda _: [design])
    # 4.05 fs is 8.1 steps of 0.5 fs and 9 of 0.45 fs, which is at the resonance.
    assert "at 0.5 fs M ≤ 7 (M = 8 is below that too, and may grow within the resolution of the spectrum)" in line
    assert "at 0.45 fs M ≤ 8. These runs used 0.5 fs, which is longer: --timestep 0.45" in line
    (shorter,) = remarks([], lambda _: [design | {"timestep_fs": 0.45, "stride_below_resonance": 8}])
    assert "These runs used" not in shorter
    assert "may grow" not in shorter


def test_figure_shows_the_spectrum_and_the_scan(tmp_path):
    outcome = designed()
    common = {
        "model": "well",
        "force_mode": "direct",
        "system": "wells",
        "seed": 0,
        "dtype": "float64",
        "device": "cpu",
    }
    store = Store(tmp_path)
    store.record("k" * 20, registry.get("mts-design"), common, outcome, {})
    store.rebuild_tables("mts-design")
    files = draw_figures(tmp_path, tmp_path / "figures")
    drawn = [path for path in files if path.stem == "mts-design"]
    assert {path.suffix for path in drawn} == {".png", ".svg"}
    assert all(path.stat().st_size > 5000 for path in drawn)


def test_a_short_scan_verifies_nothing():
    outcome = designed(scan_fs=8.0, strides=(1, 4))
    (design,) = outcome.side["design"]
    assert design["stride_verified"] is None
    assert {row["verdict"] for row in outcome.rows} == {"open"}
    assert design["stride_without_drift"] == 4


def test_too_few_samples_for_a_spectrum_are_refused():
    with pytest.raises(UsageError, match="a spectrum needs"):
        MtsDesignSettings(duration_fs=4.0)


def test_presets_scan_the_slow_forces_alone():
    assert all(1 in preset.strides for preset in registry.get("mts-design").presets.values())


def test_repartitioned_hydrogen_masses_lower_the_highest_frequency():
    settings = MtsDesignSettings(
        duration_fs=1000.0, sample_every=1, strides=(1,), scan_fs=20.0, rounds=1, timed_steps=1, fix_com=False, hmr=3.0
    )
    context = Context(NoProgress(), MemoryCheckpoint(), reference=Well(WHOLE))
    outcome = run(Well(FAST), [Case("water", molecule("H2O"))], settings, seed=0, context=context)
    (design,) = outcome.side["design"]
    expected = float(np.sqrt(WHOLE / 3.0)) / WAVENUMBER
    assert design["highest_per_cm"] == pytest.approx(expected, abs=2 * design["resolution_per_cm"])
    assert {row["masses_u"] for row in outcome.rows} == {design["masses_u"]} == {"H 3, O 12.02"}


def test_a_stride_above_the_resonance_is_not_recommended_even_if_its_run_is_stable():
    outcome = designed(strides=(1, 20), scan_fs=2000.0)
    row = outcome.rows[1]
    # Impulses at 1.4 half periods miss the only mode; real vibrations are many.
    assert (row["verdict"], row["growth_bound_per_ps"], row["below_resonance"]) == ("stable", 0.0, False)
    (design,) = outcome.side["design"]
    assert design["stride_verified"] == 1
    assert design["stride_without_drift"] == 1


def test_an_independent_sample_costs_two_correlation_times():
    settings = MtsDesignSettings(timestep_fs=0.5)
    known = {"correlation_known": True, "correlation_time_fs": 25.0}
    # 50 fs are 100 steps of 3 ms.
    assert _per_sample({"ms_per_step": 3.0}, known, settings) == {"ms_per_independent_sample": pytest.approx(300.0)}
    assert _per_sample({"ms_per_step": 3.0}, known | {"correlation_known": False}, settings) == {}
    assert _per_sample({"ms_per_step": 3.0}, {"verdict": "explodes"}, settings) == {}


def test_many_vibrations_on_one_line_do_not_raise_the_highest_frequency():
    """An Einstein crystal, whose 96 modes share one line: the side lobes of the window hold more than a mode's share up to twice the frequency."""
    from ncbench.models.loading import load_forcefield
    from ncbench.structures.load import load_cases
    from ncbench.types import ModelRequest, SystemRequest

    model = load_forcefield(ModelRequest(spec="analytic-harmonic"))
    cases = load_cases(SystemRequest(name="harmonic-crystal"), 1, 0)[:1]
    settings = MtsDesignSettings(
        timestep_fs=2.0, duration_fs=250.0, strides=(1,), scan_fs=20.0, rounds=1, timed_steps=1
    )
    outcome = run(model, cases, settings, seed=0, context=Context(NoProgress(), MemoryCheckpoint(), reference=model))
    (design,) = outcome.side["design"]
    # √(5 eV/Å² / 39.95 u); the curvature has it to the float64 rounding of central differences.
    assert design["highest_per_cm"] == pytest.approx(float(np.sqrt(5.0 / 39.95)) / WAVENUMBER, rel=1e-3)
