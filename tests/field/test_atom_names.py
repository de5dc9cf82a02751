"""PDB, GROMACS, DL_POLY and i-PI files as in public reports: names of atoms that are no elements, models, cells, and units."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ncbench.errors import UsageError
from ncbench.structures.files import read_frames

CRYST1 = "CRYST1   12.000   13.000   14.000  90.00  90.00  90.00 P 1           1\n"
NO_CRYSTAL = "CRYST1    1.000    1.000    1.000  90.00  90.00  90.00 P 1           1\n"


def pdb_atom(name: str, residue: str = "ALA", element: str = "", x: float = 1.0, record: str = "HETATM") -> str:
    """An atom of a PDB file; names of four letters begin in column 13, others in column 14."""
    return f"{record:<6}    1 {name if len(name) > 3 else ' ' + name:<4} {residue:>3} A   1    {x:8.3f}   1.000   1.000  1.00  0.00          {element:>2}\n"


def gro(*atoms: tuple[str, str]) -> str:
    """A .gro file of (name, residue), 0.3 nm apart."""
    rows = "".join(
        f"    1{residue:<5}{name:>5}{k + 1:5d}{0.3 * k:8.3f}   0.100   0.100\n"
        for k, (name, residue) in enumerate(atoms)
    )
    return f"made here\n{len(atoms):5d}\n{rows}   5.00000   5.00000   5.00000\n"


def symbols(path: Path) -> list[str]:
    return read_frames(path, slice(None), None)[0].get_chemical_symbols()


@pytest.mark.parametrize("name", ["CA", "CD", "CE1", "NE2", "ND1", "NH1", "OG", "SG", "HG11", "HE2", "CL", "NA", "SOD"])
@pytest.mark.parametrize("kind", ["pdb", "gro"])
def test_an_atom_whose_name_fits_several_elements_is_refused(tmp_path, name, kind) -> None:
    """MDAnalysis PR 1808, chemfiles PR 238, openmm 1392: the alpha carbon is read as calcium, bromine as boron."""
    path = tmp_path / f"a.{kind}"
    path.write_text(pdb_atom(name) + "END\n" if kind == "pdb" else gro((name, "ALA")))
    with pytest.raises(
        UsageError, match=f"an atom named '{name}' in residue 'ALA', whose name does not determine its element"
    ):
        symbols(path)


@pytest.mark.parametrize("name", ["MW", "ZN", "LI", "MG", "EP"])
def test_an_upper_case_name_of_a_gro_file_that_is_not_read_as_its_symbol_is_refused(tmp_path, name) -> None:
    path = tmp_path / "a.gro"
    path.write_text(gro(("OW", "SOL"), (name, name)))
    with pytest.raises(UsageError, match=f"named '{name}' .* the format has no elements"):
        symbols(path)


READ = [
    ("elements.pdb", pdb_atom("CA", element="C") + pdb_atom("CA", "CA", "CA", 4.0) + pdb_atom("BR", "LIG", "Br", 8.0), ["C", "Ca", "Br"]),
    ("water.pdb", pdb_atom("OW", "SOL") + pdb_atom("HW1", "SOL", x=3.0) + pdb_atom("N", x=6.0) + pdb_atom("CB", x=9.0), ["O", "H", "N", "C"]),
    ("ions.pdb", pdb_atom("NA", "NA") + pdb_atom("CL", "CL", x=4.0) + pdb_atom("ZN", "ZN2", x=8.0), ["Na", "Cl", "Zn"]),
    ("water.gro", gro(("OW", "SOL"), ("HW1", "SOL"), ("CB", "ALA"), ("Na", "NA"), ("Cl", "CL")), ["O", "H", "C", "Na", "Cl"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "expected"), READ, ids=[row[0] for row in READ])
def test_atoms_with_elements_or_unambiguous_names_are_read(tmp_path, name, text, expected) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert symbols(path) == expected


def models(count: int) -> str:
    """Models of one oxygen at x = 1, 2, … Å."""
    return "".join(f"MODEL {k}\n{pdb_atom('O', 'HOH', 'O', x=1.0 + k)}TER\nENDMDL\n" for k in range(count))


def test_every_model_of_a_pdb_file_has_the_cell_of_its_header(tmp_path) -> None:
    """MDANSE PR 543: ASE reads the cell of the first model alone, and END as a model without atoms."""
    path = tmp_path / "models.pdb"
    path.write_text(CRYST1 + models(3) + "END\n")
    frames = read_frames(path, slice(None), None)
    assert [frame.positions[0, 0] for frame in frames] == [1.0, 2.0, 3.0]
    assert all(frame.pbc.all() and frame.cell.lengths().tolist() == [12.0, 13.0, 14.0] for frame in frames)
    (last,) = read_frames(path, -1, None)
    assert (last.positions[0, 0], last.pbc.all()) == (3.0, True)


def test_a_pdb_cell_of_one_angstrom_is_no_cell(tmp_path) -> None:
    path = tmp_path / "nmr.pdb"
    path.write_text(NO_CRYSTAL + models(2) + "END\n")
    for frame in read_frames(path, slice(None), None):
        assert not frame.pbc.any()
        assert frame.cell.rank == 0


def test_each_model_of_a_pdb_file_keeps_a_cell_of_its_own(tmp_path) -> None:
    path = tmp_path / "npt.pdb"
    other = CRYST1.replace("12.000", "15.000")
    path.write_text(CRYST1 + models(1) + other + models(1))
    assert [frame.cell.lengths()[0] for frame in read_frames(path, slice(None), None)] == [12.0, 15.0]


DAMAGED = [
    (CRYST1 + models(2) + "MODEL 3\n" + pdb_atom("O", "HOH", "O"), "ends within a model"),
    (CRYST1 + "TITLE positions{atomic_unit}  cell{angstrom} Step: 0 Bead: 0\n" + models(1), "is in atomic units"),
    (CRYST1 + models(1) + CRYST1 + models(2), r"has 2 cells \(CRYST1\) for 3 models"),
]


@pytest.mark.parametrize(("text", "sentence"), DAMAGED, ids=["cut", "units", "cells"])
def test_a_pdb_file_of_which_ase_would_misread_a_part_is_refused(tmp_path, text, sentence) -> None:
    """mdtraj 1705: the run that wrote the trajectory was killed; i-PI PR 232: its atomic units."""
    path = tmp_path / "damaged.pdb"
    path.write_text(text)
    with pytest.raises(UsageError, match=sentence):
        read_frames(path, slice(None), None)


def config(*names: str) -> str:
    """A DL_POLY CONFIG file of atoms 3 Å apart in a cubic cell."""
    cell = "".join(f"{12.0 * (k == 0):20.10f}{12.0 * (k == 1):20.10f}{12.0 * (k == 2):20.10f}\n" for k in range(3))
    rows = "".join(f"{name:<8}{k + 1:10d}\n{3.0 * k:20.10f}{1.0:20.10f}{1.0:20.10f}\n" for k, name in enumerate(names))
    return f"made here\n{0:10d}{3:10d}{len(names):10d}\n{cell}{rows}"


@pytest.mark.parametrize("name", ["CL-", "NA+", "CA", "BR", "SOD"])
def test_a_dl_poly_name_of_which_one_letter_is_taken_is_refused(tmp_path, name) -> None:
    """MDANSE 335, votca/csg 145: labels of atoms read as other elements."""
    path = tmp_path / "CONFIG.dlp"
    path.write_text(config("OW", name))
    with pytest.raises(
        UsageError, match=f"an atom named '{re.escape(name)}', whose name does not determine its element"
    ):
        symbols(path)


def test_dl_poly_names_that_begin_with_a_symbol_are_read(tmp_path) -> None:
    path = tmp_path / "CONFIG.dlp"
    path.write_text(config("OW", "HW", "Cl-", "Na+"))
    assert symbols(path) == ["O", "H", "Cl", "Na"]


@pytest.mark.parametrize("brackets", ["()", "{}"])
def test_an_xyz_file_of_i_pi_is_refused(tmp_path, brackets) -> None:
    """i-PI PR 232, MDANSE 344: neither the cell nor atomic units are read by ASE."""
    path = tmp_path / "sim.pos_0.xyz"
    cell = f"# CELL{brackets[0]}abcABC{brackets[1]}: 20.0 20.0 20.0 90.0 90.0 90.0"
    path.write_text(f"1\n{cell} Step: 0 Bead: 0 positions{{atomic_unit}} cell{{atomic_unit}}\nO 1.0 1.0 1.0\n")
    with pytest.raises(UsageError, match="i-PI's own XYZ format, whose cell and units"):
        symbols(path)
