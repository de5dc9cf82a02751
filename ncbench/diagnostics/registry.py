"""The table of diagnostics: a row a diagnostic, its module loaded when it is asked for."""

from __future__ import annotations

from importlib import import_module

from ncbench.diagnostics.base import Diagnostic
from ncbench.errors import UsageError, did_you_mean

MODULES = {
    "lambda": "ncbench.diagnostics.lambda_",
    "workloop": "ncbench.diagnostics.workloop",
    "nve-drift": "ncbench.diagnostics.nve_drift",
    "nvt": "ncbench.diagnostics.nvt",
    "consistency": "ncbench.diagnostics.consistency",
    "mts": "ncbench.diagnostics.mts",
    "npt": "ncbench.diagnostics.npt",
    "relax": "ncbench.diagnostics.relax",
    "timing": "ncbench.diagnostics.timing",
    "accuracy": "ncbench.diagnostics.accuracy",
    "evaluate": "ncbench.diagnostics.evaluate",
}
"""Name on the command line → module that defines ``DIAGNOSTIC``."""


def get(name: str) -> Diagnostic:
    """The diagnostic of this name.

    Raises:
        UsageError: there is none.
    """
    if name not in MODULES:
        raise UsageError(
            f"There is no diagnostic '{name}'.", hint=did_you_mean(name, MODULES) or f"There are {', '.join(MODULES)}."
        )
    found = import_module(MODULES[name]).DIAGNOSTIC
    assert isinstance(found, Diagnostic)
    return found


def diagnostics() -> dict[str, Diagnostic]:
    """All of them, in the order of the command line's help."""
    return {name: get(name) for name in MODULES}
