"""Failures that a user can cause, each with a message and, if possible, a hint.

Exit codes of the command line: 0 everything ran, 1 a job failed or a check did not hold, 2 the request itself was wrong,
3 a bug in ncbench, 130 interrupted.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class NcbenchError(Exception):
    """An expected failure. ``message`` says what is wrong with the offending value in it, ``hint`` what to do."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        # Messages of other libraries, which ours end with, may bring their own full stop.
        message = re.sub(r"(?<!\.)([.!?])\.$", r"\1", message)
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
    """The model returned invalid energies, forces or stresses, or did not return."""


class HelperError(NcbenchError):
    """A process that evaluates a part of each batch ended, or could not be started: no fault of a structure."""


class MissingPackageError(NcbenchError):
    """The model family's package is not installed. Names the extra that brings it."""


class WeightsError(NcbenchError):
    """The weights are neither on this machine nor could they be downloaded, or the file has another content."""


class DataError(NcbenchError):
    """A data set's file is neither on this machine nor could it be downloaded, or its digest differs."""


class UntrustedCheckpointError(UsageError):
    """Loading the file could run code from it, and it was not declared trusted."""


class IsolatedEnvironmentError(NcbenchError):
    """The environment of a model family does not exist, could not be created, or does not work."""


class NotDifferentiableError(NcbenchError):
    """Autograd does not reach the positions: Jacobian products need the black-box path."""


class StoreError(NcbenchError):
    """The results folder cannot be used: not writable, full, or holding something newer than this version reads."""


CODE_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""Exceptions of failing model or library code. Others that a calculator or a factory raises are turned into these where it is called."""

REFUSED = (*CODE_ERRORS, ModelError, UnsupportedError)
"""Exceptions of a model that concern one structure; the other structures of the job are measured all the same."""


def error_sentence(error: BaseException) -> str:
    """The message of an error of ours; class and message of others."""
    return str(error) if isinstance(error, NcbenchError) else f"{type(error).__name__}: {error}"


class WeightsWarning(UserWarning):
    """Downloaded weights differ from those that an earlier run used under the same name."""


class StructureWarning(UserWarning):
    """Part of a file is not used, or not as its author may have intended."""


def with_article(name: str) -> str:
    """``a float``, ``an int``: the name of a type in a sentence."""
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def did_you_mean(wrong: str, known: Iterable[str], *, cutoff: float = 0.55) -> str:
    """`` Did you mean 'x'?`` with the nearest known name, or an empty string where none is at least ``cutoff`` alike (0 to 1)."""
    near = difflib.get_close_matches(wrong.lower(), list(known), n=1, cutoff=cutoff)
    return f"Did you mean '{near[0]}'?" if near else ""
