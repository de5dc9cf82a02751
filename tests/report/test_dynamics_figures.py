"""Figures of dynamics and of closed paths, from tables as the store writes them."""

from __future__ import annotations

import numpy as np
import pytest

from ncbench.diagnostics import registry
from ncbench.md.timesteps import timestep_rows
from ncbench.report.figures import draw_figures
from ncbench.store.store import Store
from ncbench.types import Outcome

RNG = np.random.default_rng(0)
TIMES = np.arange(0.0, 500.0, 5.0)


def record(folder, command: str, model: str, mode: str, system: str, outcome: Outcome, key: str) -> None:
    common = {"model": model, "force_mode": mode, "system": system, "seed": 0, "dtype": "float32", "device": "cpu"}
    store = Store(folder)
    store.record(key, registry.get(command), common, outcome, {})
    store.rebuild_tables(command)


def nve(folder, model, mode, system, *, drift=0.0, steps=(0.5,), structures=("a",), how=("verlet", 1), status="ok"):
    """A job of constant-energy dynamics whose energy rises by ``drift(Δt)`` meV/atom/ps."""
    outcome = Outcome(side={"series": [], "species_series": [], "timesteps": []})
    heating = drift if callable(drift) else lambda _: drift
    for step in steps:
        for name in structures:
            where = {"structure": name, "n_atoms": 6, "timestep_fs": step, "status": status}
            if status != "ok":
                where["reason"] = "interrupted"
            outcome.rows.append(
                where
                | {
                    "integrator": how[0],
                    "stride": how[1],
                    "energy_drift_meV_per_atom_per_ps": heating(step) + 0.05 * RNG.normal(),
                    "energy_drift_meV_per_atom_per_ps_se": 0.05,
                }
            )
            gained = 6e-3 * heating(step) * TIMES / 1000.0
            warm = 300.0 + heating(step) * TIMES / 250.0 + 10.0 * np.sin(TIMES / 20.0)
            for time, total, temperature in zip(TIMES, gained, warm, strict=True):
                shared = where | {"time_fs": time, "temperature_K": temperature, "kinetic_eV": 0.2}
                outcome.side["series"].append(shared | {"total_eV": total, "potential_eV": total - 0.2})
                outcome.side["species_series"] += [
                    shared | {"species": name, "temperature_K": temperature + sign * heating(step)}
                    for name, sign in (("O", 1), ("H", -1))
                ]
    if len(steps) > 1:
        outcome.side["timesteps"] = timestep_rows(outcome.rows)
    record(folder, "nve-drift", model, mode, system, outcome, f"{model}.{mode}.{system}.{how[0]}.{len(steps)}.{status}")


def text_of(folder, name: str) -> str:
    """A comment names each text that an SVG draws as paths."""
    return (folder / f"{name}.svg").read_text(encoding="utf-8")


def said(text: str) -> list[str]:
    return [line.split("<!-- ")[1].split(" -->")[0] for line in text.splitlines() if "<!-- " in line]


@pytest.fixture(scope="module")
def drifts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drifts")
    for system in ("water", "graphene"):
        nve(folder, "pet", "direct", system, drift=60.0, structures=("a", "b", "c"))
        nve(folder, "pet", "conservative", system)
    nve(folder, "pet", "conservative", "water", how=("mts", 8))
    nve(folder, "pet", "direct", "water", how=("rescaled", 1))
    nve(folder, "orb", "direct", "graphene", drift=200.0)
    nve(folder, "stopped", "direct", "argon", drift=7.0, status="incomplete")
    draw_figures(folder, folder / "f")
    return folder / "f"


def test_models_and_systems_have_separate_panels(drifts):
    result = said(text_of(drifts, "nve-drift"))
    # One label per model, mode and integrator, for any number of structures and systems.
    for name in ("pet:direct", "pet:conservative", "orb:direct", "pet:conservative, mts M = 8"):
        assert result.count(name) == 1
    assert result.count("pet:direct, energy rescaled") == 1
    assert {"water", "graphene"} <= set(result)
    assert result.count("kinetic temperature (K)") == 2


