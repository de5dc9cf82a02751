"""Time of an epoch of pet-m's two stages, as the table ``training`` that Table 6 is compared with.

    python benchmarks/training/pet_m/times.py         about five minutes on one idle core

Into ``results/training/pet-m``. An epoch is timed over 96 frames, as those of the other recipes, or fewer; no weights are kept.
"""

from __future__ import annotations

import argparse
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
import yaml

from ncbench.md.stopwatch import machine
from ncbench.report.training import TRAINING
from ncbench.store.files import write_atomic
from ncbench.store.tables import csv_bytes, parquet_bytes, table_of

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parents[2] / "results" / "training" / "pet-m"

sys.path[:0] = [str(HERE.parent)]

from curves import parameters  # noqa: E402  (in the folder above, which is no package)
from frames import PARTS, prepare  # noqa: E402
from trainer import TIMED_EPOCHS, TIMED_FRAMES, timed_epoch  # noqa: E402


def stage_options(number: int) -> dict[str, Any]:
    """The options of a stage."""
    content: dict[str, Any] = yaml.safe_load((HERE / f"stage{number}.yaml").read_text(encoding="utf-8"))
    return content


def training_row(work: Path, seconds: dict[int, float], timed: int) -> dict[str, Any]:
    """The row of stage 2, which starts from stage 1."""
    options = stage_options(2)["architecture"]
    epochs = {number: stage_options(number)["architecture"]["training"]["num_epochs"] for number in (1, 2)}
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return TRAINING.row(
        recipe="pet-m, bundled",
        scale="bundled",
        architecture="pet",
        layers=options["model"]["num_gnn_layers"],
        targets="V, f",
        after="stage 1",
        parameters=parameters(work / "timing" / "stage2"),
        epochs=epochs[2],
        n_frames=(work / "train.xyz").read_text(encoding="utf-8").count("Lattice="),
        batch=options["training"]["batch_size"],
        seconds_per_epoch=seconds[2],
        train_s=epochs[2] * seconds[2],
        before_s=epochs[1] * seconds[1],
        threads=torch.get_num_threads(),
        machine=machine(device),
        timed_frames=timed,
        trainer=f"metatrain {version('metatrain')}",
    )


def main() -> None:
    """Time both stages and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=HERE / "work", help="folder for frames and logs")
    parser.add_argument("--out", type=Path, default=RESULTS, help="results folder")
    parser.add_argument("--frames", type=int, default=TIMED_FRAMES, help="frames of a timed epoch")
    parser.add_argument("--epochs", type=int, default=TIMED_EPOCHS, help="timed epochs of each stage")
    asked = parser.parse_args()
    work = asked.work.resolve()
    if not all((work / f"{part}.xyz").is_file() for part in PARTS):
        prepare(work)
    seconds, timed = {}, 0
    for number in (1, 2):
        seconds[number], timed = timed_epoch(
            work, f"stage{number}", stage_options(number), n_frames=asked.frames, n_epochs=asked.epochs
        )
        print(f"stage {number}: {seconds[number]:.1f} s an epoch")
    row = training_row(work, seconds, timed)
    tables = []
    for mode in ("direct", "conservative"):
        common = {"model": "pet-m", "force_mode": mode, "system": "water-dft", "seed": stage_options(2)["seed"]}
        common |= {"dtype": "float32", "device": "cuda" if torch.cuda.is_available() else "cpu"}
        tables.append(table_of(TRAINING, [row], common, ""))
    whole = pa.concat_tables(tables)
    asked.out.mkdir(parents=True, exist_ok=True)
    write_atomic(asked.out / "training.csv", csv_bytes(whole))
    write_atomic(asked.out / "training.parquet", parquet_bytes(whole))


if __name__ == "__main__":
    main()
