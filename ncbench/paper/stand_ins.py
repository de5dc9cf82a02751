"""Models that take the place of the paper's (``--as``): whether results folders hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ncbench.errors import UsageError
from ncbench.report.read import read


def absent(replaced: Mapping[str, str], folders: Sequence[Path]) -> list[str]:
    """One sentence for each ``NAME:MODE`` of ``replaced`` of which no folder has a row, with the models there are.

    Raises:
        UsageError: a folder without results.
        StoreError: a table that cannot be read.
    """
    if not replaced:
        return []
    present = list(dict.fromkeys(f"{model}:{mode}" for folder in folders for model, mode in read(folder).models()))
    where = f"'{folders[0]}' holds" if len(folders) == 1 else "The folders hold"
    return [
        f"No result is of '{ours}', which was to stand for {key}. {where} results of {', '.join(present)}."
        for key, ours in replaced.items()
        if ours not in present
    ]


def require(replaced: Mapping[str, str], folders: Sequence[Path]) -> None:
    """Refuse models that no folder has a row of.

    Raises:
        UsageError: as :func:`absent`, and for each such model.
        StoreError: as :func:`absent`.
    """
    if sentences := absent(replaced, folders):
        raise UsageError(" ".join(sentences))
