"""Refuses XYZ files of which ASE would read a part, or something other than what is written."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

from ncbench.errors import UsageError
from ncbench.structures.text_files import opened

_IPI_COMMENT = re.compile(r"#\s*CELL\s*[({]")
"""Comment line of i-PI's own XYZ files, such as ``# CELL(abcABC): 20 20 20 90 90 90 Step: 0 Bead: 0 positions{atomic_unit}``."""


def refuse_ipi(path: Path) -> None:
    """ASE reads the comment of i-PI's XYZ files as names without values: no cell, and atomic units as Å.

    Raises:
        UsageError: such a file.
    """
    with opened(path) as lines:
        if _IPI_COMMENT.match(next(islice(lines, 1, 2), "")):
            raise UsageError(
                f"The file '{path}' is in i-PI's own XYZ format, whose cell and units ASE does not read.",
                hint="Let i-PI write extended XYZ (<trajectory format='ase'>), or convert the file.",
            )


def refuse_lost_frames(path: Path) -> None:
    """ASE stops at a blank line between frames, and what follows is lost without a word.

    Raises:
        UsageError: there are frames after such a line, or the file ends within a frame.
    """
    with opened(path) as lines:
        number, blank = 0, 0
        for line in lines:
            number += 1
            if not line.strip():
                blank = blank or number
                continue
            if blank:
                raise UsageError(
                    f"The file '{path}' has a blank line between its frames (line {blank}), where ASE stops reading.",
                    hint="Remove the blank line.",
                )
            try:
                count = int(line)
            except ValueError:
                # ASE's own error is more specific.
                return
            if count < 0:
                return
            # The comment and the atoms.
            present = sum(1 for _ in islice(lines, count + 1))
            if present < count + 1:
                # ASE waits for a whole frame of a billion atoms, and has no sentence for a frame without a comment.
                raise UsageError(
                    f"The file '{path}' ends within a frame: line {number} announces {count} atoms, and {max(0, present - 1)} follow."
                )
            number += present


_PBC = re.compile(r'(?:^|\s)pbc=(?:"([^"]*)"|\[([^\]]*)\]|\{([^}]*)\}|(\S+))', re.IGNORECASE)
_FLAGS = re.compile(r"(t|f|true|false|1|0|\.true\.|\.false\.)", re.IGNORECASE)


def refuse_unread_pbc(path: Path) -> None:
    """ASE takes any other ``pbc`` than one or three truth values, such as ``pbc="xy"``, for periodic in all directions.

    Raises:
        UsageError: such a ``pbc`` in the first frame.
    """
    with opened(path) as lines:
        found = _PBC.search(next(islice(lines, 1, 2), ""))
    if found is None:
        return
    text = next(group for group in found.groups() if group is not None)
    flags = text.replace(",", " ").split()
    if len(flags) not in (1, 3) or not all(map(_FLAGS.fullmatch, flags)):
        raise UsageError(
            f"The file '{path}' has pbc={text!r}, which is not one or three of T and F.", hint='Write pbc="T T F".'
        )
