"""Rows of the tables of relaxations from their results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from ncbench.relaxation.relaxation import Ending, FloatArray, Relaxation, pieces
from ncbench.relaxation.schemas import SCHEMA, TRACE
from ncbench.statistics.intervals import rate_interval
from ncbench.types import NOT_FINITE_AT_START, Case, Status


@dataclass(frozen=True)
class RelaxSet:
    """Structures relaxed under one criterion."""

    name: str
    cases: tuple[Case, ...]
    n_unsupported: int
    n: int
    displacement_A: float
    fmax: float
    max_steps: int
    periodic: bool

    def case(self, start: int) -> Case:
        """The structure of relaxation ``start`` before it is displaced."""
        return self.cases[start % len(self.cases)]


def run_record(group: RelaxSet, optimizer: str, start: int, redrawn: int, result: Relaxation) -> dict[str, Any]:
    """A row of :data:`ncbench.relaxation.schemas.RUNS` with the common columns."""
    case = group.case(start)
    status, reason = Status.OK, ""
    if result.failure:
        status, reason = Status.FAILED, result.failure
    elif result.unusable:
        status, reason = Status.FAILED, NOT_FINITE_AT_START
    elif result.ending is Ending.EXPLODED:
        status, reason = Status.EXPLODED, "diverged: non-finite forces, or an atom moved more than 50 Å"
    return {
        "set": group.name,
        "structure": case.name,
        "n_atoms": len(case.atoms),
        "status": status.value,
        "reason": reason,
        "optimizer": optimizer,
        "start": start,
        "ending": result.ending.value,
        "converged": result.ending is Ending.CONVERGED,
        "steps": result.steps,
        "fmax_end_eV_per_A": _known(result.fmax_trace[-1]),
        "energy_eV": _known(result.energy),
        "fragmented": _fragmented(group, case.atoms, result.positions),
        "redrawn": redrawn,
        "force_calls": result.force_calls,
        "seconds": result.seconds,
    }


def _fragmented(group: RelaxSet, atoms: Atoms, positions: FloatArray) -> bool | None:
    if group.periodic or not np.isfinite(positions).all():
        return None
    ended = atoms.copy()
    ended.positions = positions
    return pieces(ended) > pieces(atoms)


def summary(group: RelaxSet, optimizer: str, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The row of one set and optimiser."""
    successes = [record for record in records if record["converged"]]
    low, high = rate_interval(len(successes), group.n)
    ends = [record["fmax_end_eV_per_A"] for record in records if record["fmax_end_eV_per_A"] is not None]
    sizes = {record["n_atoms"] for record in records}

    begun = {record["structure"] for record in records if record["status"] != Status.FAILED}
    unusable = sorted({record["structure"] for record in records} - begun)
    raised = [record for record in records if record["ending"] == Ending.FAILED]
    reasons = []
    if unusable := [name for name in unusable if name not in {record["structure"] for record in raised}]:
        reasons.append(f"{NOT_FINITE_AT_START} ({', '.join(unusable)})")
    if raised:
        names = ", ".join(dict.fromkeys(record["structure"] for record in raised))
        reasons.append(f"{raised[0]['reason']} ({names})")

    def count(ending: Ending) -> int:
        return sum(record["ending"] == ending for record in records)

    return SCHEMA.row(
        structure=group.cases[0].name if len(group.cases) == 1 else "all",
        n_atoms=sizes.pop() if len(sizes) == 1 else None,
        status=Status.FAILED if reasons else Status.OK,
        reason="; ".join(reasons),
        set=group.name,
        optimizer=optimizer,
        n=group.n,
        n_success=len(successes),
        success_percent=100.0 * len(successes) / group.n,
        success_percent_low=100.0 * low,
        success_percent_high=100.0 * high,
        steps_median=float(np.median([record["steps"] for record in successes])) if successes else None,
        fmax_eV_per_A=group.fmax,
        max_steps=group.max_steps,
        displacement_A=group.displacement_A,
        n_not_converged=count(Ending.NOT_CONVERGED),
        n_exploded=count(Ending.EXPLODED),
        n_fragmented=sum(bool(record["fragmented"]) for record in successes),
        n_redrawn=sum(record["redrawn"] for record in records),
        n_unsupported=group.n_unsupported,
        fmax_end_median_eV_per_A=float(np.median(ends)) if ends else None,
        force_calls=sum(record["force_calls"] for record in records),
        seconds=sum(record["seconds"] for record in records),
    )


def trace_rows(record: dict[str, Any], history: FloatArray) -> list[dict[str, Any]]:
    """Rows of :data:`TRACE` from a relaxation's history [steps + 1, 3]."""
    common = {name: record[name] for name in ("set", "structure", "n_atoms", "optimizer", "start", "status", "reason")}
    return [
        TRACE.row(
            **common,
            step=step,
            force_max_eV_per_A=_known(largest),
            force_rms_eV_per_A=_known(mean),
            energy_eV=_known(energy),
        )
        for step, (largest, mean, energy) in enumerate(history.tolist())
    ]


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
