"""Structures from files: anything ASE reads, with its ``FILE@INDEX`` notation."""

from __future__ import annotations

import codecs
import re
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from ase import Atoms

from ncbench.errors import StructureWarning, UsageError
from ncbench.structures.atom_names import (
    DL_POLY,
    GROMACS,
    PDB,
    pdb_models,
    refuse_guessed_elements,
    refuse_shortened_names,
)
from ncbench.structures.labels import keep_labels
from ncbench.structures.lammps_data import LAMMPS_DATA, vet_lammps_data
from ncbench.structures.text_files import opened
from ncbench.structures.vetting import vet
from ncbench.structures.xyz_comments import refuse_ipi, refuse_lost_frames, refuse_unread_pbc

_INDEX = re.compile(r"-?\d+|(-?\d+)?:(-?\d+)?(:([1-9]\d*)?)?")


def locate(typed: str) -> tuple[Path, int | slice]:
    """The file and the frames given as ``FILE`` or ``FILE@INDEX``. INDEX is ``3``, ``-1`` or ``0:100:10``.

    Raises:
        UsageError: no such file, a folder, an empty file, or an invalid index.
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


def read_frames(
    path: Path, index: int | slice, limit: int | None, more: Callable[[], None] | None = None
) -> list[Atoms]:
    """The frames of a file that ``index`` selects, the first ``limit`` of them. The results of their calculators become labels.

    ``more`` is called if there are more than ``limit``.

    Raises:
        UsageError: ASE cannot read the file, or has no such frame; see also :func:`ncbench.structures.vetting.vet`.
    """
    # ASE's iread turns an index beyond the end into a StopIteration for some formats and an IndexError for others.
    chosen = index if isinstance(index, slice) else slice(index, index + 1 if index != -1 else None)
    frames: list[Atoms] = []
    for number, atoms in enumerate(parsed(path, chosen)):
        if limit is not None and len(frames) == limit:
            if more is not None:
                more()
            break
        keep_labels(atoms, f"{path.name}#{number}")
        vet(atoms, f"{path.name}#{number}")
        frames.append(atoms)
    if not frames:
        if index == slice(None):
            raise UsageError(f"The file '{path}' holds no structure.")
        raise UsageError(f"The file '{path}' has no frame at this index.", hint="Frames are counted from 0.")
    return frames


def _parse_index(typed: str, index: str) -> int | slice:
    if not index and not typed.endswith("@"):
        return slice(None)
    if not _INDEX.fullmatch(index):
        raise UsageError(
            f"'{index}' in '{typed}' is not an index of frames.", hint="Write FILE@3, FILE@-1 or FILE@0:100:10."
        )
    if ":" not in index:
        return int(index)
    return slice(*(int(part) if part else None for part in index.split(":")))


def parsed(path: Path, index: slice) -> Iterator[Atoms]:
    """Frames as read by ASE, with all failures of its parsers converted to UsageError.

    The list of exceptions is long because each of ASE's hundred parsers raises other exceptions for a file of another format.

    Raises:
        UsageError: ASE cannot read the file, would read only a part of it, or would guess the elements.
    """
    from ase.io import ParseError, iread
    from ase.io.formats import UnknownFileTypeError, filetype, ioformats

    try:
        with _without_remarks():
            kind = filetype(str(path))
            if (kind == "runnerdata" or kind not in ioformats) and _is_lammps_data(path):
                # ASE takes the usual suffix .data for another format, and knows none of the other names.
                kind = LAMMPS_DATA
            _refuse_silent_losses(path, kind)
        reading: dict[str, Any] = {"units": _dump_units(path)} if kind == "lammps-dump-text" else {}
        if kind == LAMMPS_DATA:
            reading = {"format": LAMMPS_DATA}
        with _without_remarks():
            if kind == PDB:
                models = list(iread(str(path), index=slice(None), do_not_split_by_at_sign=True))
                with opened(path) as lines:
                    frames = iter(pdb_models(path, models, lines)[index])
            else:
                frames = iter(iread(str(path), index=index, do_not_split_by_at_sign=True, **reading))
        while True:
            with _without_remarks():
                atoms = next(frames, None)
            if atoms is None:
                return
            _mend(path, kind, atoms)
            yield atoms
    except UnknownFileTypeError as error:
        raise UsageError(
            f"ASE does not know the format of '{path}'.", hint="Extended XYZ (.xyz) always works."
        ) from error
    except (
        ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, LookupError, OSError, ParseError, RuntimeError,
        SyntaxError, TypeError, ValueError, sqlite3.Error,
    ) as error:  # fmt: skip
        _refuse_encoding(path, error)
        text = (str(error).strip().splitlines() or [""])[0].rstrip(".")
        if not text or isinstance(error, AssertionError | AttributeError | TypeError) or "StopIteration" in text:
            # Faults of ASE's readers on files of another format, whose texts say nothing of the file.
            text = f"ASE's reader fails on its content ({type(error).__name__})"
        species = _SPECIES.fullmatch(text) if isinstance(error, KeyError) else None
        if species is not None:
            raise UsageError(
                f"The file '{path}' names an atom '{species[1]}', which is not a chemical symbol.",
                hint=f"Write {_ISOTOPES[species[1]]} in a column 'masses'."
                if species[1] in _ISOTOPES
                else "Species are symbols, such as Si; atomic numbers belong in a column 'Z'.",
            ) from error
        raise UsageError(f"The file '{path}' cannot be read as a structure: {text[:200]}.") from error


def _mend(path: Path, kind: str, atoms: Atoms) -> None:
    """Refuse or undo what ASE's reader of this kind of file makes up."""
    if kind == LAMMPS_DATA:
        vet_lammps_data(path, atoms)
    elif kind in DL_POLY:
        refuse_shortened_names(path, atoms)
    elif kind == "lammps-dump-text" and atoms.calc is not None:
        # A dump has no energy: ASE gives it one of zero beside the forces.
        atoms.calc.results.pop("energy", None)


_BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "UTF-8", codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}


def _refuse_encoding(path: Path, error: Exception) -> None:
    """Name the encoding of a text file where it is the reason why ASE, which reads UTF-8 without a byte order mark, failed.

    Raises:
        UsageError: the file begins with a byte order mark, or ``error`` is that a byte is not UTF-8.
    """
    from ase.io.formats import open_with_compression

    try:
        with open_with_compression(str(path), "rb") as stream:
            begin = stream.read(3)
    except (EOFError, OSError, ValueError):
        # A damaged archive, whose own error is more specific.
        return
    name = next((name for mark, name in _BYTE_ORDER_MARKS.items() if begin.startswith(mark)), None)
    if name is not None:
        raise UsageError(
            f"The file '{path}' begins with a byte order mark ({name}), which ASE does not read.",
            hint="Save it as UTF-8 without a byte order mark (BOM).",
        ) from error
    if isinstance(error, UnicodeDecodeError):
        raise UsageError(
            f"The file '{path}' is not UTF-8 text (byte 0x{error.object[error.start]:02x}).",
            hint="If it is a text file, convert it, for example with iconv -f latin1 -t utf-8.",
        ) from error


@contextmanager
def _without_remarks() -> Iterator[None]:
    """ASE's warnings during the detection of the format are not about the structure."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


_SPECIES = re.compile(r"'([^' ]{1,8})'")
"""KeyError of ASE for an unknown element."""
_ISOTOPES = {"D": "deuterium as H with 2.014", "T": "tritium as H with 3.016"}


def _refuse_silent_losses(path: Path, kind: str) -> None:
    if kind == "extxyz":
        refuse_ipi(path)
        refuse_lost_frames(path)
        refuse_unread_pbc(path)
    elif kind in (PDB, GROMACS):
        with opened(path) as lines:
            refuse_guessed_elements(path, kind, lines)
    elif kind == LAMMPS_DATA:
        with opened(path) as lines:
            if not any(line.split("#")[0].strip() == "Masses" for line in lines):
                raise UsageError(
                    f"The LAMMPS data file '{path}' numbers atoms by types and has no section 'Masses', so that their elements are not known.",
                    hint="Add the masses (write_data writes them), or use a format with elements, such as extended XYZ.",
                )
    elif kind == "lammps-dump-binary":
        raise UsageError(f"The file '{path}' numbers atoms by LAMMPS types, not by elements.", hint=_DUMP)
    elif kind == "lammps-dump-text":
        with opened(path) as lines:
            columns = next((line.split()[2:] for line in lines if line.startswith("ITEM: ATOMS")), [])
        if "element" not in columns and "mass" not in columns:
            raise UsageError(f"The file '{path}' numbers atoms by LAMMPS types, not by elements.", hint=_DUMP)


def _is_lammps_data(path: Path) -> bool:
    """Whether the header of a text file gives the bounds of a LAMMPS box."""
    try:
        with opened(path) as lines:
            return any(line.split()[2:4] == ["xlo", "xhi"] for line in islice(lines, _LAMMPS_HEADER_LINES))
    except UnicodeDecodeError:
        return False


def _dump_units(path: Path) -> str:
    """LAMMPS units of a text dump: what ``ITEM: UNITS`` says, or else metal, which ASE takes too. ASE does not read the item.

    Raises:
        UsageError: reduced units (lj), or units that LAMMPS does not have.
    """
    from ase.calculators.lammps.unitconvert import UNITSETS

    with opened(path) as lines:
        units, columns = "", []
        for line in lines:
            if line.startswith("ITEM: UNITS"):
                units = next(lines, "").strip()
            if line.startswith("ITEM: ATOMS"):
                columns = line.split()[2:]
                break
    if units and (units not in UNITSETS or units == "ASE"):
        raise UsageError(
            f"The dump '{path}' is in units '{units}', which cannot be converted to Å and eV.",
            hint="Units real, metal, si, cgs, electron, micro and nano can.",
        )
    taken = {"vx": "velocities are taken as Å/ps", "fx": "forces are taken as eV/Å"}
    if not units and (assumed := [text for column, text in taken.items() if column in columns]):
        warnings.warn(
            f"The dump '{path}' does not name its units: its {' and its '.join(assumed)} (metal). Of a run in other units, write the lines "
            "'ITEM: UNITS' and 'real' at its top (dump_modify ID units yes).",
            StructureWarning,
            stacklevel=2,
        )
    return units or "metal"


_LAMMPS_HEADER_LINES = 200
_DUMP = "Dump with a column 'element' (dump_modify ID element O Si …)."
