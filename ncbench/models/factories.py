"""Factories of ASE calculators: ``module:function`` and ``path/to/file.py:function``, found without importing them, and imported."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from ncbench.errors import UsageError, did_you_mean
from ncbench.models.row import importable

_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def split(spec: str) -> tuple[str, str] | None:
    """``(module or file, function)`` if the text has the form of a factory, else ``None``. Only the text is examined."""
    place, separator, function = spec.rpartition(":")
    if not separator or not function.isidentifier():
        return None
    return (place, function) if place.endswith(".py") or _MODULE.fullmatch(place) else None


def exists(place: str) -> bool:
    """Whether the file or module exists: installed, on ``PYTHONPATH``, or in the working folder. Nothing is imported."""
    if place.endswith(".py"):
        return Path(place).expanduser().is_file()
    try:
        return importable(place) or file_of(place) is not None
    except ValueError:
        # Raised by importlib for a module of this process without a specification, such as __main__.
        return False


def file_of(place: str) -> Path | None:
    """The source file of a factory that is not installed: the file named, or the module's in the working folder."""
    if place.endswith(".py"):
        return Path(place).expanduser()
    try:
        if importable(place):
            return None
    except ValueError:
        return None
    inside = Path(*place.split("."))
    return next((file for file in (inside.with_suffix(".py"), inside / "__init__.py") if file.is_file()), None)


def anywhere(spec: str) -> str:
    """``spec`` with an absolute path in place of a file's relative one, so that it is valid in any working folder."""
    place, _, name = spec.rpartition(":")
    file = file_of(place)
    return spec if file is None else f"{file.absolute()}:{name}"


def factory(spec: str) -> Callable[[], Any]:
    """Import the module of ``spec`` and return its function.

    Modules are searched on ``sys.path`` and then in the working folder. The folder of a file is added at the end of
    ``sys.path``, so that modules next to it can be imported.

    Raises:
        UsageError: the module or the function does not exist, or the import fails.
    """
    place, _, name = spec.rpartition(":")
    try:
        module = _file(place) if place.endswith(".py") else _module(place)
    except (ImportError, SyntaxError, OSError) as error:
        raise UsageError(
            f"The module '{place}' of --model {spec} cannot be imported: {error}.",
            hint="It is searched on Python's path and in the working folder: install it, set PYTHONPATH, or name "
            "its file, as in ./calculator.py:make.",
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        if function is not None:
            raise UsageError(
                f"The module '{place}' has no function '{name}', but a {type(function).__name__} of that name.",
                hint=f"Write a function that returns it: def make(): return {name}.",
            )
        public = [known for known, value in vars(module).items() if callable(value) and not known.startswith("_")]
        raise UsageError(f"The module '{place}' has no function '{name}'.", hint=did_you_mean(name, public))
    made: Callable[[], Any] = function
    return made


def _module(place: str) -> ModuleType:
    if file_of(place) is not None:
        _importable(Path.cwd())
    return importlib.import_module(place)


def _file(place: str) -> ModuleType:
    """One module per file: two files of the same name are two modules, and each file is executed once."""
    path = Path(place).expanduser().resolve()
    name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} is not a Python module")
    module = importlib.util.module_from_spec(spec)
    _importable(path.parent)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _importable(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
        importlib.invalidate_caches()
