"""Recognises files of displaced structures with forces, and takes λ from them: rows with errors, and ml-peg's metrics."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ncbench.diagnostics import protocols
from ncbench.diagnostics.base import Shown
from ncbench.diagnostics.protocols import ML_PEG_LAMBDA
from ncbench.errors import UsageError
from ncbench.schema import TableSchema
from ncbench.statistics.format import number
from ncbench.types import Status

SHOW = (
    Shown("λ", "lambda", "lambda_se", "lambda_high", above="above_floor"),
    Shown("verdict", "resolved"),
    Shown("floor", "lambda_floor"),
    Shown("‖J‖ eV/Å²", "jacobian_norm_eV_per_A2"),
    Shown("step Å", "step_A"),
)
_COMMENT_BYTES = 4096


def displaced_among(paths: Sequence[str | Path]) -> bool:
    """Whether the files hold displaced structures, which have ``dof=`` and ``sign=`` in the comment line of the first frame.

    Raises:
        UsageError: some do and some do not.
    """
    kinds = [_is_displaced(Path(path)) for path in paths]
    if any(kinds) and not all(kinds):
        raise UsageError(
            f"'{paths[kinds.index(True)]}' holds displaced structures and '{paths[kinds.index(False)]}' does not.",
            hint="Analyse them apart.",
        )
    return bool(kinds) and all(kinds)


def _is_displaced(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        lines = file.read(_COMMENT_BYTES).split(b"\n", 2)
    return len(lines) > 1 and all(re.search(rb"(^|\s)" + key + rb"=-?\d", lines[1]) for key in (b"dof", b"sign"))


def refuse_options(given: Sequence[str], *, references: bool, observables: bool) -> None:
    """Refuse options of trajectories and logs.

    Raises:
        UsageError: one of them was given.
    """
    named = [*given, *(["reference"] if references else []), *(["observables"] if observables else [])]
    if named:
        raise UsageError(
            f"{', '.join(named)}: no option of displaced structures with forces, from which λ is computed.",
            hint="Leave it out.",
        )


def displaced_rows(paths: Sequence[str | Path]) -> tuple[TableSchema, list[dict[str, Any]]]:
    """The table's schema, and a row for each file.

    Raises:
        UsageError: a file cannot be read, or lacks frames, forces, ``dof`` or ``sign``.
    """
    from ncbench.jacobian.displaced import displaced_row
    from ncbench.jacobian.schemas import DISPLACED

    return DISPLACED, [displaced_row(Path(path)) for path in paths]


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """A sentence: mean and largest λ as ml-peg's metrics, and how many are resolved."""
    values = [row["lambda"] for row in rows if row["status"] == Status.OK]
    if not values:
        return "No file has a λ."
    mean, most = sum(values) / len(values), max(values)
    score = (
        f", score {number(protocols.ml_peg_score([mean, most]))} by {ML_PEG_LAMBDA.name}'s thresholds"
        if len(values) == len(rows)
        else ""
    )
    nonzero = sum(row["resolved"] == "nonzero" for row in rows)
    return f"{len(values)} structure{'' if len(values) == 1 else 's'}: mean λ {number(mean)}, max λ {number(most)}{score}; {nonzero} above the error of rounding and differences."
