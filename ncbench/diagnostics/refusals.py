"""Structures for which a model raises an exception, in diagnostics that measure one structure after the other."""

from __future__ import annotations

from typing import Any

from ncbench.errors import UnsupportedError, error_sentence
from ncbench.schema import TableSchema
from ncbench.types import Case, Status


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
