"""Models added by the user, names known only to a package, and capabilities of models."""

from __future__ import annotations

import json

import pytest

from ncbench.errors import UsageError
from ncbench.models import family, package_names, registry, user_models
from ncbench.models.capabilities import capabilities_of
from ncbench.models.loading import load_forcefield
from ncbench.models.package_names import dictionary_keys
from ncbench.models.registry import find, parse_spec
from ncbench.models.row import WEIGHTS
from ncbench.types import ForceMode, ModelRequest


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("NCBENCH_MODELS", str(tmp_path / "mine" / "models.toml"))
    registry.forget()
    yield tmp_path / "mine" / "models.toml"
    registry.forget()


def test_added_models_can_be_named_loaded_and_removed(file):
    entry = {"family": "pet", "checkpoint": str(WEIGHTS / "pet-m.pt"), "modes": ["direct"], "summary": 'say "water"'}
    assert user_models.add("my-pet.2", entry) == file
    registry.forget()
    parsed = parse_spec("my-pet.2:direct")
    assert parsed.row is not None
    assert (parsed.row.summary, parsed.row.modes) == ('say "water"', (ForceMode.DIRECT,))
    pytest.importorskip("metatomic_ase")
    assert load_forcefield(ModelRequest(spec="my-pet.2:direct")).card.checkpoint == "pet-m.pt"
    assert registry.checkpoint_of(ModelRequest(spec="my-pet.2")) == WEIGHTS / "pet-m.pt"
    user_models.remove("my-pet.2")
    registry.forget()
    with pytest.raises(UsageError, match=r"no model 'my-pet\.2'"):
        find("my-pet.2")


def test_a_factory_has_its_mode_and_options_stay(file):
    user_models.add("springs", {"factory": "ncbench.models.families.analytic_ase:solenoidal", "modes": ["direct"]})
    registry.forget()
    card = load_forcefield(ModelRequest(spec="springs")).card
    assert (card.force_mode, card.family) == (ForceMode.DIRECT, "ase")
    user_models.add("slow", {"family": "orb", "checkpoint": "/w.ckpt", "options": {"edges": "knn_scipy"}})
    registry.forget()
    assert find("slow").asked((("edges", "list"),)) == (("edges", "list"),)
    assert find("slow").asked(()) == (("edges", "knn_scipy"),)


@pytest.mark.parametrize(
    ("name", "entry", "message"),
    [
        ("Big", {"family": "pet", "checkpoint": "x"}, "cannot be a model's name"),
        ("pet-m", {"family": "pet", "checkpoint": "x"}, "a model 'pet-m' of its own"),
        ("mine", {"family": "mase", "checkpoint": "x"}, "Did you mean 'mace'"),
        ("mine", {"family": "mace"}, "no checkpoint"),
        ("mine", {"family": "mace", "checkpoint": "x", "modes": ["indirect"]}, "not a force mode"),
        ("mine", {"family": "mace", "chekpoint": "x"}, "Did you mean 'checkpoint'"),
        ("mine", {"factory": "module"}, "not module:function"),
    ],
)
def test_wrong_entries_are_refused(file, name, entry, message):
    with pytest.raises(UsageError, match=message):
        user_models.add(name, entry)
    assert not file.exists()


def test_duplicate_names_and_a_broken_file_are_reported(file):
    entry = {"family": "mace", "checkpoint": "/a.model"}
    user_models.add("mine", entry)
    with pytest.raises(UsageError, match="--replace"):
        user_models.add("mine", entry)
    user_models.add("mine", entry | {"checkpoint": "/b.model"}, replace=True)
    assert user_models.read(file)["mine"]["checkpoint"] == "/b.model"
    file.write_text("[models.mine\n", encoding="utf-8")
    registry.forget()
    with pytest.raises(UsageError, match=r"models\.toml' is not TOML"):
        find("anything")


