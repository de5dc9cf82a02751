"""Figures of λ, from tables as the store writes them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from ncbench.diagnostics.lambda_ import DIAGNOSTIC
from ncbench.report.figures import FIGURES, draw_figures
from ncbench.report.figures.jacobian_pairs import BIN_A, binned_medians
from ncbench.store.store import Store
from ncbench.types import Outcome

COMMON = {
    "model": "pet-m",
    "system": "water64",
    "seed": 0,
    "dtype": "float32",
    "device": "cpu",
    "status": "ok",
    "reason": "",
}


def pairs(n: int, level: float) -> list[dict[str, object]]:
    rng = np.random.default_rng(0)
    rows = []
    for i in range(n):
        for j in range(i, n):
            distance = 0.0 if i == j else 1.0 + 5.0 * rng.random()
            whole = 50.0 * np.exp(-distance)
            numbers = {
                "jacobian_norm_eV_per_A2": whole,
                "antisymmetric_norm_eV_per_A2": level * whole,
                "lambda_ij": level,
            }
            rows.append(
                {"atom_i": i, "atom_j": j, "species_i": "O", "species_j": "O", "distance_A": distance} | numbers
            )
    return rows


def steps(verdict: str) -> list[dict[str, object]]:
    rows = []
    for step in np.logspace(-4, -1, 7):
        numbers = {"lambda": 0.03 + step, "lambda_noise": 1e-6 / step, "change_percent": None if step > 0.05 else 1.0}
        rows.append({"step_A": float(step), "verdict": verdict} | numbers)
    return rows


def record(folder: Path, mode: str, **side: list[dict[str, object]]) -> None:
    store = Store(folder)
    common = COMMON | {"force_mode": mode}
    where = {"structure": "water64#0", "n_atoms": 20}
    tables = {name.replace("_", "-"): [where | row for row in rows] for name, rows in side.items()}
    outcome = Outcome(rows=[where | {"method": "exact", "lambda": 0.03}], side=tables)
    store.record(f"key-{mode}", DIAGNOSTIC, common, outcome, {})
    store.rebuild_tables("lambda")


@pytest.fixture
def results(tmp_path):
    for mode, level in (("direct", 0.05), ("conservative", 1e-7)):
        record(tmp_path, mode, pairs=pairs(20, level), step_scan=steps("plateau"))
    return tmp_path


def test_every_figure_is_a_nonempty_labelled_image(results):
    written = draw_figures(results, results / "figures")
    assert {path.name for path in written} == {
        f"{name}.{suffix}" for name in ("jacobian-pairs", "lambda-step-scan") for suffix in ("png", "svg")
    }
    for path in written:
        if path.suffix == ".png":
            picture = imread(path)
            assert min(picture.shape[:2]) > 300
            assert np.unique(picture.reshape(-1, picture.shape[2]), axis=0).shape[0] > 100
        else:
            assert path.read_text(encoding="utf-8").rstrip().endswith("</svg>")
    text = (results / "figures" / "jacobian-pairs.svg").read_text(encoding="utf-8")
    # A comment names each text that is drawn as paths; titles are the models.
    for message in ("pet-m:direct, water64", "pet-m:conservative, water64", "pair distance, Å", "i = j"):
        assert f"<!-- {message} -->" in text
    text = (results / "figures" / "lambda-step-scan.svg").read_text(encoding="utf-8")
    assert "<!-- pet-m:direct, float32, water64#0: plateau -->" in text


def test_equal_tables_give_identical_files(results):
    first = {path.name: path.read_bytes() for path in draw_figures(results, results / "a")}
    again = {path.name: path.read_bytes() for path in draw_figures(results, results / "b")}
    assert first == again


def test_only_figures_of_requested_tables_are_drawn(results):
    assert {p.stem for p in draw_figures(results, results / "f", tables=["lambda-pairs"])} == {"jacobian-pairs"}
    assert draw_figures(results, results / "f", tables=["nve-drift"]) == []
    assert draw_figures(results / "nowhere", results / "f") == []


def test_medians_equal_those_of_the_bins():
    distance = BIN_A * np.array([0.1, 0.2, 0.9, 4.5, 4.6])
    centres, medians = binned_medians(distance, np.array([1.0, 2.0, 9.0, 4.0, 6.0]))
    assert centres.tolist() == [0.5 * BIN_A, 4.5 * BIN_A]
    assert medians.tolist() == [2.0, 5.0]


@pytest.mark.parametrize("name", ["jacobian-pairs"])
def test_non_positive_values_on_logarithmic_axes_are_no_failure(tmp_path, name):
    zero = [row | {"antisymmetric_norm_eV_per_A2": 0.0, "lambda_ij": 0.0} for row in pairs(5, 1.0)]
    record(tmp_path, "direct", pairs=zero)
    assert {path.stem for path in draw_figures(tmp_path, tmp_path / "f")} == {name}
    assert "antisymmetric parts are zero" in (tmp_path / "f" / f"{name}.svg").read_text(encoding="utf-8")
    nothing = [row | {"jacobian_norm_eV_per_A2": 0.0, "lambda_ij": None} for row in zero[:1]]
    record(tmp_path, "direct", pairs=nothing)
    assert len(draw_figures(tmp_path, tmp_path / "f")) == 2


def test_figures_need_no_torch_and_import_matplotlib_late(results):
    code = (
        "import sys; from pathlib import Path; from ncbench.report.figures import draw_figures\n"
        f"assert draw_figures(Path({str(results)!r}), Path('.'), tables=['timing']) == []\n"
        "assert 'matplotlib' not in sys.modules\n"
        f"draw_figures(Path({str(results)!r}), Path({str(results / 'f')!r}))\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_row_of_the_table_has_its_function():
    from importlib import import_module

    assert len({figure.name for figure in FIGURES}) == len(FIGURES)
    assert all(callable(import_module(figure.module).draw) for figure in FIGURES)
