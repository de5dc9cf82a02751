"""Docstrings of the public names: arguments, shapes, units, errors, and the source of equations."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import ncbench
from ncbench.diagnostics import registry

DELEGATED = ":func:`measure` of"
"""Functions of one diagnostic have the arguments and errors of ``measure``."""
UNITS = re.compile(r"meV|\beV|Å|\bfs\b|\bps\b|\bK\b|\bms\b|cm⁻¹|\bs\b|dimensionless|%|share of|units")
SOURCES = re.compile(r"Bigi, Langer & Ceriotti 2025|:mod:`ncbench\.|\(Bigi")
OF_THE_PAPER = (
    "lambda_of", "work_loop", "nve_drift", "nvt", "npt", "mts", "mts_design", "relax", "timing", "predict_heating", "antisymmetry_loss", "heating_loss",
)  # fmt: skip
"""Functions whose number is defined by an equation or a section of a publication, or of a module here that derives it."""
STRUCTURED = ("lambda_of", "measure", "antisymmetry_loss", "heating_loss")
"""Functions that take or return arrays."""


def functions() -> dict[str, Callable[..., Any]]:
    """Public functions by name."""
    return {name: one for name in ncbench.__all__ if inspect.isfunction(one := getattr(ncbench, name))}


def members() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Public functions, and public methods and properties of public classes."""
    yield from functions().items()
    for name in ncbench.__all__:
        one = getattr(ncbench, name)
        if not inspect.isclass(one):
            continue
        for key, value in vars(one).items():
            function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
            if not key.startswith("_") and inspect.isfunction(function):
                yield f"{name}.{key}", function


MEMBERS = dict(members())


def text_of(function: Callable[..., Any]) -> str:
    return inspect.getdoc(function) or ""


@pytest.mark.parametrize("name", sorted(MEMBERS))
def test_every_argument_is_described(name: str) -> None:
    function = MEMBERS[name]
    text = text_of(function)
    assert text, name
    if DELEGATED in text:
        return
    asked = [one for one in inspect.signature(function).parameters if one not in ("self", "cls")]
    missing = [one for one in asked if not re.search(rf"(?<!\w){one}(?!\w)", text)]
    assert missing == []


@pytest.mark.parametrize("name", sorted(MEMBERS))
def test_errors_that_are_raised_are_described(name: str) -> None:
    function = MEMBERS[name]
    text = text_of(function)
    raises = re.search(r"^\s*raise \w+", inspect.getsource(inspect.unwrap(function)), re.MULTILINE)
    if raises or name in functions():
        assert "Raises" in text or (DELEGATED in text and "errors are the same" in text)


@pytest.mark.parametrize("name", sorted(functions()))
def test_functions_have_units(name: str) -> None:
    assert UNITS.search(text_of(functions()[name]))


@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_equations_have_their_source(name: str) -> None:
    assert SOURCES.search(text_of(functions()[name]))


@pytest.mark.parametrize("name", STRUCTURED)
def test_arrays_have_shapes(name: str) -> None:
    assert re.search(r"\[[^\]]*3\]", text_of(functions()[name]))


def test_every_diagnostic_is_a_function() -> None:
    """``predict`` and ``lambda`` have names of their own in Python."""
    named = {re.search(rf"{DELEGATED} ``([\w-]+)``", text_of(one)) for one in functions().values()}
    known = {match[1] for match in named if match}
    assert known | {"lambda", "predict"} == set(registry.diagnostics())
