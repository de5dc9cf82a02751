"""Train the paper's water models, record the training times, and compare their errors with the paper's.

    python benchmarks/training/water/train.py --list
    python benchmarks/training/water/train.py                            all recipes at the laptop's scale: about two hours on one core
    python benchmarks/training/water/train.py pet-nc-vf pet-c-vf pet-m-ft    Figures 4 and 14
    python benchmarks/training/water/train.py --scale paper              near the paper's sizes: days on a GPU
    python benchmarks/training/water/train.py --scale smoke              tiny models, one or two epochs: test of the recipes

A recipe with an existing ``model.ckpt`` is not repeated, and an interrupted one continues from its last checkpoint. Needs the groups
``train`` (metatrain) and, for SOAP-BPNN, ``train-soap``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pyarrow as pa
import torch
import yaml
from ase.io import read

from ncbench.md.stopwatch import machine
from ncbench.paper import numbers
from ncbench.report.training import CURVE, TRAINING
from ncbench.store.files import write_atomic
from ncbench.store.tables import csv_bytes, parquet_bytes, table_of

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parents[2] / "results" / "training"
ERRORS = ("table1", "table3", "table6")
FORCES = ("lambda", "figure6")
"""Further values of the paper on four of the models besides their errors."""
PREFIX = numbers.RECIPE_PREFIX
"""Of the trained models' names, beside those that ncbench brings."""

sys.path[:0] = [str(HERE), str(HERE.parent)]

from curves import learning_curve, parameters  # noqa: E402  (beside this file, which is a script and no package)
from frames import PARTS, prepare  # noqa: E402
from options import Recipe, Scale, options, recipes, scales  # noqa: E402
from trainer import CHECKPOINT, export, timed_epoch, train  # noqa: E402


def in_order(names: Sequence[str]) -> list[Recipe]:
    """The recipes named, all of them for none, each behind the one it starts from.

    Raises:
        SystemExit: no such recipe.
    """
    known = recipes()
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"There is no recipe '{unknown[0]}'. There are {', '.join(known)}.")
    ordered: dict[str, Recipe] = {}
    for name in names or known:
        recipe = known[name]
        if recipe.after:
            ordered.setdefault(recipe.after, known[recipe.after])
        ordered.setdefault(name, recipe)
    return list(ordered.values())


def train_and_export(recipe: Recipe, scale: Scale, work: Path) -> None:
    """Train a recipe in ``work/NAME``, or resume it, and export it to ``work/NAME.pt``."""
    folder, model = work / recipe.name, work / f"{recipe.name}.pt"
    checkpoint = train(folder, yaml.safe_dump(options(recipe, scale), sort_keys=False), [])
    if not model.is_file():
        export(checkpoint, model)
    conditions = folder / "conditions.json"
    if not conditions.is_file():
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        environment = {
            "threads": torch.get_num_threads(),
            "machine": machine(device),
            "metatrain": version("metatrain"),
        }
        conditions.write_text(json.dumps(environment), encoding="utf-8")


def time_epochs(recipe: Recipe, scale: Scale, work: Path) -> None:
    """Time an epoch separately, and store the result."""
    seconds, timed = timed_epoch(work, recipe.name, options(recipe, scale))
    conditions = work / recipe.name / "conditions.json"
    measured = json.loads(conditions.read_text(encoding="utf-8"))
    conditions.write_text(json.dumps(measured | {"epoch_s": seconds, "timed_frames": timed}), encoding="utf-8")


def trained(work: Path) -> list[Recipe]:
    """The recipes with existing models."""
    return [
        r for r in recipes().values() if (work / r.name / CHECKPOINT).is_file() and (work / f"{r.name}.pt").is_file()
    ]


def modes(recipe: Recipe) -> list[str]:
    """Force modes in which the recipe's model is evaluated."""
    return list(dict.fromkeys(recipe.fills.values())) if recipe.forces != "both" else ["direct", "conservative"]


def training_tables(chosen: Iterable[Recipe], scale: Scale, work: Path, out: Path) -> None:
    """Write the tables ``training`` and ``training-curve`` of these recipes, as Parquet and CSV."""
    n_frames = len(read(work / "train.xyz", index=":"))
    parts: dict[str, list[pa.Table]] = {TRAINING.name: [], CURVE.name: []}
    for recipe in chosen:
        curve = _timed(recipe, work)
        before = float(_timed(recipes()[recipe.after], work)["train_s"].iloc[-1]) if recipe.after else 0.0
        conditions = json.loads((work / recipe.name / "conditions.json").read_text(encoding="utf-8"))
        row = TRAINING.row(
            recipe=recipe.name,
            scale=scale.name,
            architecture=recipe.architecture,
            layers=recipe.layers,
            targets=", ".join(recipe.targets),
            after=recipe.after,
            parameters=parameters(work / recipe.name),
            epochs=len(curve),
            n_frames=n_frames,
            batch=scale.training[recipe.architecture]["batch_size"],
            seconds_per_epoch=float(curve["epoch_s"].median()),
            train_s=float(curve["train_s"].iloc[-1]),
            before_s=before,
            threads=conditions["threads"],
            machine=conditions["machine"],
            timed_frames=conditions.get("timed_frames"),
            trainer=f"metatrain {conditions['metatrain']}",
        )
        for mode in modes(recipe):
            common = {
                "model": PREFIX + recipe.name,
                "force_mode": mode,
                "system": "water-dft",
                "seed": scale.seed,
                "dtype": "float32",
                "device": "cpu" if "CPU" in conditions["machine"] or not torch.cuda.is_available() else "cuda",
            }
            forces = "non_conservative_forces" if mode == "direct" else "forces"
            curve_rows = [
                CURVE.row(
                    recipe=recipe.name,
                    after=recipe.after,
                    epoch=int(entry["epoch"]) + 1,
                    train_s=before + entry["train_s"],
                    learning_rate=entry["learning_rate"],
                    validation_loss=entry["validation_loss"],
                    energy_mae_meV_per_atom=entry.get("validation_energy_mae_meV_per_atom"),
                    force_mae_meV_per_A=entry.get(f"validation_{forces}_mae_meV_per_A"),
                )
                for entry in curve.to_dict("records")
            ]
            parts[TRAINING.name].append(table_of(TRAINING, [row], common, ""))
            parts[CURVE.name].append(table_of(CURVE, curve_rows, common, ""))
    out.mkdir(parents=True, exist_ok=True)
    for name, tables in parts.items():
        whole = pa.concat_tables(tables)
        write_atomic(out / f"{name}.csv", csv_bytes(whole))
        write_atomic(out / f"{name}.parquet", parquet_bytes(whole))


