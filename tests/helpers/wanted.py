"""The runs that fill all cells of a table of the paper: diagnostics with settings, for the planner.

Nothing is run here, and nothing is imported that could: a :class:`Wanted` names the diagnostic, the model, the system and the
settings that differ from the budget's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ncbench.paper.compare import ComparedCell, State
from ncbench.paper.numbers import PaperCell

LISTS = ("thermostats", "strides")
"""Settings of which one run takes several; every other setting tells runs apart."""
MADE_ELSEWHERE = ("training",)
"""Tables that no diagnostic makes: the recipes in ``benchmarks/training`` write them."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A run that would fill cells."""

    diagnostic: str
    model: str
    """``NAME:MODE``."""
    system: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of the diagnostic; what is not named follows the budget."""
    cells: tuple[str, ...] = ()
    """Names of the cells that it fills."""


def wanted(cells: Iterable[ComparedCell]) -> list[Wanted]:
    """The runs that fill cells not run so far. Cells may share a run; cells that no run can fill are skipped."""
    result: dict[tuple[object, ...], Wanted] = {}
    for cell in cells:
        if cell.state is not State.NOT_RUN or cell.paper.selection.none or not cell.ours.model:
            continue
        if cell.paper.selection.table in MADE_ELSEWHERE:
            continue
        one = Wanted(
            diagnostic=cell.paper.selection.table,
            model=cell.ours.model,
            system=cell.paper.selection.systems[0],
            settings=_settings(cell.paper),
            cells=(cell.paper.name,),
        )
        apart = {name: value for name, value in one.settings.items() if name not in LISTS}
        key = (one.diagnostic, one.model, one.system, *sorted(apart.items()))
        result[key] = _together(result[key], one) if key in result else one
    return list(result.values())


def _settings(cell: PaperCell) -> dict[str, Any]:
    """Settings of the diagnostic that the cell's conditions ask for."""
    conditions, selection = cell.conditions, cell.selection
    asked = {column: getattr(conditions, condition) for column, condition in selection.match.items()}
    match selection.table:
        case "nvt":
            tau = "" if conditions.tau_fs is None else f":{conditions.tau_fs:g}"
            split = {} if conditions.stride is None else {"mts": conditions.stride}
            return {
                "thermostats": (f"{conditions.thermostat}{tau}",),
                "temperature_K": conditions.temperature_K,
                **split,
            }
        case "mts":
            return {"strides": (conditions.stride,)}
        case "relax":
            names = {"fmax_eV_per_A": "fmax"}
            return {names.get(column, column): value for column, value in asked.items()}
        case "timing":
            path = selection.where["path"]
            return {"path": "auto" if isinstance(path, list | tuple) else path, "batch": selection.where["batch"]}
        case "workloop":
            return {"path": conditions.path}
        case "accuracy":
            # The paper gives times of single structures.
            return {"batch": 1}
    return {column: value for column, value in asked.items() if column != "species"}


def _together(first: Wanted, second: Wanted) -> Wanted:
    settings = dict(first.settings)
    for name in LISTS:
        if name in settings:
            settings[name] = tuple(dict.fromkeys([*settings[name], *second.settings[name]]))
    return replace(first, settings=settings, cells=(*first.cells, *second.cells))
