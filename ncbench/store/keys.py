"""The content key of a job: jobs with equal keys are the same computation, so a finished key is not run again.

The key is a hash of everything that determines the results: the diagnostic and its version, the model and its weights, the exact structures,
settings, seed, precision, kind of device. It is known before a model is loaded and needs no torch.
"""

from __future__ import annotations

import hashlib
import json
import math
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import lru_cache
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from ncbench import __version__
from ncbench.diagnostics import registry
from ncbench.errors import UsageError
from ncbench.models import factories
from ncbench.models.registry import CONSERVATIVE, checkpoint_of, parse_request
from ncbench.options import KEYED_IF_SET, Option
from ncbench.store.files import file_digest
from ncbench.structures.hashing import content_hash
from ncbench.structures.labels import labels_hash
from ncbench.types import ModelRequest

SCHEME = 1
"""Version of this module's key format: raising it invalidates all earlier keys."""

KEY_LENGTH = 20
"""Hexadecimal digits of a key: 80 bits, so that even a million jobs collide with a probability below 1e-12."""


def job_key(
    *,
    diagnostic: str,
    version: int,
    model: ModelRequest,
    system: str,
    structures: Sequence[tuple[str, Atoms]],
    settings: Any,
    seed: int,
    reference: ModelRequest | None = None,
) -> str:
    """The key of a job on named structures; ``reference`` is its second model, if it has one.

    Raises:
        UsageError: a checkpoint file of the request does not exist.
        TypeError: a setting is not a plain value.
    """
    identity: dict[str, Any] = {
        "scheme": SCHEME,
        "diagnostic": [diagnostic, version],
        "model": model_identity(model),
        "system": system,
        "structures": [[name, content_hash(atoms)] for name, atoms in structures],
        "settings": plain(settings),
        "seed": seed,
        "dtype": model.dtype,
        "device": model.device.split(":", 1)[0],
        "options": dict(model.options),
    }
    if diagnostic in registry.diagnostics() and registry.get(diagnostic).reads_labels:
        identity["labels"] = [labels_hash(atoms) for _, atoms in structures]
    if digests := _files_of(settings):
        identity["files"] = digests
    if reference is not None:
        identity["reference"] = [model_identity(reference), reference.dtype, dict(reference.options)]
    return hashlib.sha256(canonical(identity).encode()).hexdigest()[:KEY_LENGTH]


def _files_of(settings: Any) -> dict[str, str]:
    """Digest of every file that a setting names, by the setting."""
    digests = {}
    for name, kind in typing.get_type_hints(type(settings), include_extras=True).items():
        options = [extra for extra in getattr(kind, "__metadata__", ()) if isinstance(extra, Option)]
        if options and options[0].file and (path := getattr(settings, name)):
            digests[name] = _digest_of(Path(path))
    return digests


def canonical(value: Any) -> str:
    """Canonical JSON, one representation per value: names sorted, no spaces, floats by ``repr``."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def plain(value: Any) -> Any:
    """A value in JSON types: dataclasses by field, enums by value, tuples as lists, non-finite floats as text.

    Raises:
        TypeError: the value is of a type whose content cannot be determined.
    """
    if is_dataclass(value) and not isinstance(value, type):
        # A setting that was added later is not part of the key at its default, so that earlier results keep their keys.
        return {
            field.name: plain(getattr(value, field.name))
            for field in fields(value)
            if not (field.metadata.get(KEYED_IF_SET) and getattr(value, field.name) == field.default)
        }
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        # -0.0 and 0.0 are the same request.
        return value + 0.0 if math.isfinite(value) else {"float": str(value)}
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    raise TypeError(f"a {type(value).__name__} cannot be part of a job's key")


def model_identity(request: ModelRequest) -> dict[str, str]:
    """Identity of a model, determined before it is loaded.

    A file is identified by its content, a ``package.module:factory`` by the package's version or its source, a model that ncbench
    contains by ncbench's version and its weights, one that its package contains by the package's version, any other by its name.
    Aliases and default force modes are resolved, so that they do not give a second key.

    Raises:
        UsageError: no such model, or a checkpoint file that does not exist.
    """
    parsed = parse_request(request)
    identity = {"name": parsed.label, "mode": str(parsed.mode or "")}
    if (weights := checkpoint_of(request)) is not None:
        identity["weights"] = _digest_of(weights)
    if parsed.row is not None:
        row = parsed.row
        identity["mode"] = str(parsed.mode or (CONSERVATIVE if CONSERVATIVE in row.modes else row.modes[0]))
        identity["source"] = f"{row.source} {row.sha256}"
        # The version in an isolated environment is pinned by ncbench.
        inside = _version_of(row.package) if row.weights == "in package" else ""
        identity["package"] = inside or f"ncbench=={__version__}"
    if parsed.factory:
        place = parsed.factory.rpartition(":")[0]
        file = factories.file_of(place)
        identity["source"] = _source_of(place) if file is None else _digest_of(file)
    return identity


def model_file_digest(request: ModelRequest) -> str:
    """SHA-256 of the file that a model comes from, weights or Python code; empty for models that are installed.

    Raises:
        UsageError: as :func:`model_identity`.
    """
    if (weights := checkpoint_of(request)) is not None:
        return _digest_of(weights)
    factory = parse_request(request).factory
    file = factories.file_of(factory.rpartition(":")[0]) if factory else None
    return "" if file is None else _digest_of(file)


def _digest_of(path: Path) -> str:
    try:
        stat = path.stat()
        return _cached_digest(path.resolve(), stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise UsageError(f"The checkpoint {path} cannot be read: {error.strerror}.") from error


@lru_cache(maxsize=256)
def _cached_digest(path: Path, size: int, mtime_ns: int) -> str:  # noqa: ARG001 - a changed file is a new entry
    return file_digest(path)


def distributions_of(module: str) -> list[str]:
    """Names of the distributions that a module's top-level package comes from, sorted; empty if it is not installed."""
    return sorted(set(_distributions().get(module.partition(".")[0], [])))


def _version_of(module: str) -> str:
    """``name==version`` of the distribution a module comes from, empty if it is not installed."""
    return " ".join(f"{name}=={metadata.version(name)}" for name in distributions_of(module))


def _source_of(module: str) -> str:
    """Version of the distribution a module comes from; the digest of its source if it is not installed."""
    if version := _version_of(module):
        return version
    top, *inner = module.split(".")
    try:
        # Only the top level: finding a submodule would import its parents.
        spec = util.find_spec(top)
    except ValueError:
        return ""
    if spec is None:
        return ""
    candidates = [Path(folder, *inner).with_suffix(".py") for folder in spec.submodule_search_locations or () if inner]
    candidates += [Path(spec.origin)] if spec.origin is not None else []
    for candidate in candidates:
        if candidate.is_file():
            return _digest_of(candidate)
    return ""


@lru_cache(maxsize=1)
def _distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()
