"""Lists of jobs from the command line and from TOML suites."""

from __future__ import annotations

import dataclasses
import itertools
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from ncbench.diagnostics import protocols, registry
from ncbench.errors import UsageError, did_you_mean, with_article
from ncbench.schema import MOST_SEED
from ncbench.structures import systems
from ncbench.types import Budget, Job, ModelRequest, Resources, SystemRequest

RUN_KEYS = (
    "diagnostics",
    "models",
    "system",
    "structure",
    "structures",
    "repeat",
    "seeds",
    "dtype",
    "device",
    "settings",
    "budget",
    "reference",
    "vary",
    "budgets",
    "at",
    "resources",
)
"""Keys of a [[run]]. ``resources`` are the resources of each job (``gpu``, ``memory_GB``). ``vary`` gives one job per value of a setting; ``budgets`` lists the budgets that include the run; ``at``
contains, by budget, values that replace the run's own keys (settings are merged)."""


def plan_jobs(
    diagnostics: Iterable[str],
    models: Sequence[ModelRequest],
    system: SystemRequest | None,
    *,
    budget: Budget,
    seeds: Iterable[int] = (0,),
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    reference: ModelRequest | None = None,
    resources: Resources | None = None,
) -> list[Job]:
    """Every diagnostic on every model for every seed, each once; a model's jobs are consecutive so that it is loaded once.

    ``system=None`` stands for each diagnostic's default. ``reference`` is the second model of diagnostics that combine two. ``overrides`` maps a diagnostic to settings that differ from the budget's.

    Raises:
        UsageError: an unknown diagnostic or setting, or an invalid value.
    """
    chosen = []
    for diagnostic in map(registry.get, diagnostics):
        changes = protocols.applied(diagnostic.name, (overrides or {}).get(diagnostic.name, {}))
        of_diagnostic = system or SystemRequest(name=protocols.system_of(changes) or diagnostic.default_system)
        defaults = _with_system_defaults(diagnostic.presets[budget], of_diagnostic, changes)
        chosen.append((diagnostic, of_diagnostic, apply_overrides(defaults, changes, diagnostic.name)))
    seeds = tuple(seeds)
    for seed in seeds:
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MOST_SEED:
            raise UsageError(f"seed {seed!r} is not a whole number between 0 and {MOST_SEED}.")
    jobs = []
    for model in models:
        for diagnostic, of_diagnostic, settings in chosen:
            jobs += [
                Job(
                    diagnostic=diagnostic.name,
                    model=model,
                    system=of_diagnostic,
                    settings=settings,
                    seed=seed,
                    reference=reference,
                    default_structures=diagnostic.default_structures[budget],
                    resources=resources or Resources(),
                )
                for seed in seeds
            ]
    return list(dict.fromkeys(jobs))


SYSTEM_DEFAULTS = ("temperature_K", "timestep_fs")
"""Settings with defaults given by a named system, used unless the request sets them."""


def _with_system_defaults(settings: Any, system: SystemRequest, overrides: Mapping[str, Any]) -> Any:
    """The budget's settings with the named system's temperature and time step, if it has them and they are not overridden."""
    row = systems.systems().get(system.name or "")
    names = {field.name for field in dataclasses.fields(settings)} if dataclasses.is_dataclass(settings) else set()
    if row is None or "timesteps" in overrides:
        names.discard("timestep_fs")
    changes = {
        name: getattr(row, name)
        for name in SYSTEM_DEFAULTS
        if row is not None and name in names - overrides.keys() and getattr(row, name) is not None
    }
    return dataclasses.replace(settings, **changes) if changes else settings


