"""Figures of measurements and folders in Python."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

import ncbench
from ncbench.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def drift():
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=1)
    return ncbench.nve_drift(EMT(), atoms, duration_fs=10.0, mode="conservative")


def test_plot_of_a_measurement_is_shown_and_saved(drift, tmp_path) -> None:
    plot = drift.plot()
    assert plot.name == "nve-drift"
    assert plot._repr_png_().startswith(b"\x89PNG")
    text = plot.save(tmp_path / "new" / "drift.svg").read_text(encoding="utf-8")
    # Text of figures is text: the model's name is in the legend.
    assert "<svg" in text
    assert "EMT:conservative" in text


def test_plot_chooses_by_name(drift) -> None:
    assert drift.plot("nve-drift-species").name == "nve-drift-species"
    with pytest.raises(UsageError, match=r"There is no figure 'nve-drfit'.*nve-drift"):
        drift.plot("nve-drfit")


def test_what_cannot_be_drawn_is_refused_in_a_sentence(drift, tmp_path) -> None:
    with pytest.raises(UsageError, match=r"written as \.png, \.svg, \.pdf, not as 'drift\.txt'"):
        drift.plot().save(tmp_path / "drift.txt")
    lone = ncbench.timing(EMT(), bulk("Cu", cubic=True), budget="smoke")
    with pytest.raises(UsageError, match="nothing to draw"):
        lone.plot()


def test_plot_of_a_folder_draws_its_tables(tmp_path) -> None:
    results = ncbench.load_results(ROOT / "results" / "demo")
    plot = results.plot()
    assert plot.save(tmp_path / "figure.png").stat().st_size > 1000
    with pytest.raises(UsageError, match="There is no figure"):
        results.plot("no-such-figure")


def test_lambda_and_its_floor_are_drawn(tmp_path) -> None:
    result = ncbench.LambdaResult(
        value=0.03, standard_error=0.001, low=0.028, high=0.032, floor=1e-7, method="exact", probes=0, force_calls=1,
        products=3, seconds=0.1, resolved="nonzero",
    )  # fmt: skip
    bound = replace(result, value=2e-8, low=-1e-8, high=5e-8, resolved="gradient")
    text = result.plot(bound, labels=["direct", "conservative"]).save(tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "direct" in text
    assert "conservative" in text
    assert result.plot()._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match="1 labels were given for 2 results"):
        result.plot(bound, labels=["direct"])


def test_powers_of_logs_and_curves_of_trajectories_are_drawn(tmp_path) -> None:
    logs = ROOT / "tests" / "logs" / "data"
    files = (logs / "ase-swirl-8fs.log", logs / "ase-swirl-4fs.log")
    analysis = ncbench.analyse(files, timestep_fs=(8, 4), n_atoms=108, ensemble="nve")
    text = analysis.plot().save(tmp_path / "log.svg").read_text(encoding="utf-8")
    assert "run 2" in text
    assert "meV/atom/ps" in text
    atoms = bulk("Cu", cubic=True) * (2, 2, 2)
    atoms.set_velocities(np.random.default_rng(0).normal(size=(32, 3)))
    ase.io.write(tmp_path / "run.traj", [atoms] * 10)
    curves = ncbench.analyse(tmp_path / "run.traj", observables=["rdf"])
    assert curves.plot().save(tmp_path / "rdf.png").stat().st_size > 1000
    none = ncbench.analyse(tmp_path / "run.traj", observables=["temperature"], timestep_fs=1.0)
    with pytest.raises(UsageError, match="nothing to draw"):
        none.plot()
