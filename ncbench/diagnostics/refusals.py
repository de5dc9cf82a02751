"""Structures for which a model raises an exception, in diagnostics that measure one structure after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ncbench.errors import REFUSED, UnsupportedError, error_sentence
from ncbench.schema import TableSchema
from ncbench.types import Case, Status

if TYPE_CHECKING:
    from ncbench.models.interface import Evaluation, ForceField


class Refusals:
    """Turns exceptions into rows, unless every measurement of a job raises one.

    Args:
        schema: of the main rows.
        expected: number of measurements of the job.
    """

    def __init__(self, schema: TableSchema, expected: int) -> None:
        self._schema, self._expected = schema, expected
        self._errors: list[BaseException] = []

    def row(self, case: Case, error: BaseException, **values: Any) -> dict[str, Any]:
        """A row with a status and the reason, and further columns, which say what was attempted.

        Raises:
            BaseException: the error itself, where the device ran out of memory, or where no measurement of the job was possible: it is then
                an error of the model and not of a structure.
        """
        self._errors.append(error)
        # torch's class is a RuntimeError; this module is imported without torch.
        if type(error).__name__ == "OutOfMemoryError" or len(self._errors) == self._expected:
            raise error
        return self._schema.row(
            structure=case.name,
            n_atoms=len(case.atoms),
            status=Status.UNSUPPORTED if isinstance(error, UnsupportedError) else Status.FAILED,
            reason=error_sentence(error),
            **values,
        )


def evaluated(
    forcefield: ForceField, cases: Sequence[Case], seconds: list[list[float]]
) -> Iterator[tuple[Case, Evaluation | BaseException]]:
    """Energies and forces of a batch; if the model raises an exception, of its halves, and so on down to single structures.

    Args:
        forcefield: the model.
        cases: the batch.
        seconds: receives [wall time in s, structures, atoms] of each call that succeeded.

    Yields:
        each case with its result, or with the exception that it raises alone.
    """
    began = time.perf_counter()
    try:
        results = forcefield.evaluate([case.atoms for case in cases])
    except REFUSED as error:
        # More memory than the device has is no property of a structure.
        if len(cases) == 1 or type(error).__name__ == "OutOfMemoryError":
            yield cases[0], error
            return
        half = (len(cases) + 1) // 2
        yield from evaluated(forcefield, cases[:half], seconds)
        yield from evaluated(forcefield, cases[half:], seconds)
        return
    seconds.append([time.perf_counter() - began, len(cases), sum(len(case.atoms) for case in cases)])
    yield from zip(cases, results, strict=True)
