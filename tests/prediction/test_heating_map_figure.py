"""The figure of the heating map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ncbench.report.figures.heating_map import _matrix, draw


def frame() -> pd.DataFrame:
    bins = [(0.0, 0.0, 0.5, 0.1), (200.0, 0.0, 0.3, 0.2), (400.0, 400.0, 0.2, 0.7)]
    rows = [
        {
            "model": "m", "force_mode": "direct", "system": "s", "structure": "a", "job": "1",
            "omega_from_per_cm": first, "omega_to_per_cm": first + 200.0,
            "omega2_from_per_cm": second, "omega2_to_per_cm": second + 200.0,
            "fraction_of_power": power, "fraction_of_antisymmetry": norm,
        }
        for first, second, power, norm in bins
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_shares_of_pairs_are_split_and_add_up() -> None:
    expected = np.array([[0.5, 0.15, 0.0], [0.15, 0.0, 0.0], [0.0, 0.0, 0.2]])
    np.testing.assert_allclose(_matrix(frame(), "fraction_of_power"), expected)


def test_two_structures_are_averaged() -> None:
    both = pd.concat([frame(), frame().assign(structure="b")])
    np.testing.assert_allclose(_matrix(both, "fraction_of_power"), _matrix(frame(), "fraction_of_power"))


def test_the_figure_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "map.png"
    draw({"predict-map": frame()}, [path])
    assert path.read_bytes()[:4] == b"\x89PNG"
