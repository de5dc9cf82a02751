"""Learning curves from metatrain's logs: errors and times of every epoch."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pandas as pd

_LINE = re.compile(r"\[(?P<time>[\d-]+ [\d:]+)\]\[INFO\] - (?:Starting training|Epoch:\s*(?P<epoch>\d+))")
_PARAMETERS = re.compile(r"\(actual number: (\d+)\)")


def learning_curve(folder: Path) -> pd.DataFrame:
    """Every epoch of a training run (``outputs/*/*/train.csv`` and ``train.log`` in ``folder``), units in the column names.

    ``epoch_s`` is the wall time of the epoch with its validation, to the second of the log's stamps, ``train_s`` their sum so far. A run that
    was interrupted has one log per start; of repeated epochs the last counts.

    Raises:
        FileNotFoundError: there is no training run.
    """
    frames = []
    for log in sorted(folder.glob("outputs/*/*/train.csv")):
        frame = pd.read_csv(log, header=[0, 1], skipinitialspace=True)
        frame.columns = [_column(name, unit) for name, unit in frame.columns]
        frame["epoch_s"] = frame["epoch"].map(epoch_seconds(log.with_suffix(".log")))
        frames.append(frame)
    if not frames:
        raise FileNotFoundError(f"{folder} holds no training run")
    whole = pd.concat(frames).drop_duplicates("epoch", keep="last").sort_values("epoch", ignore_index=True)
    return whole.assign(train_s=whole["epoch_s"].cumsum())


def epoch_seconds(log: Path) -> dict[int, float]:
    """Wall time of each logged epoch, from one line to the next; if every tenth is logged, a tenth of that."""
    seconds: dict[int, float] = {}
    before: tuple[datetime, int] | None = None
    for line in log.read_text(encoding="utf-8").splitlines() if log.is_file() else []:
        match = _LINE.match(line)
        if match is None:
            continue
        # The stamps are local times without zone; only differences are used.
        now = datetime.strptime(match["time"], "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007
        epoch = None if match["epoch"] is None else int(match["epoch"])
        if epoch is not None and before is not None:
            first = epoch if before[1] < 0 else before[1] + 1
            each = (now - before[0]).total_seconds() / (epoch - first + 1)
            seconds |= dict.fromkeys(range(first, epoch + 1), each)
        before = (now, -1 if epoch is None else epoch)
    return seconds


def parameters(folder: Path) -> int:
    """Number of the model's parameters.

    Raises:
        ValueError: no log contains it.
    """
    for log in sorted(folder.glob("outputs/*/*/train.log")):
        match = _PARAMETERS.search(log.read_text(encoding="utf-8"))
        if match is not None:
            return int(match[1])
    raise ValueError(f"no log in {folder} contains the number of parameters")


def _column(name: str, unit: str) -> str:
    plain = name.lower().replace(" (per atom)", "").replace(" ", "_")
    ending = "" if unit.startswith("Unnamed") or not unit.strip() else "_" + unit.strip().replace("/A", "_per_A")
    # "(per atom)" in the log says how the energy was divided; forces are an atom's anyway.
    return plain + ending + ("_per_atom" if "(per atom)" in name and "energy" in name else "")
