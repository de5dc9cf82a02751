"""The common style of figures."""

from __future__ import annotations

import pytest

from ncbench.report.style import few_ticks, styled_figure


@pytest.mark.parametrize("end", [0.02, 0.016, 0.2, 1.0, 25.0])
def test_tick_labels_of_short_runs_do_not_touch(end: float) -> None:
    """In panels as wide as those of the figures of dynamics, three to a row."""
    with styled_figure(9.9, 2.6) as figure:
        panels = figure.subplots(1, 3)
        for axes in panels:
            axes.plot([0.0, end], [0.0, 1.0])
            few_ticks(axes)
        figure.draw_without_rendering()
        for axes in panels:
            boxes = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
            shown = [box for box in boxes if box.width > 0]
            assert len(shown) >= 3
            assert all(left.x1 + 2 < right.x0 for left, right in zip(shown, shown[1:], strict=False))
