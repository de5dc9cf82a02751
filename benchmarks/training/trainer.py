"""metatrain as a program: train in a folder, resume after an interruption, export."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKPOINT = "model.ckpt"


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


def export(checkpoint: Path, target: Path, metadata: Path | None = None) -> Path:
    """Export for metatomic.

    Raises:
        subprocess.CalledProcessError: metatrain failed.
    """
    described = [] if metadata is None else ["-m", str(metadata)]
    metatrain(["export", checkpoint.name, "-o", str(target), *described], checkpoint.parent)
    return target
