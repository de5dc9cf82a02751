"""Figures of measurements and folders in Python."""

from __future__ import annotations

from pathlib import Path

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
