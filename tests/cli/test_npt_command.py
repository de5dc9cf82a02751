"""``ncbench npt`` as typed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ncbench.cli.main import _guarded

pytest.importorskip("ipi")
pytestmark = [
    # i-PI calls names that Python is about to drop, and leaves files to the garbage collector.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ARGON = (
    "npt",
    "--system",
    "argon",
    "--structures",
    "1",
    "--quiet",
    "--threads",
    "1",
    "--ensemble",
    "nph",
    "--temperature",
    "40",
)
SQUEEZED = ("--pressure", "1", "--barostat-tau", "500", "--timestep", "2", "--equilibration", "0", "--duration", "64", "--sample-every", "4")  # fmt: skip


def typed(out: Path, *words: str) -> tuple[int, dict[str, Any]]:
    code = _guarded([*ARGON, *SQUEEZED, "--out", str(out), *words])
    file = out / "npt.parquet"
    return code, pd.read_parquet(file).iloc[-1].to_dict() if file.exists() else {}


def test_multiple_time_stepping_uses_the_stress_of_the_reference(tmp_path: Path) -> None:
    models = {"right": "dialled.defects:good", "wrong": "dialled.defects:wrong_stress"}
    rows = {name: typed(tmp_path / name, "--model", model) for name, model in models.items()}
    words = ("--model", models["wrong"], "--reference", models["right"], "--mts", "4")
    code, mixed = typed(tmp_path / "mixed", *words)
    assert [code, *(one for one, _ in rows.values())] == [0, 0, 0]
    assert (mixed["status"], mixed["stress_from"], mixed["forces_from"], mixed["stride"]) == ("ok", "mts", "mts", 4)
    # Both sampled every 8 fs, while the cell shrinks by more than an ångström; the barostat of the split run moves it every 8 fs only.
    assert mixed["cell_length_A"] == pytest.approx(rows["right"][1]["cell_length_A"], abs=0.15)
    assert rows["right"][1]["cell_length_A"] < rows["right"][1]["cell_length_start_A"] - 0.5
    assert rows["wrong"][1]["status"] == "exploded"


def test_invalid_multiple_time_stepping_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(tmp_path, "--model", "analytic-lj", "--mts", "0")[0] == 2
    assert "--mts" in capsys.readouterr().err
    assert typed(tmp_path, "--model", "analytic-lj", "--mts", "4", "--conservative-forces")[0] == 2
    assert "Leave one out" in capsys.readouterr().err
    code, row = typed(tmp_path, "--model", "analytic-lj", "--mts", "4")
    assert (code, row["status"]) == (1, "unsupported")
    assert "direct" in row["reason"]
