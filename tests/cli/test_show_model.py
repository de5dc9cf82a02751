"""`ncbench models show`, and the documents made from the families."""

from __future__ import annotations

import csv
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ncbench.models.measured import TABLE, of_model
from ncbench.models.registry import models

ROOT = Path(__file__).resolve().parents[2]


def show(name: str) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "ncbench", "models", "show", name, "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    facts: dict[str, str] = json.loads(done.stdout)
    return facts


def test_bundled_model_is_shown_with_results():
    facts = show("pet-m:direct")
    assert (facts["model"], facts["tested with"]) == ("pet-m", "released weights")
    assert "pet-m:direct on water64 (192 atoms, float32): 0.03" in facts["measured λ"]
    assert "a gradient" in facts["measured λ"]
    assert facts["weights"].startswith("in ncbench, 2 MB")
    assert facts["try it"] == "ncbench lambda --model pet-m --system water-molecule"


def test_untested_model_is_shown_without_results():
    facts = show("grace")
    assert (facts["model"], facts["tested with"]) == ("grace-2l-oam", "untried")
    assert facts["measured λ"] == "nothing in the results of ncbench's repository"
    assert facts["install"] == "pip install 'tensorpotential'"


def test_suggested_systems_exist():
    from ncbench.structures.systems import systems

    assert {row.system for row in models()} <= set(systems())


def test_measured_rows_are_those_of_the_results_folders():
    with TABLE.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows
    for row in rows:
        with (ROOT / row["folder"] / "lambda.csv").open(encoding="utf-8", newline="") as stream:
            values = [one["lambda"] for one in csv.DictReader(stream) if one["model"] == row["model"]]
        assert row["lambda"] in values
    assert {one.verdict for one in of_model("pet-m")} == {"nonzero", "gradient"}


def test_the_table_of_families_is_up_to_date():
    spec = importlib.util.spec_from_file_location("write_models", ROOT / "docs" / "write_models.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "models.md").read_text(encoding="utf-8") == module.table(), (
        "run python docs/write_models.py"
    )


@pytest.mark.parametrize("word", ["untried", "tiny checkpoints", "released weights"])
def test_the_table_states_how_families_are_tested(word):
    assert f"| {word} |" in (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
