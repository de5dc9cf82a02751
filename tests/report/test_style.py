"""Tick labels of figures of dynamics."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ncbench.report.figures import nve_drift


@pytest.mark.parametrize("end_fs", [16.0, 20.0, 40.0, 200.0, 1000.0, 25000.0])
def test_tick_labels_do_not_touch(end_fs: float, monkeypatch: pytest.MonkeyPatch) -> None:
    time = np.linspace(0.0, end_fs, 30)
    series = pd.DataFrame({"time_fs": time, "temperature_K": 300.0 + time, "total_eV": 0.1 * time})
    series = series.assign(
        model="m", force_mode="direct", system="s", structure="s#0", n_atoms=3, seed=0, timestep_fs=0.5, job="j"
    )
    drawn: list[Any] = []

    def check(figure: Any, paths: Any) -> None:
        # In a file as in the committed figures: the layout is applied before the labels are chosen.
        figure.savefig("/dev/null", format="png")
        drawn.extend(figure.axes)
        for axes in figure.axes:
            boxes = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
            low, high = axes.get_window_extent().x0, axes.get_window_extent().x1
            shown = [box for box in boxes if low <= 0.5 * (box.x0 + box.x1) <= high]
            assert len(shown) >= 3
            assert all(left.x1 + 2 < right.x0 for left, right in itertools.pairwise(shown))

    monkeypatch.setattr(nve_drift, "save", check)
    nve_drift.draw({"nve-drift-series": series}, [])
    assert len(drawn) == 2
