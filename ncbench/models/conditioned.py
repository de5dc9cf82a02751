"""Charge and spin for ASE calculators that read them from ``atoms.info``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

CalculatorT = TypeVar("CalculatorT")


def with_info(calculator: CalculatorT, values: Mapping[str, float]) -> CalculatorT:
    """The calculator, which from now on finds ``values`` in ``info`` of the structures that it is given.

    They are put into a copy: the caller's structure stays as it is, and what it declares itself is not read.
    """
    if not values:
        return calculator
    handle: Any = calculator
    own = handle.calculate

    def calculate(atoms: Any = None, properties: Any = None, system_changes: Any = ("positions",)) -> None:
        conditioned = atoms.copy()
        conditioned.info.update(values)
        own(conditioned, properties, system_changes)
        # The structure that the next one is compared with: without the values, as the caller's are.
        handle.atoms = atoms.copy()

    handle.calculate = calculate
    return calculator
