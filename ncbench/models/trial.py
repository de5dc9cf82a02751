"""Tests at loading whether autograd gives Jacobian products, and isolates the process from side effects of libraries."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from ase import Atoms

from ncbench.errors import NotDifferentiableError
from ncbench.models.interface import ForceField

FieldT = TypeVar("FieldT", bound=ForceField)
AGREEMENT = {"float32": 0.05, "float64": 1e-3}
"""Largest ‖Ju − Δf/Δu‖ / ‖Ju‖ that rounding and truncation explain; a part of J missed by autograd is larger."""
STEP_A = {"float32": 5e-3, "float64": 1e-4}
"""Step of the differences, as in :mod:`ncbench.models.conformance`."""
_SHAPE = np.array([[0.0, 0.0, 0.0], [1.1, 0.1, 0.0], [-0.3, 1.0, 0.2], [0.2, -0.4, 1.3]])
"""Å; four atoms at bonding distances without symmetry."""


def trial_structure(elements: Sequence[int] | frozenset[int] | None) -> Atoms:
    """Four isolated atoms of the two lightest elements that the model knows."""
    known = sorted(elements or (1, 8))
    return Atoms(numbers=[known[min(1, len(known) - 1)], known[0], known[0], known[0]], positions=_SHAPE)


def with_differentiability_found(forcefield: FieldT, structure: Atoms | None = None) -> FieldT:
    """``forcefield`` with ``card.differentiable`` as measured, not as declared.

    Differentiable means that products with the Jacobian by autograd agree with differences of the forces on a structure of
    four atoms, to :data:`AGREEMENT`. A graph that is cut at some point (detached rotation matrices, reused buffers)
    gives wrong products without an error: only a comparison detects it.
    """
    forcefield.card = replace(forcefield.card, differentiable=True)
    atoms = trial_structure(forcefield.card.elements) if structure is None else structure
    forcefield.card = replace(forcefield.card, differentiable=_agrees(forcefield, atoms))
    return forcefield


def _agrees(forcefield: ForceField, atoms: Atoms) -> bool:
    field, dtype = forcefield.bind([atoms]), forcefield.card.dtype
    positions = field.initial_positions()
    generator = torch.Generator().manual_seed(0)
    draw = torch.randn((2, *positions.shape), generator=generator, dtype=torch.float64).to(positions.device)
    along, against = draw / draw.flatten(1).norm(dim=1)[:, None, None, None] * math.sqrt(len(atoms))
    try:
        linearization = field.linearize(positions)
        forward, backward = linearization.jvp(along), linearization.vjp(against)
    except (RuntimeError, NotImplementedError, NotDifferentiableError):
        # Raised by torch if a graph ends, an operator has no second derivative, or the graph has been freed.
        return False
    step = STEP_A[dtype]
    quotient = (field(positions + step * along).forces - field(positions - step * along).forces) / (2 * step)
    # Forces have a rounding error of about 1e-6 eV/Å in float32, which the quotient divides by the step.
    rounding = 1e3 * float(np.finfo(dtype).eps) / step
    scale = max(float(quotient.norm()), float(forward.norm()))
    same = float((quotient - forward).norm()) <= AGREEMENT[dtype] * scale + rounding
    adjoint = abs(float((against * forward).sum() - (backward * along).sum())) <= AGREEMENT[dtype] * scale + rounding
    return bool(torch.isfinite(forward).all()) and same and adjoint


@contextlib.contextmanager
def quiet_library() -> Iterator[None]:
    """While a library is imported or loads: its output goes to standard error (standard output is for results), its warnings
    are suppressed, and the environment variables, log handlers and precision switches that it sets are restored.
    """
    before, handlers, level = dict(os.environ), logging.root.handlers[:], logging.root.level
    precision, disabled = torch.get_float32_matmul_precision(), logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
        torch.set_float32_matmul_precision(precision)
        for key in os.environ.keys() - before.keys():
            del os.environ[key]
        os.environ.update(before)


@contextlib.contextmanager
def matmul_precision(level: str) -> Iterator[None]:
    """torch's process-wide precision of float32 products (``highest``, ``high``), for the duration of one model call."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(level)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """torch's process-wide dtype of new tensors, for the duration of one model call: library code creates constants of this dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
