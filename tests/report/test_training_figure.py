"""Learning curves as a figure: one panel per architecture, direct forces dashed, start of fine-tuning marked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ncbench.report.figures import draw_figures
from ncbench.report.training import CURVE
from ncbench.store.tables import parquet_bytes, table_of


def _curve(recipe: str, mode: str, *, after: str = "", began_s: float = 0.0) -> Any:
    common = {
        "model": recipe,
        "force_mode": mode,
        "system": "water-dft",
        "seed": 1,
        "dtype": "float32",
        "device": "cpu",
    }
    rows = [
        CURVE.row(
            recipe=recipe, after=after, epoch=epoch, train_s=began_s + 60.0 * epoch, force_mae_meV_per_A=600.0 / epoch
        )
        for epoch in (1, 2, 3)
    ]
    return table_of(CURVE, rows, common, "")


def _drawn(folder: Path, tables: list[Any]) -> str:
    import pyarrow as pa

    (folder / "training-curve.parquet").write_bytes(parquet_bytes(pa.concat_tables(tables)))
    written = draw_figures(folder, folder / "figures")
    assert [path.name for path in written] == ["training.png", "training.svg"]
    return (folder / "figures" / "training.svg").read_text(encoding="utf-8")


def test_every_curve_has_a_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib as mpl

    # Text as text, so that it can be read back.
    monkeypatch.setitem(mpl.rcParams, "svg.fonttype", "none")
    drawn = _drawn(
        tmp_path,
        [
            _curve("pet-nc-vf", "direct"),
            _curve("pet-c-vf", "conservative"),
            _curve("pet-m-ft", "direct", after="pet-nc-vf", began_s=180.0),
            _curve("pet-m-ft", "conservative", after="pet-nc-vf", began_s=180.0),
            _curve("soap-bpnn-c-f", "conservative"),
        ],
    )
    # The label of a model with both kinds of forces names the kind; otherwise it is the model's name.
    for text in (
        "PET",
        "SOAP-BPNN",
        "pet-nc-vf",
        "pet-m-ft, direct",
        "pet-m-ft, conservative",
        "soap-bpnn-c-f",
        "time of training (min)",
    ):
        assert f">{text}<" in drawn, text
    # One arrow, at the forces that are fine-tuned.
    assert drawn.count("fine-tuned from here") == 1


def test_each_architecture_has_one_panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib as mpl

    monkeypatch.setitem(mpl.rcParams, "svg.fonttype", "none")
    drawn = _drawn(tmp_path, [_curve("pet-c-f", "conservative")])
    assert ">SOAP-BPNN<" not in drawn
    assert "fine-tuned" not in drawn
