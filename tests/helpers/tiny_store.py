"""A diagnostic of one number, and a script that writes to a store until it is killed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from ncbench.diagnostics.base import Diagnostic
from ncbench.schema import Column, TableSchema
from ncbench.store.store import Store
from ncbench.types import Budget, Outcome, Status

SCHEMA = TableSchema(
    "tiny",
    1,
    (
        Column("value_eV", "float", "eV", "a number"),
        Column("steps", "int", "", "a count"),
        Column("fine", "bool", "", "a flag"),
    ),
)
SIDE = TableSchema("tiny-series", 1, (Column("time_ps", "float", "ps", "a time"),))


def _never(*_args: Any, **_more: Any) -> Outcome:
    raise AssertionError("the store runs nothing")


TINY = Diagnostic(
    name="tiny",
    version=1,
    summary="",
    settings=dict,
    presets={budget: {} for budget in Budget},
    run=_never,
    cost=lambda settings, n_atoms: 1.0,
    schema=SCHEMA,
    side_schemas={"series": SIDE},
)
COMMON = {"model": "m", "force_mode": "direct", "system": "s", "seed": 0, "dtype": "float64", "device": "cpu"}


def open_store(out: Path) -> Store:
    return Store(out, diagnostics=lambda _command: TINY)


def key(number: int) -> str:
    return f"{number:020x}"


def outcome(number: int, status: Status = Status.OK, series: int = 0) -> Outcome:
    row = {
        "structure": f"#{number}",
        "n_atoms": 3,
        "value_eV": number / 3,
        "steps": number,
        "fine": True,
        "status": status,
    }
    return Outcome([row], {"series": [{"structure": f"#{number}", "time_ps": float(k)} for k in range(series)]})


def put(store: Store, number: int, **more: Any) -> None:
    store.record(key(number), TINY, COMMON, outcome(number, **more), {})


def _write_forever(out: Path, first: int) -> None:
    """Jobs with a checkpoint each, tables after every third; prints which data must survive a kill."""
    store = open_store(out)
    for number in range(first, first + 10_000):
        checkpoint = store.checkpoint(key(number))
        checkpoint.save({"step": number, "positions": np.full((50, 3), float(number))})
        print(f"saved {number}", flush=True)  # noqa: T201 - its word to the test
        put(store, number, series=2)
        print(f"recorded {number}", flush=True)  # noqa: T201 - its word to the test
        if number % 3 == 0:
            store.rebuild_tables("tiny")


def _write_some(out: Path, first: int, count: int) -> None:
    store = open_store(out)
    for number in range(first, first + count):
        put(store, number, series=1)
        store.rebuild_tables("tiny")


if __name__ == "__main__":
    if sys.argv[1] == "forever":
        _write_forever(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        _write_some(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
