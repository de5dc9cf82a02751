"""Failures a user can cause, each with a sentence to read and, where there is one, a thing to do.

Exit codes of the command line: 0 everything ran, 1 a job failed or a check did not hold, 2 the request itself was wrong,
3 a bug in ncbench, 130 interrupted.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NcbenchError(Exception):
    """An expected failure. ``message`` says what is wrong with the offending value in it, ``hint`` what to do."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class UsageError(NcbenchError):
    """The request cannot be carried out as typed: nothing was run."""

    exit_code = 2


class StructureError(UsageError):
    """A structure that no model could evaluate: not finite, empty, atoms on top of each other."""


class UnsupportedError(NcbenchError):
    """The model cannot do what the job asks (element, force mode, stress). Becomes a row with status ``unsupported``."""


class ModelError(NcbenchError):
    """The model answered with something that is no energy, force or stress of the structure, or did not answer."""


class MissingPackageError(NcbenchError):
    """The model family's package is not installed. Names the extra that brings it."""


class WeightsError(NcbenchError):
    """The weights are neither on this machine nor could they be downloaded, or the file is not what it says."""


class DataError(NcbenchError):
    """A data set's file is neither on this machine nor could it be downloaded, or it is not what its digest says."""


class UntrustedCheckpointError(UsageError):
    """Loading the file could run code from it, and it was not declared trusted."""


class IsolatedEnvironmentError(NcbenchError):
    """The environment that a model family runs in is not there, could not be made, or does not work."""


class NotDifferentiableError(NcbenchError):
    """Autograd does not reach the positions: Jacobian products need the black-box path."""


class StoreError(NcbenchError):
    """The results folder cannot be used: not writable, full, or holding something newer than this version reads."""


class StructureWarning(UserWarning):
    """Something that a file says is not used, or not as its author may have meant it."""


def did_you_mean(wrong: str, known: Iterable[str], *, cutoff: float = 0.55) -> str:
    """`` Did you mean 'x'?`` with the nearest known name, or an empty string where none is at least ``cutoff`` alike (0 to 1)."""
    near = difflib.get_close_matches(wrong.lower(), list(known), n=1, cutoff=cutoff)
    return f"Did you mean '{near[0]}'?" if near else ""
