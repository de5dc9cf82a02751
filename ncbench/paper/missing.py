"""The reason why a number of the paper has none of ours: weights that are not here, time, or nothing to measure."""

from __future__ import annotations

from enum import StrEnum

from ncbench.errors import UsageError
from ncbench.models import registry
from ncbench.paper.compare import ComparedCell, State


class Missing(StrEnum):
    """What a cell without a number lacks."""

    WEIGHTS = "weights"
    """The model's weights come neither with a package nor from a recipe of this repository: they must be downloaded or trained elsewhere."""
    TIME = "time"
    """The model can be used or made here; the run was not made, or is not finished."""
    NOTHING = "nothing to measure"
    """The paper's number is the value of a formula."""


def missing(cell: ComparedCell) -> Missing | None:
    """What the cell lacks; ``None`` if it has a number or an explosion, or if the paper prints no number."""
    if cell.state is not State.NOT_RUN:
        return None
    if cell.paper.selection.none:
        return Missing.WEIGHTS if cell.paper.selection.needs_weights else Missing.NOTHING
    if not cell.ours.model:
        return Missing.TIME if cell.paper.model.recipe else Missing.WEIGHTS
    name = cell.ours.model.partition(":")[0]
    try:
        row = registry.find(name)
    except UsageError:
        # A model of a training recipe, or one that the user named: it was at hand.
        return Missing.TIME
    return Missing.WEIGHTS if row.weights == "download" else Missing.TIME
