"""`ncbench models show`, and the documents made from the families."""

from __future__ import annotations

import csv
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ncbench.cli.show_model import facts_of
from ncbench.errors import UsageError
from ncbench.models.family import built_in
from ncbench.models.measured import TABLE, of_model
from ncbench.models.registry import find, models
from ncbench.types import ModelRequest

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


NAMES = sorted(
    {row.name for row in models()}
    | {
        name
        for family in built_in().values()
        if family.names is not None
        for name in family.names.from_tested_version()
    }
)
"""All names of ncbench's own table and of the packages' lists."""


@pytest.mark.parametrize("name", NAMES)
def test_facts_of_each_listed_name_are_complete(name):
    row = find(name)
    facts = facts_of(row)
    may_be_empty = {"aliases", "options"}
    if not row.package:
        may_be_empty |= {"install", "environment"}
    elif row.environment:
        # Packages that are installed by the environment alone.
        may_be_empty.add("install")
    else:
        may_be_empty.add("environment")
    assert {heading for heading, fact in facts.items() if not fact} <= may_be_empty
    assert facts["install"] or facts["environment"] or not row.package
    assert set(row.needed) <= set(row.options)
    assert all(f"-O {key}={value}" in facts["try it"] for key, value in row.needed.items())


@pytest.mark.models("sevenn")
def test_needed_option_is_asked_for_before_a_download(monkeypatch):
    from ncbench.models.families.sevennet import adapter
    from ncbench.models.loading import load_forcefield

    monkeypatch.setattr(adapter, "download", lambda *_: pytest.fail("downloaded"))
    with pytest.raises(UsageError, match=r"needs the option modal.*Add -O modal=mpa"):
        load_forcefield(ModelRequest(spec="sevennet-omni"))


def test_training_data_are_those_of_the_name():
    sets = {
        "orb-v3-direct-20-omat": "OMat24",
        "orb-mptraj-only-v2": "MPtrj",
        "pet-omad-s": "OMat24, then MAD",
        "mace-mp-0-large": "MPtrj",
        "mace-medium-0b3": "MPtrj",
        "mace-omol": "OMol25",
        "equiformer": "OMat24, then MPtrj and sAlex",
        "esen-sm-full-odac25": "ODAC25",
        "sevennet-0-22may2024": "MPtrj",
        "sevennet-omat": "OMat24",
        "dpa3": "see the paper",
    }
    assert {name: facts_of(find(name))["training data"] for name in sets} == sets


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
