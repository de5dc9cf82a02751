"""Structures from files: anything ASE reads, with its ``FILE@INDEX`` notation."""

from __future__ import annotations

import re
import sqlite3
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ase import Atoms

from ncbench.errors import UsageError
from ncbench.structures.labels import keep_labels

_INDEX = re.compile(r"-?\d+|(-?\d+)?:(-?\d+)?(:([1-9]\d*)?)?")


def locate(typed: str) -> tuple[Path, int | slice]:
    """The file and the frames that ``FILE`` or ``FILE@INDEX`` stands for. INDEX is ``3``, ``-1`` or ``0:100:10``.

    Raises:
        UsageError: no such file, a folder, an empty file, or an index that is none.
    """
    path, index = Path(typed).expanduser(), ""
    # An @ may also be part of a file's name.
    if not path.exists() and "@" in typed:
        name, index = typed.rsplit("@", 1)
        path = Path(name).expanduser()
    if not path.exists():
        raise UsageError(f"There is no file '{path}'.")
    if path.is_dir():
        raise UsageError(f"'{path}' is a folder.", hint="Name a structure file.")
    try:
        with path.open("rb") as stream:
            empty = not stream.read(1)
    except OSError as error:
        raise UsageError(f"The file '{path}' cannot be read: {error.strerror}.") from error
    if empty:
        raise UsageError(f"The file '{path}' is empty.")
    return path, _parse_index(typed, index)


def read_frames(path: Path, index: int | slice, limit: int | None) -> list[Atoms]:
    """The frames of a file that ``index`` selects, the first ``limit`` of them. What their calculators held becomes labels.

    Raises:
        UsageError: ASE cannot read the file, or it holds no frame there.
    """
    # ASE's iread turns an index beyond the end into a StopIteration for some formats and an IndexError for others.
    chosen = index if isinstance(index, slice) else slice(index, index + 1 if index != -1 else None)
    frames = []
    for atoms in islice(_parsed(path, chosen), limit):
        keep_labels(atoms)
        frames.append(atoms)
    if not frames:
        if index == slice(None):
            raise UsageError(f"The file '{path}' holds no structure.")
        raise UsageError(f"The file '{path}' has no frame at the index asked for.", hint="Frames are counted from 0.")
    return frames


def _parse_index(typed: str, index: str) -> int | slice:
    if not index and not typed.endswith("@"):
        return slice(None)
    if not _INDEX.fullmatch(index):
        raise UsageError(
            f"'{index}' in '{typed}' is no index of frames.", hint="Write FILE@3, FILE@-1 or FILE@0:100:10."
        )
    if ":" not in index:
        return int(index)
    return slice(*(int(part) if part else None for part in index.split(":")))


def _parsed(path: Path, index: slice) -> Iterator[Atoms]:
    """ASE's frames, its parsers' failures as one.

    The list is long because each of ASE's hundred parsers fails in its own way on a file that is not what its name says.
    """
    from ase.io import ParseError, iread
    from ase.io.formats import UnknownFileTypeError

    try:
        with warnings.catch_warnings():
            # What ASE remarks on while guessing at a format says nothing of use about the structure.
            warnings.simplefilter("ignore")
            yield from iread(str(path), index=index, do_not_split_by_at_sign=True)
    except UnknownFileTypeError as error:
        raise UsageError(
            f"ASE does not know the format of '{path}'.", hint="Extended XYZ (.xyz) always works."
        ) from error
    except (
        ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, LookupError, OSError, ParseError, RuntimeError,
        SyntaxError, TypeError, ValueError, sqlite3.Error,
    ) as error:  # fmt: skip
        text = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(f"The file '{path}' cannot be read as a structure: {text[:200]}.") from error
