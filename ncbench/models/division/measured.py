"""Measurement, on this machine, of whether processes of one thread are faster than threads of one process; kept in the folder of downloads.

Every number is measured once: the same command then divides its batches alike each time. Removing the file :data:`RECORD` there measures anew.
"""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from ase import Atoms

from ncbench import __version__
from ncbench.cache_folder import cache_dir
from ncbench.models.division.divided import DividedForceField
from ncbench.models.interface import ForceField, ModelCard

RECORD = "processes.json"
Kind = Literal["forces", "products"]
BATCH_ATOMS = 256
"""Largest number of atoms in one call of one process: the default of dynamics on a CPU."""
WARM_UP_CALLS = 2
"""TorchScript optimises a model in its first two calls."""
LEAST_ROUNDS, MOST_ROUNDS, ENOUGH_S = 3, 15, 2.0
"""Rounds of the comparison, in turn: after the first three, no further one begins when two seconds have passed."""


@dataclass(frozen=True)
class Times:
    """What has been measured of one model on structures of one size."""

    one_s: float
    """Time of one force call or product of one structure with all threads, s."""
    faster: float | None = None
    """Time with all threads over the time of the processes, for the same work; ``None`` if it was not measured."""
    start_s: float | None = None
    """Time until the processes were ready, s."""


def copies_of(n_atoms: int, items: int, processes: int) -> int:
    """Structures that each process gets in one batch: of ``items`` that are ready at the same time, at most :data:`BATCH_ATOMS` atoms."""
    return max(1, min(items // processes, BATCH_ATOMS // n_atoms))


def key_of(card: ModelCard, kind: Kind, n_atoms: int, copies: int, processes: int) -> str:
    """Name of a measurement: the machine, the model and the size of the work of a process, in powers of two."""
    size = round(math.log2(max(1, n_atoms * copies)))
    parts = (
        _processor(),
        f"{torch.get_num_threads()} threads",
        f"{processes} processes",
        f"torch {torch.__version__}",
        f"ncbench {__version__}",
        card.label,
        card.checkpoint_sha256[:16],
        card.dtype,
        *(f"{name}={value}" for name, value in sorted(card.options.items())),
        kind,
        f"about {2**size} atoms",
    )
    return ", ".join(part for part in parts if part)


def known(key: str) -> Times | None:
    """The recorded measurement; ``None`` if there is none."""
    try:
        return Times(**_record()[key])
    except (KeyError, TypeError):
        return None


def keep(key: str, times: Times) -> None:
    """Record a measurement. A folder that cannot be written only costs a new measurement the next time."""
    path = cache_dir() / RECORD
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Several runs may write at the same time.
        own = path.with_name(f"{path.name}.{os.getpid()}")
        own.write_text(json.dumps({**_record(), key: asdict(times)}, indent=1, sort_keys=True), encoding="utf-8")
        own.replace(path)


def seconds_of_one(forcefield: ForceField, atoms: Atoms, kind: Kind) -> float:
    """Time of one force call or Jacobian product of one structure with the threads of this process, s."""
    work = _work(forcefield, atoms, 1, kind)
    for _ in range(WARM_UP_CALLS):
        work()
    return _seconds(work)


def times_faster(divided: DividedForceField, atoms: Atoms, kind: Kind, copies: int) -> float:
    """Time of the whole model with all threads over that of the processes, for ``copies`` structures per process: the median of rounds in turn."""
    count = copies * divided.card.processes
    in_one_call = min(count, max(1, BATCH_ATOMS // len(atoms)))
    whole, shared = _work(divided.whole, atoms, in_one_call, kind), _work(divided, atoms, count, kind)
    # The whole model has been called before, by :func:`seconds_of_one`, and the helpers' not.
    whole()
    for _ in range(WARM_UP_CALLS):
        shared()
    ratios: list[float] = []
    began = time.perf_counter()
    while len(ratios) < LEAST_ROUNDS or (len(ratios) < MOST_ROUNDS and time.perf_counter() - began < ENOUGH_S):
        ratios.append(count / in_one_call * _seconds(whole) / _seconds(shared))
    return statistics.median(ratios)


def _work(forcefield: ForceField, atoms: Atoms, copies: int, kind: Kind) -> Callable[[], object]:
    field = forcefield.bind([atoms] * copies)
    positions = field.initial_positions()
    if kind == "products":
        linearization = field.linearize(positions)
        vectors = torch.ones_like(linearization.forces)
        return lambda: linearization.vjp(vectors)
    moves = iter(range(10**9))
    # Shifted rigidly, since a model may keep the result for unchanged positions.
    return lambda: field(positions + 1.0e-4 * next(moves))


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _record() -> dict[str, dict[str, Any]]:
    try:
        record = json.loads((cache_dir() / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _processor() -> str:
    """Of this machine: a cache folder may be shared by several."""
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as info:  # noqa: PTH123 - read in lines
        for line in info:
            if line.lower().startswith("model name"):
                return f"{line.partition(':')[2].strip()}, {os.cpu_count()} cores"
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
