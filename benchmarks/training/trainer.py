"""metatrain as a program: train in a folder, resume after an interruption, export."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ase.io import read
from ase.io import write as write_frames
from curves import learning_curve

CHECKPOINT = "model.ckpt"
TIMED_FRAMES, TIMED_EPOCHS = 96, 3


def metatrain(arguments: list[str], folder: Path) -> None:
    """Run metatrain in ``folder``; its messages go to the same output.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "metatrain", *arguments], cwd=folder, check=True)


def train(folder: Path, options: str, overrides: list[str]) -> Path:
    """Train with the contents of an ``options.yaml``, or resume it, or do nothing if it is finished; returns the checkpoint.

    Raises:
        subprocess.CalledProcessError: metatrain failed.
    """
    done = folder / CHECKPOINT
    if done.is_file():
        print(f"{folder.name} is trained")
        return done
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "options.yaml").write_text(options, encoding="utf-8")
    begun = ["--restart", "auto"] if any(folder.glob("outputs/*/*/model_*.ckpt")) else []
    metatrain(["train", "options.yaml", *begun, *(part for text in overrides for part in ("-r", text))], folder)
    return done


def timed_epoch(
    work: Path, name: str, options: Mapping[str, Any], *, n_frames: int = TIMED_FRAMES, n_epochs: int = TIMED_EPOCHS
) -> tuple[float, int]:
    """Seconds of an epoch over all training frames of ``work``, from ``n_epochs`` epochs over ``n_frames`` frames, and the number of these.

    A long training shares its machine with other programs; comparable times are measured on an idle machine. The folder ``work/timing/NAME`` is
    made anew.

    Raises:
        subprocess.CalledProcessError: metatrain failed.
    """
    place = work / "timing"
    place.mkdir(exist_ok=True)
    frames = {part: read(work / f"{part}.xyz", index=":") for part in ("train", "validation")}
    write_frames(place / "train.xyz", frames["train"][:n_frames], format="extxyz")
    # Validation has the share of an epoch that it has in the whole training.
    share = max(1, round(len(frames["validation"]) * n_frames / len(frames["train"])))
    write_frames(place / "validation.xyz", frames["validation"][:share], format="extxyz")
    content = copy.deepcopy(dict(options))
    content["architecture"]["training"]["num_epochs"] = n_epochs
    # The initial weights do not change the time, and their file is elsewhere.
    content["architecture"]["training"].pop("finetune", None)
    folder = place / name
    shutil.rmtree(folder, ignore_errors=True)
    train(folder, yaml.safe_dump(content, sort_keys=False), [])
    timed = min(n_frames, len(frames["train"]))
    return float(learning_curve(folder)["epoch_s"].sum()) / n_epochs * len(frames["train"]) / timed, timed


def export(checkpoint: Path, target: Path, metadata: Path | None = None) -> Path:
    """Export for metatomic.

    Raises:
        subprocess.CalledProcessError: metatrain failed.
    """
    described = [] if metadata is None else ["-m", str(metadata)]
    metatrain(["export", checkpoint.name, "-o", str(target), *described], checkpoint.parent)
    remove_paths(target)
    return target


def remove_paths(model: Path) -> None:
    """Remove from an export what names folders of the machine that made it: TorchScript's debug records and the place of the extensions."""
    small = model.with_suffix(".small")
    with zipfile.ZipFile(model) as old, zipfile.ZipFile(small, "w", zipfile.ZIP_STORED) as new:
        for item in old.infolist():
            content = old.read(item)
            if item.filename.endswith(".debug_pkl"):
                continue
            if item.filename.endswith("extra/export-metadata"):
                content = json.dumps(json.loads(content) | {"extensions_directory": "extensions"}).encode()
            new.writestr(item.filename, content)
    small.replace(model)
