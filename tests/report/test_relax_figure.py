"""The figure of relaxations, from tables as the store writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from ncbench.diagnostics.relax import DIAGNOSTIC
from ncbench.report.figures import draw_figures
from ncbench.report.figures.relax import _components
from ncbench.store.store import Store
from ncbench.types import Outcome

COMMON = {"model": "pet-m", "system": "water64", "seed": 0, "dtype": "float32", "device": "cpu", "reason": ""}
SOAP = {"map": True, "no map": False}


def side(optimizers: tuple[str, ...], *, structure: str, n_atoms: int, soap: bool) -> dict[str, list[dict[str, Any]]]:
    where = {"structure": structure, "n_atoms": n_atoms, "status": "ok", "reason": "", "set": "water64", "start": 0}
    trace, path = [], []
    for optimizer in optimizers:
        for step in range(60):
            force = 3.0 * 0.9**step
            trace.append(
                where
                | {"optimizer": optimizer, "step": step, "force_max_eV_per_A": force, "force_rms_eV_per_A": force / 2}
            )
            if step % 10 == 0:
                text = " ".join(str(v) for v in (np.cos(0.01 * step), np.sin(0.02 * step), 1.0)) if soap else None
                path.append(where | {"optimizer": optimizer, "step": step, "distance_A": 0.01 * step, "soap": text})
    return {"trace": trace, "path": path}


def record(folder: Path, mode: str, key: str = "", **given: Any) -> None:
    store = Store(folder)
    row = {"structure": "all", "n_atoms": 192, "status": "ok", "reason": "", "set": "water64", "fmax_eV_per_A": 1e-4}
    outcome = Outcome(rows=[row], side=side(**given))
    store.record(f"key-{mode}{key}", DIAGNOSTIC, COMMON | {"force_mode": mode, "status": "ok"}, outcome, {})
    store.rebuild_tables("relax")


def drawn(folder: Path) -> str:
    written = draw_figures(folder, folder / "f", tables=["relax-trace"])
    assert {path.name for path in written} == {"relax.png", "relax.svg"}
    picture = imread(folder / "f" / "relax.png")
    assert min(picture.shape[:2]) > 300
    assert np.unique(picture.reshape(-1, picture.shape[2]), axis=0).shape[0] > 100
    return (folder / "f" / "relax.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("soap", SOAP.values(), ids=SOAP)
def test_both_optimisers_and_the_map_are_drawn_or_its_absence_explained(tmp_path: Path, soap: bool) -> None:
    for mode in ("direct", "conservative"):
        record(tmp_path, mode, optimizers=("lbfgs", "fire"), structure="water64#0", n_atoms=192, soap=soap)
    text = drawn(tmp_path)
    # A comment names each text that is drawn as paths.
    for message in ("FIRE", "L-BFGS", "pet-m:direct", "pet-m:conservative", "water64#0, 192 atoms"):
        assert f"<!-- {message} -->" in text
    assert ("map of averaged SOAP" in text) == soap
    assert ("featomic was not" in text) == (not soap)


def test_one_optimiser_without_a_path_is_drawn(tmp_path: Path) -> None:
    record(tmp_path, "direct", optimizers=("lbfgs",), structure="water64#0", n_atoms=192, soap=False)
    for name in ("relax-path.parquet", "relax-path.csv"):
        (tmp_path / name).unlink()
    text = drawn(tmp_path)
    assert "<!-- L-BFGS -->" in text
    assert "<!-- FIRE -->" not in text
    assert "distance from the start" not in text


def test_the_relaxation_run_by_most_models_is_shown(tmp_path: Path) -> None:
    for mode in ("direct", "conservative"):
        record(tmp_path, mode, optimizers=("fire",), structure="small#0", n_atoms=3, soap=True)
    record(tmp_path, "direct", "2", optimizers=("fire",), structure="large#0", n_atoms=192, soap=True)
    assert "<!-- small#0, 3 atoms -->" in drawn(tmp_path)


def test_map_preserves_distances_along_principal_components() -> None:
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(20, 2)) * [3.0, 1.0]
    axes, _ = np.linalg.qr(rng.normal(size=(6, 2)))
    descriptors = plane @ axes.T + 5.0
    frame = pd.DataFrame({"soap": [" ".join(f"{v:.17g}" for v in row) for row in descriptors]})
    points = _components(frame)

    def distances(x: np.ndarray) -> np.ndarray:
        return np.linalg.norm(x[:, None] - x[None], axis=-1)

    # All variance lies in a plane, which the two components span.
    assert distances(points) == pytest.approx(distances(plane), abs=1e-12)
    assert points[:, 0].var() > points[:, 1].var()
    assert points.mean(axis=0) == pytest.approx([0.0, 0.0], abs=1e-12)
