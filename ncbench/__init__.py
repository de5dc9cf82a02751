"""How far the forces of a machine-learned interatomic potential are from a gradient, and what that does to simulations.

Importing this package loads neither torch nor ASE: the command line starts fast and reports start without either.
:func:`lambda_of`, :func:`predict_heating` and :func:`antisymmetry_loss` are loaded when they are first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ncbench.api import HeatingResult, LambdaResult, antisymmetry_loss, lambda_of, predict_heating

__version__ = "0.1.0"
__all__ = ["HeatingResult", "LambdaResult", "__version__", "antisymmetry_loss", "lambda_of", "predict_heating"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from ncbench import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
