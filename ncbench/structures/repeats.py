"""Files that are given twice, under one name or as a copy: their content would count as two independent samples."""

from __future__ import annotations

import filecmp
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from ncbench.errors import UsageError


def refuse_repeats(paths: Sequence[Path]) -> None:
    """Refuse files of equal content. Paths that are no files are left to the reader.

    Raises:
        UsageError: two of the files are one file, or copies of each other.
    """
    by_size: dict[int, list[Path]] = defaultdict(list)
    for path in paths:
        # Empty files are refused by the readers.
        if path.is_file() and (size := path.stat().st_size):
            by_size[size].append(path)
    for alike in by_size.values():
        for first, second in combinations(alike, 2):
            if first.samefile(second) or filecmp.cmp(first, second, shallow=False):
                what = f"'{first}' is given twice" if first == second else f"'{second}' is the same as '{first}'"
                raise UsageError(
                    f"{what}, and would count as two independent runs.", hint="Give each trajectory or log once."
                )
