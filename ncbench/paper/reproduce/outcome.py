"""Writes the comparison with the paper's tables from finished jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ncbench.paper import numbers
from ncbench.paper.compare import Comparison, compare, counterparts, result_tables, write
from ncbench.paper.overview import claim_table, count_table, survey
from ncbench.paper.reproduce.targets import Target

FOLDER = "paper"
"""Folder of the comparisons in the results folder."""


def comparisons(
    targets: Sequence[Target], out: Path, *, left_out: Mapping[str, str], stand_ins: Mapping[str, str]
) -> list[Comparison]:
    """Compare every table of the paper that the targets fill with the results in ``out``; also written to ``out/paper``.

    The claims of the paper and the counts of numbers, which are about all tables, are written there too.

    Args:
        targets: the requested targets.
        out: results folder.
        left_out: model → why it was not run.
        stand_ins: key of a model of the paper → ``NAME:MODE`` to use instead.

    Raises:
        UsageError: a stand-in for a model that the paper does not have.
        StoreError: a table that cannot be read, a folder that cannot be written.
    """
    standing = counterparts(stand_ins)
    tables = [numbers.table(name) for name in dict.fromkeys(name for target in targets for name in target.fills)]
    frames = result_tables(out, tables)
    made = [compare(table, frames, standing, left_out=left_out) for table in tables]
    for comparison in made:
        write(comparison, out / FOLDER)
    surveyed = survey([out], standing)
    for overview in (claim_table(surveyed.answers), count_table(surveyed.comparisons)):
        overview.write(out / FOLDER)
    return made
