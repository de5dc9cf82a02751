"""Train pet-m: prepare, stage 1, stage 2, export, evaluate on the held-out block, copy the export into the package.

    python benchmarks/training/pet_m/train.py            everything; `make train-pet-m` does this
    python benchmarks/training/pet_m/train.py --smoke    four frames, one epoch per stage: test of the recipe

A stage with an existing ``model.ckpt`` is not repeated, and an interrupted one continues from its last checkpoint. Needs the group
``train`` (metatrain).
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
WEIGHTS = HERE.parents[2] / "ncbench" / "models" / "weights" / "pet-m.pt"
LARGEST_MB = 6.0
"""Maximum size of a weights file in the repository, MB."""

sys.path[:0] = [str(HERE), str(HERE.parent)]

from evaluate import evaluate  # noqa: E402  (beside this file, which is a script and no package)
from frames import prepare  # noqa: E402
from trainer import export, train  # noqa: E402


def stage(number: int, work: Path, overrides: list[str]) -> Path:
    """Train one stage, or resume it; returns its checkpoint."""
    return train(work / f"stage{number}", (HERE / f"stage{number}.yaml").read_text(encoding="utf-8"), overrides)


def small_enough(model: Path) -> Path:
    """The same file.

    Raises:
        SystemExit: it is too large for the repository.
    """
    size = model.stat().st_size / 1e6
    if size > LARGEST_MB:
        sys.exit(f"{model.name} has {size:.1f} MB, more than {LARGEST_MB:g}.")
    return model


def main() -> None:
    """Run all steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=HERE / "work", help="folder for frames, checkpoints and logs")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for errors.csv and learning_curves.csv")
    parser.add_argument("--smoke", action="store_true", help="four frames, one epoch per stage; installs nothing")
    asked = parser.parse_args()
    work = (asked.work / "smoke" if asked.smoke else asked.work).resolve()
    out = work if asked.smoke else asked.out
    prepare(work, limit=4 if asked.smoke else None)
    overrides = ["architecture.training.num_epochs=1"] if asked.smoke else []
    stage(1, work, overrides)
    model = small_enough(export(stage(2, work, overrides), work / "pet-m.pt", HERE / "metadata.yaml"))
    print(evaluate(model, work, out).to_string(index=False))
    if not asked.smoke:
        WEIGHTS.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(model, WEIGHTS)
        print(f"copied to {WEIGHTS.relative_to(HERE.parents[2])}")


if __name__ == "__main__":
    main()
