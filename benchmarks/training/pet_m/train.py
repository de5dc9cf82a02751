"""Train pet-m: prepare, stage 1, stage 2, export, evaluate on the held-out block, put the export where ncbench finds it.

    python benchmarks/training/pet_m/train.py            everything; `make train-pet-m` does this
    python benchmarks/training/pet_m/train.py --smoke    four frames, one epoch a stage: does the recipe run?

A stage whose ``model.ckpt`` is there is not repeated, and an interrupted one continues from its last checkpoint. Needs the group
``train`` (metatrain).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
WEIGHTS = HERE.parents[2] / "ncbench" / "forcefields" / "weights" / "pet-m.pt"
LARGEST_MB = 6.0
"""The repository carries no larger file of weights."""

sys.path.insert(0, str(HERE))

from evaluate import evaluate  # noqa: E402  (beside this file, which is a script and no package)
from prepare import prepare  # noqa: E402


def metatrain(arguments: list[str], folder: Path) -> None:
    """Run metatrain in ``folder``; its messages go where ours go."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "metatrain", *arguments], cwd=folder, check=True)


def stage(number: int, work: Path, overrides: list[str]) -> Path:
    """Train one stage, or go on with it; returns its checkpoint."""
    folder = work / f"stage{number}"
    done = folder / "model.ckpt"
    if done.is_file():
        print(f"stage {number} is done")
        return done
    options = folder / "options.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(HERE / f"stage{number}.yaml", options)
    begun = ["--restart", "auto"] if any(folder.glob("outputs/*/*/model_*.ckpt")) else []
    metatrain(["train", options.name, *begun, *(part for text in overrides for part in ("-r", text))], folder)
    return done


def export(checkpoint: Path, target: Path) -> Path:
    """Export for metatomic.

    Raises:
        SystemExit: the file is too large for the repository.
    """
    metatrain(["export", checkpoint.name, "-o", str(target), "-m", str(HERE / "metadata.yaml")], checkpoint.parent)
    size = target.stat().st_size / 1e6
    if size > LARGEST_MB:
        sys.exit(f"{target.name} has {size:.1f} MB, more than {LARGEST_MB:g}.")
    return target


def main() -> None:
    """Do all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=HERE / "work", help="folder for frames, checkpoints and logs")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for errors.csv and learning_curves.csv")
    parser.add_argument("--smoke", action="store_true", help="four frames, one epoch a stage; installs nothing")
    asked = parser.parse_args()
    work = (asked.work / "smoke" if asked.smoke else asked.work).resolve()
    out = work if asked.smoke else asked.out
    prepare(work, limit=4 if asked.smoke else None)
    overrides = ["architecture.training.num_epochs=1"] if asked.smoke else []
    stage(1, work, overrides)
    model = export(stage(2, work, overrides), work / "pet-m.pt")
    print(evaluate(model, work, out).to_string(index=False))
    if not asked.smoke:
        WEIGHTS.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(model, WEIGHTS)
        print(f"copied to {WEIGHTS.relative_to(HERE.parents[2])}")


if __name__ == "__main__":
    main()
