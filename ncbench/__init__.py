"""How far the forces of a machine-learned interatomic potential are from a gradient, and what that does to simulations.

Importing this package loads neither torch nor ASE: the command line starts fast and reports start without either.
The functions of :mod:`ncbench.api` (:func:`lambda_of`, :func:`nve_drift`, :func:`load_results` and others) are loaded when they are first used.
"""

# ruff: noqa: F405
# The names come by the star, so that they are listed once here and once in ncbench.api.

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ncbench.api import *  # noqa: F403  # for type checkers alone

__version__ = "0.1.0"
__all__ = [
    "Analysis",
    "Assessment",
    "CheckResult",
    "HeatingBands",
    "HeatingResult",
    "LambdaResult",
    "LoadedResults",
    "Measurement",
    "Plot",
    "__version__",
    "accuracy",
    "analyse",
    "antisymmetry_loss",
    "assess",
    "check",
    "compare_engines",
    "consistency",
    "evaluate",
    "heating_loss",
    "lambda_of",
    "load_results",
    "measure",
    "mts",
    "mts_design",
    "npt",
    "nve_drift",
    "nvt",
    "phonon_smoothness",
    "predict_heating",
    "relax",
    "timing",
    "work_loop",
]


class _Package(ModuleType):
    """This package: the functions ``assess`` and ``check`` are its attributes, not the packages of the same names.

    When ``ncbench.assess`` is imported, Python would bind the package to the attribute. Import from the packages with ``from ncbench.assess.… import``.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name in __all__:
        from importlib import import_module

        return getattr(import_module("ncbench.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