def test_the_table_names_each_model_once():
    rows = [row for one in family.built_in().values() for row in one.rows]
    names = [name for row in rows for name in (row.name, *row.aliases)]
    assert len(names) == len(set(names))
    assert (find("orb").name, find("mace").name, find("sevennet").name) == ("orb-v2", "mace-mp-0-large", "sevennet-0")
    assert find("orb-v2-low-precision").preset == {"precision": "float32-high"}
    assert find("orb-v3-conservative-20-omat").maybe == (ForceMode.DIRECT,)
    assert parse_spec("orb-v3-conservative-20-omat:direct").mode is ForceMode.DIRECT


@pytest.mark.parametrize(
    ("name", "family", "source"),
    [
        ("orb-v9-direct", "orb", "orb-v9-direct"),
        ("mace-medium-0b3", "mace", "mp:medium-0b3"),
        ("esen-lg-direct", "fairchem", "esen-lg-direct"),
        ("equiformerv2-86m-omat24", "equiformer", "EquiformerV2-86M-OMAT24"),
        ("pet-omat-l-v1.0.0", "upet", "pet-omat-l-v1.0.0"),
    ],
)
def test_a_name_whose_package_is_not_installed_is_accepted(monkeypatch, name, family, source):
    monkeypatch.setattr(package_names, "find_spec", lambda _: None)
    package_names._read_table.cache_clear()
    row = find(name)
    assert (row.family, row.source) == (family, source)
    assert row.environment == family
    package_names._read_table.cache_clear()


def test_names_are_checked_against_the_installed_package(monkeypatch, tmp_path):
    folder = tmp_path / "orb_models" / "forcefield"
    folder.mkdir(parents=True)
    (tmp_path / "orb_models" / "__init__.py").touch()
    (folder / "pretrained.py").write_text('ORB_PRETRAINED_MODELS = {"orb-v4-direct": make, "orb-v1": old}\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    package_names._read_table.cache_clear()
    assert find("orb-v4-direct").source == "orb-v4-direct"
    for absent in ("orb-v1", "orb-v5-direct"):
        with pytest.raises(UsageError, match="orb-v"):
            find(absent)
    package_names._read_table.cache_clear()


def test_names_are_read_from_source():
    assert dictionary_keys('a = {"x": 1}\nb: dict = {"y": f(), 3: 0}\n', "b") == ["y"]
    assert dictionary_keys("b = 1", "b") == []


def test_capabilities_are_listed():
    pytest.importorskip("metatomic_ase")
    requests = [ModelRequest(spec=spec) for spec in ("pet-m:direct", "pet-m:conservative", "orb-v99")]
    direct, conservative, missing = capabilities_of(requests)
    assert (direct.jacobian, direct.batch, direct.stress, direct.net_force) == ("autograd", "yes", "no", "removed")
    assert (conservative.stress, conservative.net_force, conservative.dtypes) == ("yes", "none", "float32, float64")
    assert missing.reason
    assert not missing.jacobian


def test_commands_add_list_and_remove_models(file, capsys):
    from ncbench.cli.main import app

    def ncbench(*arguments: str) -> str:
        app(arguments, standalone_mode=False)
        return capsys.readouterr().out

    message = ncbench("models", "add", "mine", "--factory", "ncbench.models.families.analytic_ase:lennard_jones")
    assert str(file) in message
    assert "mine:conservative loads; forces a gradient: yes" in message
    # An entry that does not match the model is not written; the previous one is kept.
    kept = file.read_text()
    with pytest.raises(UsageError, match="not the gradient"):
        ncbench(
            "models", "add", "mine", "--replace", "--factory", "dialled.defects:wrong_forces", "--mode", "conservative"
        )
    with pytest.raises(UsageError, match="cannot be used"):
        ncbench("models", "add", "other", "--factory", "dialled.defects:none")
    assert file.read_text() == kept
    assert "other is in" in ncbench("models", "add", "other", "--factory", "dialled.defects:none", "--no-try")
    registry.forget()
    row = json.loads(ncbench("models", "capabilities", "mine", "--json"))[0]
    assert (row["model"], row["jacobian"], row["reason"]) == ("mine:conservative", "black box", "")
    assert row["dtypes"] == "float64"
    assert "| model |" in ncbench("models", "capabilities", "mine", "--markdown")
    assert "no longer" in ncbench("models", "remove", "mine")
