"""λ of a model on one structure or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, overload

import numpy as np
import torch
from ase import Atoms

from ncbench.api.any_model import device_name, dtype_name, forcefield_of, nothing_changed, structures_of
from ncbench.api.arguments import checked
from ncbench.api.outside import Silent
from ncbench.api.plots import Plot
from ncbench.errors import UnsupportedError, UsageError
from ncbench.jacobian.one_structure import measure_case
from ncbench.jacobian.settings import LambdaSettings, Method
from ncbench.report.figures.intervals import Interval, draw_intervals
from ncbench.types import Case, Status

Resolved = Literal["nonzero", "gradient", "unresolved"]


@dataclass(frozen=True)
class LambdaResult:
    """λ of one structure. ``float(result)`` is its value."""

    value: float
    """λ = ‖(J − Jᵀ)/2‖/‖J‖, 0 for a gradient."""
    standard_error: float
    """Over probes (stochastic), numerical otherwise."""
    low: float
    high: float
    """95 % interval, asymmetric over probes."""
    floor: float
    """λ that rounding, and truncation of differences, would give for conservative forces."""
    method: str
    """The method used."""
    probes: int
    """Random probes drawn; 0 for the other methods."""
    force_calls: int
    products: int
    """Jacobian products."""
    seconds: float
    resolved: Resolved
    """``nonzero``: above the floor by three standard errors; ``gradient``: upper end of the interval below three floors and 4e-4; else ``unresolved``."""
    note: str = ""
    """What the model could not do as it claimed, and what was done instead."""

    @property
    def above_floor(self) -> bool:
        """The forces are shown not to be a gradient."""
        return self.resolved == "nonzero"

    def __float__(self) -> float:
        return self.value

    def plot(self, *others: LambdaResult, labels: Sequence[str] = ()) -> Plot:
        """λ with its 95 % interval on a logarithmic axis, above a hatched bar that ends at its floor.

        Args:
            others: further results, drawn below.
            labels: one for each result; by default the methods, numbered where there are several.

        Raises:
            UsageError: another number of labels than of results.
        """
        results = (self, *others)
        names = list(labels) or [
            one.method if not others else f"{number}: {one.method}" for number, one in enumerate(results, 1)
        ]
        if len(names) != len(results):
            raise UsageError(f"{len(names)} labels were given for {len(results)} results.")
        shown = [
            Interval(name, one.value, one.low, one.high, floor=one.floor)
            for name, one in zip(names, results, strict=True)
        ]
        return Plot("lambda", "λ and its floor", partial(draw_intervals, shown, axis="λ", logarithmic=True))


@overload
def lambda_of(
    calculator_or_model: object,
    atoms: Atoms,
    method: Method = ...,
    target_error: float | None = ...,
    *,
    probes: int = ...,
    seed: int = ...,
    step_A: float | None = ...,
    batch: int | None = ...,
    device: str | torch.device | None = ...,
    dtype: str | torch.dtype | None = ...,
) -> LambdaResult: ...


@overload
def lambda_of(
    calculator_or_model: object,
    atoms: Sequence[Atoms],
    method: Method = ...,
    target_error: float | None = ...,
    *,
    probes: int = ...,
    seed: int = ...,
    step_A: float | None = ...,
    batch: int | None = ...,
    device: str | torch.device | None = ...,
    dtype: str | torch.dtype | None = ...,
) -> list[LambdaResult]: ...


@checked
def lambda_of(
    calculator_or_model: object,
    atoms: Atoms | Sequence[Atoms],
    method: Method = "stochastic",
    target_error: float | None = 0.03,
    *,
    probes: int = 16,
    seed: int = 0,
    step_A: float | None = None,
    batch: int | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
) -> LambdaResult | list[LambdaResult]:
    """λ, the antisymmetric share of the force Jacobian of one structure or of each of several (Bigi, Langer & Ceriotti 2025, Eq. 7).

    Random state, grad mode, default dtype, the train or eval mode of modules and gradients of parameters are as before when it returns.
    A module is measured in eval mode.

    Args:
        calculator_or_model: an ASE calculator; what ``--model`` takes, as a string; a loaded force field of ncbench; or any callable, a
            ``torch.nn.Module`` among them, from positions [N, 3] (Å) to forces [N, 3] (eV/Å) by torch operations, with species and
            cell bound into it (``lambda x: model(x, species, cell)``). Of the last, autograd must reach the positions.
        atoms: N atoms, or a sequence of structures; a list of results is returned for a sequence. A string names a model for them; a
            callable sees their positions alone.
        method: as ``--method``.
        target_error: relative standard error at which random probes stop; at most 16 × ``probes`` are drawn. ``None`` draws ``probes``.
        probes: random probes; at least 8 by Jacobian products, and 16 by differences, are drawn.
        seed: of the probes: the same seed gives the same number.
        step_A: central-difference step, Å, where differences are made; found for the model by default.
        batch: copies of the structure in one model call; fitted to the structure by default.
        device: of a model named by a string, or of the positions that a callable is given (by default where a module's parameters are).
        dtype: arithmetic of a named model, or dtype of the positions that a callable is given (by default that of a module's parameters,
            else float64); a name or a ``torch.dtype``.

    Raises:
        UsageError: none of the above; a request that cannot be met.
        NotDifferentiableError: method exact or coloured, and autograd does not reach the positions, or misses part of them.
        StructureError: a structure no model could evaluate: no atoms, not finite, atoms on top of each other.
        UnsupportedError: an element the model does not know; a Jacobian that is zero, not finite or not resolved, for which λ is not defined.
    """
    structures = structures_of(atoms)
    settings = LambdaSettings(
        method=method, probes=probes, target_error=target_error, step_A=step_A, batch=batch, sibling_floor=False
    )
    with nothing_changed(calculator_or_model):
        results = [
            _one(
                calculator_or_model, one, settings, np.random.default_rng(seed), device_name(device), dtype_name(dtype)
            )
            for one in structures
        ]
    return results[0] if isinstance(atoms, Atoms) else results


def _one(
    model: object,
    atoms: Atoms,
    settings: LambdaSettings,
    rng: np.random.Generator,
    device: str | None,
    dtype: str | None,
) -> LambdaResult:
    forcefield = forcefield_of(model, atoms, device=device, dtype=dtype)
    row, _ = measure_case(forcefield, Case("atoms", atoms), settings, rng, Silent())
    if row["status"] != Status.OK:
        raise UnsupportedError(f"{forcefield.card.label}: {row['reason']}")
    return LambdaResult(
        value=row["lambda"],
        standard_error=row["lambda_se"],
        low=row["lambda_low"],
        high=row["lambda_high"],
        floor=row["lambda_floor"],
        method=row["method"],
        probes=row["probes"] or 0,
        force_calls=row["force_calls"],
        products=row["products"],
        seconds=row["seconds"],
        resolved=row["resolved"],
        note=row["note"],
    )
