"""PDB, GROMACS and DL_POLY files, whose atoms have names: elements that ASE would guess from them, and models of a PDB file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from ncbench.errors import UsageError

PDB = "proteindatabank"
"""ASE's name of the format."""
GROMACS = "gromacs"
"""ASE's name of the format of ``.gro`` files."""
DL_POLY = frozenset({"dlp4", "dlp-history"})
"""ASE's names of the formats of CONFIG and HISTORY."""
_MISLEADING = frozenset({"SOD", "RUB"})
"""Names of ions (CHARMM) that begin with the symbol of one other element."""
_ATOM_RECORDS = ("ATOM", "HETATM")


def refuse_guessed_elements(path: Path, kind: str, lines: Iterable[str]) -> None:
    """Refuse a file in which the name of an atom fits two elements, or another than the one that ASE takes.

    Columns 77 and 78 of a PDB file hold the element; without them ASE reads the alpha carbon CA as calcium. A ``.gro`` file has
    no elements; of upper-case names ASE takes the first letter, or the last where the first is none: CL is read as carbon, LI
    as iodine, the virtual site MW as tungsten.

    Args:
        path: for messages.
        kind: :data:`PDB` or :data:`GROMACS`.
        lines: of the file.

    Raises:
        UsageError: such a name.
    """
    for name, residue in _names_without_elements(kind, lines):
        if not _is_clear(name, residue, kind):
            where = "columns 77 and 78 (element) are empty" if kind == PDB else "the format has no elements"
            raise UsageError(
                f"The file '{path}' has an atom named '{name}' in residue '{residue}', whose name does not determine its element: {where}.",
                hint="Write the elements, for example as extended XYZ, or as PDB with the columns 77 and 78.",
            )


def _names_without_elements(kind: str, lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    """(name of the atom, name of its residue) of each atom that has no element of its own."""
    if kind == PDB:
        for line in lines:
            if line.startswith(_ATOM_RECORDS) and line[76:78].strip().capitalize() not in atomic_numbers:
                yield line[12:16].strip(), line[17:21].strip()
        return
    rows = list(lines)
    count = rows[1].strip() if len(rows) > 1 else ""
    # Where the number of atoms is not one, ASE's own error is more specific.
    for line in rows[2 : 2 + int(count)] if count.isdecimal() else []:
        yield line[10:15].strip(), line[5:10].strip()


def _is_clear(name: str, residue: str, kind: str) -> bool:
    """Whether the name of an atom fits one element, and ASE takes that one."""
    one, two = name[:1], name[:2]
    if len(two) == 2 and two in atomic_numbers:
        # Na and Cl as typed; CA, CL and NA are not symbols.
        return True
    if name.upper() in _MISLEADING:
        return False
    if len(two) == 2 and two.capitalize() in atomic_numbers:
        # Of CA, NA and CL in a residue of that name, an ion, ASE's reader of PDB files takes both letters.
        return kind == PDB and (one not in atomic_numbers or name == residue)
    # ASE's reader of PDB files refuses a name without an element itself.
    return kind == PDB or one in atomic_numbers


def refuse_shortened_names(path: Path, atoms: Atoms) -> None:
    """Refuse a DL_POLY file in which ASE takes one letter of a name that begins with the two of another element: CL is read as carbon.

    Raises:
        UsageError: such a name.
    """
    for symbol, rest in zip(atoms.symbols, atoms.arrays.get("dlp4_labels", ()), strict=False):
        name = f"{symbol}{rest}"
        if len(symbol) == 1 and rest and (name[:2].capitalize() in atomic_numbers or name[:3] in _MISLEADING):
            raise UsageError(
                f"The file '{path}' has an atom named '{name}', whose name does not determine its element.",
                hint="Write the elements, for example as extended XYZ, or begin the names with a symbol such as Cl.",
            )


def pdb_models(path: Path, frames: Sequence[Atoms], lines: Iterable[str]) -> list[Atoms]:
    """The models of a PDB file, each with the cell of the file, from what ASE reads.

    ASE applies ``CRYST1`` to the model that follows it alone, and takes ``END`` below the last ``ENDMDL`` as a model without
    atoms. A cell of 1 Å by 1 Å by 1 Å stands for no crystal (PDB format 3.3, CRYST1).

    Raises:
        UsageError: the file ends within a model, some of several models have cells of their own, or the title of i-PI names atomic units.
    """
    cells = open_atoms = ends = 0
    for line in lines:
        if line.startswith("TITLE") and "{atomic_unit}" in line:
            raise UsageError(
                f"The PDB file '{path}' of i-PI is in atomic units, which ASE takes as Å.",
                hint="Let i-PI write positions{angstrom} and cell_units='angstrom', or <trajectory format='ase'>.",
            )
        cells += line.startswith("CRYST1")
        if line.startswith("END"):
            ends, open_atoms = ends + 1, 0
        open_atoms += line.startswith(_ATOM_RECORDS)
    if ends and open_atoms:
        raise UsageError(f"The file '{path}' ends within a model, without ENDMDL or END.")
    models = [atoms for atoms in frames if len(atoms)]
    if 1 < cells < len(models):
        raise UsageError(f"The file '{path}' has {cells} cells (CRYST1) for {len(models)} models.")
    for atoms in models:
        if cells == 1:
            atoms.set_cell(models[0].cell)
            atoms.set_pbc(models[0].pbc)
    for atoms in models:
        if np.array_equal(atoms.cell.cellpar(), [1.0, 1.0, 1.0, 90.0, 90.0, 90.0]):
            atoms.set_cell(None)
            atoms.set_pbc(False)
    return models