def test_elements_have_panels_by_model(drifts):
    result = said(text_of(drifts, "nve-drift-species"))
    assert {"H", "O", "all"} <= set(result)
    # Five kinds on water and graphene together: pet twice on both, two more on water, orb.
    assert result.count("time (ps)") == 7


def test_interrupted_runs_are_not_plotted(drifts, tmp_path):
    assert "argon" not in said(text_of(drifts, "nve-drift"))
    nve(tmp_path, "stopped", "direct", "argon", drift=7.0, status="incomplete")
    assert draw_figures(tmp_path, tmp_path / "f") == []


def test_drift_against_the_time_step_with_its_verdict(tmp_path):
    steps = (0.25, 0.5, 1.0, 2.0)
    nve(tmp_path, "direct", "direct", "water", drift=20.0, steps=steps)
    nve(tmp_path, "good", "conservative", "water", drift=lambda step: 3.0 * step**2, steps=steps)
    nve(tmp_path, "both", "direct", "water", drift=lambda step: 2.0 + 3.0 * step**2, steps=steps)
    nve(tmp_path, "none", "conservative", "water", drift=0.0, steps=steps)
    nve(tmp_path, "single", "conservative", "water", drift=1.0)
    draw_figures(tmp_path, tmp_path / "f", tables=["nve-drift-timesteps"])
    result = said(text_of(tmp_path / "f", "nve-drift-timesteps"))
    assert any(name.startswith("direct:direct, a: forces (order") for name in result)
    assert any(name.startswith("good:conservative, a: integrator (order") for name in result)
    assert any(name.startswith("both:direct, a: both") for name in result)
    assert not any("single" in name for name in result)
    assert {"0.25", "0.5", "1", "2"} <= set(result)


def test_temperature_for_every_stride(tmp_path):
    outcome = Outcome(side={"series": []})
    for kind, stride in (("direct", 1), ("conservative", 1), ("mts", 2), ("mts", 8)):
        where = {"structure": "a", "n_atoms": 6, "integrator": kind, "stride": stride, "timestep_fs": 0.5}
        outcome.rows.append(where | {"status": "ok", "reason": "", "ratio_cost": 1.0})
        outcome.side["series"] += [
            where | {"time_fs": time, "temperature_K": 300.0 + (time / 5.0 if kind == "direct" else stride)}
            for time in TIMES
        ]
    record(tmp_path, "mts", "pet", "", "water", outcome, "m")
    draw_figures(tmp_path, tmp_path / "f", tables=["mts-series"])
    result = said(text_of(tmp_path / "f", "mts-temperature"))
    assert {"direct alone", "conservative alone", "M = 2", "M = 8", "pet, water"} <= set(result)


def test_work_along_paths(tmp_path):
    s = np.linspace(0.0, 2.0 * np.pi, 65)
    for mode, total in (("direct", 130.0), ("conservative", 0.0)):
        curve = [
            {"structure": "a", "n_atoms": 6, "path": path, "s": at, "work_meV": work}
            for path, scale in (("planar-1", 0.1), ("molecule", 1.0))
            for at, work in zip(s, scale * (900.0 * (1.0 - np.cos(s)) + total * s / (2.0 * np.pi)), strict=True)
        ]
        row = {"structure": "a", "n_atoms": 6, "path": "molecule", "work_meV": total, "status": "ok", "reason": ""}
        record(tmp_path, "workloop", "pet", mode, "water", Outcome(rows=[row], side={"curve": curve}), mode)
    draw_figures(tmp_path, tmp_path / "f")
    result = said(text_of(tmp_path / "f", "workloop"))
    # The molecule's loop, not the planar one, with its total work.
    assert "pet:direct, molecule: 130 meV" in result
    assert any(name.startswith("pet:conservative, molecule:") for name in result)
    assert not any("planar" in name for name in result)