def _timed(recipe: Recipe, work: Path) -> pd.DataFrame:
    """The recipe's learning curve, with separately measured times if available."""
    curve = learning_curve(work / recipe.name)
    conditions = json.loads((work / recipe.name / "conditions.json").read_text(encoding="utf-8"))
    if "epoch_s" in conditions:
        curve = curve.assign(epoch_s=conditions["epoch_s"])
        curve = curve.assign(train_s=curve["epoch_s"].cumsum())
    return curve


def models_file(recipes: Iterable[Recipe], work: Path) -> Path:
    """A file of models for ncbench (``NCBENCH_MODELS``), the trained ones by name."""
    lines = []
    for recipe in recipes:
        listed = ", ".join(json.dumps(mode) for mode in modes(recipe))
        lines += [
            f"[models.{PREFIX}{recipe.name}]",
            'family = "pet"',
            f"checkpoint = {json.dumps(str(work / (recipe.name + '.pt')))}",
            f"modes = [{listed}]",
            f'summary = "recipe {recipe.name}"',
            "",
        ]
    path = work / "models.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def beside_the_paper(recipes: Sequence[Recipe], work: Path, out: Path, targets: Sequence[str], budget: str) -> int:
    """``ncbench reproduce`` with the trained models, which stand in the paper's rows by their names; returns its exit code."""
    command = [sys.executable, "-m", "ncbench", "reproduce", *targets, "--budget", budget, "--out", str(out), "--yes"]
    for recipe in recipes:
        for mode in modes(recipe):
            command += ["--model", f"{PREFIX}{recipe.name}:{mode}"]
    environment = {**os.environ, "NCBENCH_MODELS": str(models_file(recipes, work))}
    return subprocess.run(command, env=environment, check=False).returncode


def main() -> int:
    """Run all steps; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help="all of them by default")
    parser.add_argument("--list", action="store_true", help="list the recipes and stop")
    parser.add_argument("--scale", choices=list(scales()), default="laptop")
    parser.add_argument("--work", type=Path, default=HERE / "work", help="folder for frames, checkpoints and logs")
    parser.add_argument("--out", type=Path, help="results folder (default results/training/SCALE; for smoke in --work)")
    parser.add_argument("--time", action="store_true", help="then time an epoch of each separately, on an idle machine")
    parser.add_argument("--only-tables", action="store_true", help="no training: only tables of existing models")
    asked = parser.parse_args()
    if asked.list:
        for recipe in recipes().values():
            layers = f", {recipe.layers} layers" if recipe.layers else ""
            after = f", after {recipe.after}" if recipe.after else ""
            print(
                f"{recipe.name:18}{recipe.architecture}{layers}: {recipe.forces}, {' and '.join(recipe.targets)}{after}"
            )
        return 0
    scale = scales()[asked.scale]
    work = (asked.work / scale.name).resolve()
    out = asked.out or (work / "results" if scale.name == "smoke" else RESULTS / scale.name)
    chosen = in_order(asked.recipes or [name for name, recipe in recipes().items() if scale.trains(recipe)])
    if foreign := [recipe.name for recipe in chosen if not scale.trains(recipe)]:
        sys.exit(f"The scale '{scale.name}' has no {recipes()[foreign[0]].architecture}: {', '.join(foreign)}.")
    if not asked.only_tables:
        if not all((work / f"{part}.xyz").is_file() for part in PARTS):
            prepare(work, limit=scale.limit)
        for number, recipe in enumerate(chosen, 1):
            print(f"{number}/{len(chosen)} {recipe.name}", flush=True)
            train_and_export(recipe, scale, work)
    finished = trained(work)
    if asked.time:
        for recipe in finished:
            time_epochs(recipe, scale, work)
    if not finished:
        print(f"Nothing is trained in {work}.", file=sys.stderr)
        return 1
    training_tables(finished, scale, work, out)
    budget = "smoke" if scale.name == "smoke" else "laptop"
    codes = [beside_the_paper(finished, work, out, ERRORS, budget)]
    quoted = {cell.model.key for target in FORCES for cell in numbers.table(target).cells}
    if others := [recipe for recipe in finished if quoted & recipe.fills.keys()]:
        codes.append(beside_the_paper(others, work, out, FORCES, budget))
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
