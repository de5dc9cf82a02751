"""Which models can run now, without downloads and without new environments."""

from __future__ import annotations

from ncbench.errors import UsageError
from ncbench.models.registry import ModelRow, checkpoint_of, parse_request
from ncbench.run.environments import places, table
from ncbench.types import ModelRequest


def why_not(request: ModelRequest) -> str:
    """Why a model cannot run now; empty if it can, or if that is known only after loading it.

    Raises:
        UsageError: no such model or file.
    """
    row = parse_request(request).row
    if row is None:
        return ""
    if not row.installed() and not _environment_ready(row):
        what = f"ncbench env create {row.environment}" if row.environment else f"pip install 'ncbench[{row.extra}]'"
        return f"its package is not installed ({what})"
    if request.checkpoint is None and not _weights_here(row, request):
        return "its weights are not on this machine"
    return ""


def _environment_ready(row: ModelRow) -> bool:
    return bool(row.environment) and places.state(table.get(row.environment)) == "ready"


def _weights_here(row: ModelRow, request: ModelRequest) -> bool:
    present = row.weights_present()
    if present is not None and row.weights == "in package":
        # The weights are part of the package.
        return True
    if present is None:
        return False
    try:
        checkpoint_of(request)
    except UsageError:
        return False
    return present
