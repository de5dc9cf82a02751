"""Arguments of the Python functions held against their annotations, so that a wrong one is one sentence and a single text is never taken for a list of letters."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, get_args, get_origin

import numpy as np

from ncbench.errors import UsageError, did_you_mean
from ncbench.schema import MOST_SEED

P = ParamSpec("P")
R = TypeVar("R")

NAMES: dict[Any, str] = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a path",
}
"""Types that are checked, with their names in messages. Parameters of other types are left to the function."""
PLURALS: Mapping[Any, str] = {
    bool: "True or False",
    int: "whole numbers",
    float: "numbers",
    str: "texts",
    Path: "paths",
}
"""The same in lists."""


class _OtherTypeError(Exception):
    """A value is not of the type."""


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """The function, with arguments of simple types checked against their annotations.

    Where the annotation is a sequence, a single value stands for a list of one, and a single text for one name. The argument ``seed`` is within
    the range of ``--seed``.

    Raises:
        UsageError: when it is called with a value of another type, a seed out of range, or an argument that it does not have or lacks.
    """
    signature = inspect.signature(function)
    simple: dict[str, Any] = {}
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in signature.parameters.values())

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if not simple:
            simple.update(_simple_types(function))
        for name in kwargs:
            if not takes_any and name not in signature.parameters:
                raise UsageError(
                    f"{function.__name__} has no argument '{name}'.",
                    hint=did_you_mean(name, signature.parameters) or f"It has {', '.join(signature.parameters)}.",
                )
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise UsageError(f"{function.__name__}: {error}.") from None
        for name, value in bound.arguments.items():
            if name in simple:
                bound.arguments[name] = _checked(name, value, simple[name])
        return function(*bound.args, **bound.kwargs)

    return call


def _checked(name: str, value: Any, wanted: Any) -> Any:
    try:
        fitted = _fit(value, wanted)
    except _OtherTypeError:
        raise UsageError(f"{name} = {value!r} is not {_described(wanted)}.") from None
    if name == "seed" and fitted is not None and not 0 <= fitted <= MOST_SEED:
        raise UsageError(f"seed = {fitted} is not between 0 and {MOST_SEED}.")
    return fitted


def _simple_types(function: Callable[..., Any]) -> dict[str, Any]:
    """Types by parameter, where they are of :data:`NAMES`, or sequences and unions of these."""
    # The annotation of the return value may name a type that is imported for type checkers alone.
    annotations = {name: hint for name, hint in function.__annotations__.items() if name != "return"}
    hints = typing.get_type_hints(
        types.SimpleNamespace(__annotations__=annotations), inspect.unwrap(function).__globals__
    )
    return {name: hint for name, hint in hints.items() if _is_simple(hint)}


def _is_simple(hint: Any) -> bool:
    if get_origin(hint) in (typing.Union, types.UnionType, Sequence):
        return all(_is_simple(part) for part in get_args(hint))
    return hint in NAMES or hint is type(None)


def _fit(value: Any, wanted: Any) -> Any:
    origin = get_origin(wanted)
    if origin in (typing.Union, types.UnionType):
        for part in get_args(wanted):
            try:
                return _fit(value, part)
            except _OtherTypeError:
                continue
        raise _OtherTypeError
    if origin is Sequence:
        single = isinstance(value, str | Path) or not isinstance(value, Sequence | np.ndarray)
        return [_fit(one, get_args(wanted)[0]) for one in ([value] if single else value)]
    if wanted in (int, float):
        # Booleans count as integers in Python.
        if not isinstance(value, bool | np.bool_) and isinstance(value, Integral if wanted is int else Real):
            return wanted(value)
    elif wanted is type(None):
        if value is None:
            return None
    elif isinstance(value, wanted) or (wanted is bool and isinstance(value, np.bool_)):
        return value
    raise _OtherTypeError


def _described(wanted: Any, names_of: Mapping[Any, str] = NAMES) -> str:
    parts = get_args(wanted) if get_origin(wanted) in (typing.Union, types.UnionType) else (wanted,)
    names = [
        f"a list of {_described(get_args(part)[0], PLURALS)}" if get_origin(part) is Sequence else names_of[part]
        for part in parts
        if part is not type(None)
    ]
    return " or ".join(names)