def load_suite(path: Path, budget: Budget | None = None) -> list[Job]:
    """The jobs of a suite, at the budget that it names or at another; a job that several runs request is in it once.

    Raises:
        UsageError: the file is missing or is not TOML, or a table or key is unknown.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"There is no suite '{path}'.", hint="Suites are TOML files such as benchmarks/demo.toml."
        ) from None
    except IsADirectoryError:
        raise UsageError(f"'{path}' is a folder, not a suite.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"'{path}' is not a TOML file: {error}.") from error
    _known(content, ("suite", "run", "structure"), path, "the top level")
    head = content.get("suite", {})
    _known(head, ("name", "budget", "summary", "fills", "observables"), path, "[suite]")
    runs = content.get("run", [])
    if not isinstance(runs, list) or not runs:
        raise UsageError(f"'{path}' holds no [[run]].", hint="Each [[run]] names diagnostics and models.")
    if budget is not None:
        head = {**head, "budget": str(budget)}
    jobs = [job for number, run in enumerate(runs, 1) for job in _jobs_of(run, head, path, f"[[run]] number {number}")]
    return list(dict.fromkeys(jobs))


def _jobs_of(run: Mapping[str, Any], head: Mapping[str, Any], path: Path, where: str) -> list[Job]:
    _known(run, RUN_KEYS, path, where)
    budget = _budget(run.get("budget", head.get("budget", "laptop")), path, where)
    if "budgets" in run and budget not in [_budget(name, path, where) for name in run["budgets"]]:
        return []
    for name, changes in run.get("at", {}).items():
        _budget(name, path, f"{where}, at")
        _known(changes, RUN_KEYS, path, f"{where}, at.{name}")
    run = _at(run, run.get("at", {}).get(budget, {}))
    for key in ("diagnostics", "models"):
        if not isinstance(run.get(key), list) or not run[key]:
            raise UsageError(f"{where} of '{path}' names no {key}.", hint=f'Write {key} = ["…"].')
    settings, vary = run.get("settings", {}), run.get("vary", {})
    for name, changes in (("settings", settings), ("vary", vary)):
        _known(changes, run["diagnostics"], path, f"{where}, {name}")
    system = None
    if "system" in run or "structure" in run:
        if "system" in run and "structure" in run:
            raise UsageError(f"{where} of '{path}' names both a system and a structure file.")
        file = str((path.parent / run["structure"]).resolve()) if "structure" in run else None
        system = SystemRequest(
            name=run.get("system"),
            path=file,
            structures=run.get("structures"),
            repeat=tuple(run.get("repeat", (1, 1, 1))),
        )
    device, dtype = run.get("device", "cpu"), run.get("dtype")
    models = [ModelRequest(spec=spec, device=device, dtype=dtype) for spec in run["models"]]
    reference = ModelRequest(spec=run["reference"], device=device, dtype=dtype) if "reference" in run else None
    try:
        resources = apply_overrides(Resources(), run.get("resources", {}), "resources")
        return [
            job
            for diagnostic in run["diagnostics"]
            for one in _varied(settings.get(diagnostic, {}), vary.get(diagnostic, {}))
            for job in plan_jobs(
                [diagnostic],
                models,
                system,
                budget=budget,
                seeds=run.get("seeds", (0,)),
                overrides={diagnostic: one},
                reference=reference,
                resources=resources,
            )
        ]
    except UsageError as error:
        raise UsageError(f"{where} of '{path}': {error.message}", hint=error.hint) from error


def _varied(settings: Mapping[str, Any], vary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """``settings`` with every combination of the values that ``vary`` lists."""
    lists = [value if isinstance(value, list) else [value] for value in vary.values()]
    return [{**settings, **dict(zip(vary, values, strict=True))} for values in itertools.product(*lists)]


def _at(run: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A run with the changes of a budget: keys replaced, settings and varied values merged per diagnostic."""
    merged = {**run, **changes}
    for key in ("settings", "vary"):
        own, changed = run.get(key, {}), changes.get(key, {})
        merged[key] = {name: {**own.get(name, {}), **changed.get(name, {})} for name in {**own, **changed}}
    return merged


def _budget(text: str, path: Path, where: str) -> Budget:
    try:
        return Budget(text)
    except ValueError as error:
        raise UsageError(f"{where} of '{path}': {error}.", hint=f"Budgets: {', '.join(Budget)}.") from None


def _known(table: Mapping[str, Any], known: Iterable[str], path: Path, where: str) -> None:
    known = tuple(known)
    for key in table:
        if key not in known:
            hint = did_you_mean(key, known) or f"Known here: {', '.join(known)}."
            raise UsageError(f"'{path}' has an unknown key '{key}' in {where}.", hint=hint)


def apply_overrides(settings: Any, overrides: Mapping[str, Any], diagnostic: str) -> Any:
    """``settings`` with some fields changed, each value converted to the field's type.

    Raises:
        UsageError: there is no such field, or the value is invalid.
    """
    if not overrides:
        return settings
    types_ = _types_of(settings.__class__)
    values: dict[str, Any] = {}
    for name, value in overrides.items():
        if name not in types_:
            hint = did_you_mean(name, types_) or f"It has: {', '.join(types_)}."
            raise UsageError(f"{diagnostic} has no setting '{name}'.", hint=hint)
        values[name] = _fit(value, types_[name], f"{diagnostic}'s setting '{name}'")
    return dataclasses.replace(settings, **values)


@lru_cache(maxsize=64)
def _types_of(settings: type) -> Mapping[str, Any]:
    """The types of a settings class, cached because their evaluation is slow and a suite may need them 100,000 times."""
    return typing.get_type_hints(settings)


def _fit(value: Any, wanted: Any, what: str) -> Any:
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _fit(value, next(a for a in arguments if a is not type(None)), what)
    if origin is Literal:
        if value in arguments:
            return value
        hint = did_you_mean(str(value), map(str, arguments)) or f"Choose from {', '.join(map(str, arguments))}."
        raise UsageError(f"{what} cannot be {value!r}.", hint=hint)
    if origin is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(_fit(item, arguments[0], what) for item in items)
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return _fit_enum(value, wanted, what)
    if wanted is bool or isinstance(value, bool):
        if wanted is bool and isinstance(value, bool):
            return value
        raise UsageError(f"{what} cannot be {value!r}.", hint=f"It is {with_article(wanted.__name__)}.")
    # With NumPy's scalars, which are no int or float of Python but for float64.
    if wanted is float and isinstance(value, Real):
        return float(value)
    if wanted is int and isinstance(value, Integral):
        return int(value)
    if isinstance(value, wanted):
        return value
    raise UsageError(f"{what} cannot be {value!r}.", hint=f"It is {with_article(wanted.__name__)}.")


def _fit_enum(value: Any, wanted: type[Enum], what: str) -> Enum:
    try:
        return wanted(value)
    except ValueError:
        known = [str(member.value) for member in wanted]
        hint = did_you_mean(str(value), known) or f"Choose from {', '.join(known)}."
        raise UsageError(f"{what} cannot be {value!r}.", hint=hint) from None
