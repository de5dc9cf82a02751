"""Messages between ncbench and a worker: one JSON object per line. Nothing is pickled, so reading a message runs no code.

An array is ``{"__array__": [dtype, shape, base64 of its bytes]}``, which is exact; a floating-point number is
represented exactly by its ``repr``.
"""

from __future__ import annotations

import base64
import json
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np
from ase import Atoms
from ase.constraints import dict2constraint

from ncbench.diagnostics import registry
from ncbench.store.keys import plain
from ncbench.types import Case, Job, Outcome

_ARRAY = "__array__"
_NUMBER = (int, float)
FIELDS: dict[str, dict[str, Any]] = {
    "ready": {"python": str, "pid": int},
    "start": {"total": _NUMBER, "unit": str},
    "update": {"done": _NUMBER, "note": str},
    "warning": {"text": str},
    "run": {"job": dict, "cases": list},
    "check": {"environment": str, "packages": list},
    "refused": {"message": str, "hint": str},
    "checked": {"python": str, "families": list, "versions": dict, "forces": dict},
    "done": {"common": dict, "outcome": dict, "provenance": dict, "traceback": str, "interrupted": bool},
}
"""Kind of message → its required fields. Messages of other kinds may have any fields."""


def encode(kind: str, **content: Any) -> bytes:
    """A message as a line.

    Raises:
        TypeError: an element cannot be represented in JSON.
    """
    return json.dumps({"kind": kind, **content}, default=_as_data, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """The message of a line.

    Raises:
        ValueError: the line is not a message, is truncated, or lacks a required field.
    """
    try:
        message = json.loads(line, object_hook=_from_data)
    except RecursionError as error:
        raise ValueError("not a message: too deep") from error
    if not isinstance(message, dict) or not isinstance(message.get("kind"), str):
        raise ValueError("not a message")  # noqa: TRY004 - of the line, not of an argument
    for name, wanted in FIELDS.get(message["kind"], {}).items():
        value = message.get(name)
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            raise ValueError(f"a message '{message['kind']}' whose {name} is invalid")
    return message


def _as_data(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        content = np.ascontiguousarray(value)
        return {_ARRAY: [content.dtype.str, value.shape, base64.b64encode(content.tobytes()).decode("ascii")]}
    raise TypeError(f"a {type(value).__name__} cannot be sent to another process")


def _from_data(value: dict[str, Any]) -> Any:
    if value.keys() != {_ARRAY}:
        return value
    content = value[_ARRAY]
    if not (isinstance(content, list) and len(content) == 3 and isinstance(content[0], str)):
        raise ValueError("an invalid array")
    dtype, shape, text = content
    try:
        # The number of bytes is checked first: a shape that needs more is refused before memory is allocated.
        return np.frombuffer(base64.b64decode(text, validate=True), dtype=np.dtype(dtype)).reshape(shape).copy()
    except (TypeError, OverflowError, SyntaxError, MemoryError) as error:
        raise ValueError(f"an invalid array: {error}") from error


def job_content(job: Job) -> Any:
    """A job as plain data."""
    return plain(job)


def job_from(content: Mapping[str, Any]) -> Job:
    """The inverse of :func:`job_content`."""
    settings = rebuilt(registry.get(content["diagnostic"]).settings, content["settings"])
    job = rebuilt(Job, {**content, "settings": None})
    assert isinstance(job, Job)
    return replace(job, settings=settings)


def case_content(case: Case) -> dict[str, Any]:
    """A structure with everything that results can depend on; other entries of ``info`` are dropped."""
    atoms = case.atoms
    return {
        "name": case.name,
        "arrays": dict(atoms.arrays),
        "cell": np.asarray(atoms.cell),
        "pbc": atoms.pbc,
        "info": {key: value for key, value in atoms.info.items() if isinstance(key, str) and _is_data(value)},
        "constraints": [constraint.todict() for constraint in atoms.constraints],
    }


def case_from(content: Mapping[str, Any]) -> Case:
    """The inverse of :func:`case_content`."""
    arrays = dict(content["arrays"])
    atoms = Atoms(
        numbers=arrays.pop("numbers"), positions=arrays.pop("positions"), cell=content["cell"], pbc=content["pbc"]
    )
    for name, values in arrays.items():
        atoms.set_array(name, values)
    atoms.info.update(content["info"])
    atoms.set_constraint([dict2constraint(kept) for kept in content["constraints"]])
    return Case(content["name"], atoms)


def _is_data(value: Any) -> bool:
    try:
        json.dumps(value, default=_as_data)
    except (TypeError, ValueError):
        return False
    return True


def outcome_content(outcome: Outcome) -> dict[str, Any]:
    """Rows as plain data."""
    return {"rows": outcome.rows, "side": outcome.side}


def outcome_from(content: Mapping[str, Any]) -> Outcome:
    """The inverse of :func:`outcome_content`; arrays are restored as arrays, tuples become lists."""
    return Outcome(rows=list(content["rows"]), side=dict(content["side"]))


def rebuilt(wanted: Any, value: Any) -> Any:
    """The inverse of :func:`ncbench.store.keys.plain` for a given type.

    Raises:
        TypeError: the value does not fit the type.
    """
    origin, arguments = get_origin(wanted), get_args(wanted)
    if wanted is Any:
        return value
    if wanted is None or wanted is type(None):
        if value is None:
            return None
        raise TypeError(f"{value!r} is not None")
    if origin in (Union, types.UnionType):
        return _first_that_fits(arguments, value)
    if origin is Literal:
        if value in arguments:
            return value
        raise TypeError(f"{value!r} is not one of {arguments}")
    if isinstance(wanted, type) and is_dataclass(wanted):
        hints = typing.get_type_hints(wanted)
        return wanted(**{f.name: rebuilt(hints[f.name], value[f.name]) for f in fields(wanted) if f.name in value})
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return wanted(value)
    if origin is tuple and isinstance(value, list):
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(rebuilt(kind, item) for kind, item in zip(kinds, value, strict=True))
    if isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, dict):
        return {key: rebuilt(arguments[1], item) for key, item in value.items()}
    if isinstance(origin, type) and issubclass(origin, Sequence) and isinstance(value, list):
        return [rebuilt(arguments[0], item) for item in value]
    return _scalar(wanted, value)


def _first_that_fits(kinds: Sequence[Any], value: Any) -> Any:
    for kind in kinds:
        try:
            return rebuilt(kind, value)
        except (TypeError, ValueError, KeyError, AttributeError):
            continue
    raise TypeError(f"{value!r} is not one of {kinds}")


def _scalar(wanted: Any, value: Any) -> Any:
    if wanted is float:
        if isinstance(value, dict):
            return float(value["float"])
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    elif wanted is int and isinstance(value, bool):
        pass
    elif isinstance(wanted, type) and isinstance(value, wanted):
        return value
    raise TypeError(f"{value!r} is not of type {wanted}")
