"""The training recipes: options of metatrain, values read from its logs, and rows of the paper they fill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from ncbench.paper import numbers

ROOT = Path(__file__).resolve().parents[2]
TRAINING = ROOT / "benchmarks" / "training"


def _script(path: str) -> ModuleType:
    spec = spec_from_file_location(f"training_{Path(path).stem}", TRAINING / path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


curves = _script("curves.py")
sys.path.insert(0, str(TRAINING))
trainer = _script("trainer.py")
sys.path.remove(str(TRAINING))
options = _script("water/options.py")
RECIPES = options.recipes()
SCALES = options.scales()


def _log(folder: Path, csv: str, log: str) -> None:
    folder.mkdir(parents=True)
    head = "Epoch,learning rate,training loss,training energy RMSE (per atom),validation forces MAE\n,,,meV,meV/A\n"
    (folder / "train.csv").write_text(head + csv, encoding="utf-8")
    (folder / "train.log").write_text(log, encoding="utf-8")


def test_learning_curves_count_a_repeated_epoch_once(tmp_path: Path) -> None:
    _log(
        tmp_path / "outputs" / "day" / "1",
        "0,1e-3,9.0,5.0,300\n1,9e-4,8.0,4.0,200\n",
        "[2026-01-02 23:59:40][INFO] - Starting training\n[2026-01-02 23:59:55][INFO] - Epoch:    0 | loss\n"
        "[2026-01-03 00:00:12][INFO] - Epoch:    1 | loss\n",
    )
    _log(
        tmp_path / "outputs" / "day" / "2",
        "1,9e-4,7.5,3.9,190\n2,8e-4,6.0,3.0,100\n",
        "[2026-01-03 10:00:00][INFO] - Starting training\n[2026-01-03 10:00:20][INFO] - Epoch:    1 | loss\n"
        "something else\n[2026-01-03 10:00:50][INFO] - Epoch:    2 | loss\n",
    )
    result = curves.learning_curve(tmp_path)
    assert list(result.columns) == [
        "epoch", "learning_rate", "training_loss", "training_energy_rmse_meV_per_atom", "validation_forces_mae_meV_per_A", "epoch_s",
        "train_s",
    ]  # fmt: skip
    assert result["epoch"].tolist() == [0, 1, 2]
    assert result["training_loss"].tolist() == [9.0, 7.5, 6.0]
    # The log passes midnight; of a repeated epoch the last run counts, and the pause between the runs does not.
    assert result["epoch_s"].tolist() == [15.0, 20.0, 30.0]
    assert result["train_s"].tolist() == [15.0, 35.0, 65.0]


def test_time_of_a_log_with_every_fifth_epoch_is_divided_among_epochs(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text(
        "[2026-01-02 10:00:00][INFO] - Starting training\n[2026-01-02 10:00:08][INFO] - Epoch:    0 |\n"
        "[2026-01-02 10:00:58][INFO] - Epoch:    5 |\n",
        encoding="utf-8",
    )
    assert curves.epoch_seconds(log) == {0: 8.0} | dict.fromkeys(range(1, 6), 10.0)


def test_missing_training_run_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no training run"):
        curves.learning_curve(tmp_path)


@pytest.mark.parametrize("table", ["table1", "table3", "table6"])
def test_every_row_of_the_paper_has_a_recipe(table: str) -> None:
    filled = {(key, mode) for recipe in RECIPES.values() for key, mode in recipe.fills.items()}
    for cell in numbers.table(table).cells:
        assert (cell.model.key, cell.model.mode) in filled, cell.name


def test_models_of_recipes_are_found_by_name_in_the_rows_they_fill() -> None:
    of_recipes = {(key, name, mode) for name, recipe in RECIPES.items() for key, mode in recipe.fills.items()}
    of_numbers = {(key, model.recipe, model.mode) for key, model in numbers.models().items() if model.recipe}
    assert of_recipes == of_numbers


def test_layers_and_targets_equal_the_papers() -> None:
    of = {key: recipe for recipe in RECIPES.values() for key in recipe.fills}
    for table in ("table1", "table3", "table6"):
        for cell in numbers.table(table).cells:
            conditions, recipe = cell.conditions, of[cell.model.key]
            if conditions.layers is not None:
                assert recipe.layers == conditions.layers, cell.name
            if conditions.targets is not None:
                assert ", ".join(recipe.targets) == conditions.targets, cell.name


@pytest.mark.parametrize(
    ("name", "scale"),
    [(name, scale) for name in RECIPES for scale in SCALES if SCALES[scale].trains(RECIPES[name])],
)
def test_loss_terms_follow_the_recipe(name: str, scale: str) -> None:
    recipe = RECIPES[name]
    result = options.options(recipe, SCALES[scale])
    loss, targets = result["architecture"]["training"]["loss"], result["training_set"]["targets"]
    assert set(loss) == set(targets)
    assert ("non_conservative_forces" in loss) == (recipe.forces in ("head", "both"))
    if "energy" in loss:
        assert (loss["energy"]["weight"] > 0) == ("V" in recipe.targets)
        gradient = recipe.forces in ("gradient", "both") and "f" in recipe.targets
        assert ("gradients" in loss["energy"]) == gradient
        assert bool(targets["energy"]["forces"]) == gradient
    else:
        assert recipe.targets == ("f",)
    if recipe.layers is not None:
        assert result["architecture"]["model"]["num_gnn_layers"] == recipe.layers
    assert result["architecture"]["training"]["num_epochs"] > 0


def test_an_export_names_no_folder(tmp_path: Path) -> None:
    model = tmp_path / "m.pt"
    with zipfile.ZipFile(model, "w") as archive:
        archive.writestr("m/code/a.py", b"def forward")
        archive.writestr("m/code/a.py.debug_pkl", b"/folder/of/me/a.py")
        archive.writestr(
            "m/extra/export-metadata", json.dumps({"date": "d", "extensions_directory": "/folder/of/me/x"})
        )
    trainer.remove_paths(model)
    with zipfile.ZipFile(model) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    assert contents["m/code/a.py"] == b"def forward"
    assert set(contents) == {"m/code/a.py", "m/extra/export-metadata"}
    assert json.loads(contents["m/extra/export-metadata"]) == {"date": "d", "extensions_directory": "extensions"}


def test_a_scale_without_an_architecture_refuses_its_recipes() -> None:
    command = [sys.executable, str(TRAINING / "water" / "train.py"), "--scale", "longer", "soap-bpnn-v", "pet-c-f"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "The scale 'longer' has no pet: pet-c-f.\n"


def test_fine_tuning_starts_from_the_pretrained_checkpoint() -> None:
    result = options.options(RECIPES["pet-m-ft"], SCALES["paper"])["architecture"]
    before = options.options(RECIPES["pet-nc-vf"], SCALES["paper"])["architecture"]
    assert result["training"]["finetune"] == {"method": "full", "read_from": "../pet-nc-vf/model.ckpt"}
    assert result["model"] == before["model"]


@pytest.mark.slow
@pytest.mark.models("metatrain")
@pytest.mark.skipif(
    "NCBENCH_DATA_MIRROR" not in os.environ, reason="needs the data set; NCBENCH_DATA_MIRROR names no mirror"
)
def test_recipes_run_from_frames_to_tables_of_the_paper(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(TRAINING / "water" / "train.py"),
        "pet-m-ft",
        "pet-nc-f",
        "--scale",
        "smoke",
        "--work",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    results = tmp_path / "smoke" / "results"
    training = pd.read_parquet(results / "training.parquet")
    # The recipe that pet-m-ft starts from is trained as well.
    assert set(training["recipe"]) == {"pet-nc-vf", "pet-m-ft", "pet-nc-f"}
    assert set(training.loc[training["recipe"] == "pet-m-ft", "force_mode"]) == {"direct", "conservative"}
    curve = pd.read_parquet(results / "training-curve.parquet")
    # Forces of the set have an rms of 810 meV/Å, a mean modulus near 600: an epoch on four frames changes little.
    assert curve["force_mae_meV_per_A"].between(450, 800).all()
    compared = pd.read_csv(results / "paper" / "paper-table6.csv").set_index("cell")
    assert compared.loc["table6/8/forces", "ours_model"] == "water-pet-m-ft:conservative"
    assert compared.loc["table6/8/forces", "state"] == "different model"
    assert (results / "figures" / "training.png").stat().st_size > 0
