"""Structure files as in public reports: tables of contents, with the resulting error message or structure."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from ase.constraints import FixAtoms
from ase.io import write
from habits import triangle

from ncbench.errors import StructureError, StructureWarning, UsageError
from ncbench.models.checks import check_structure
from ncbench.structures.hashing import content_hash
from ncbench.structures.load import load_cases
from ncbench.types import SystemRequest

ATOMS = "O 0.0 0.1 0.2\nAl 2.3 0.3 0.0\nAl 0.4 2.6 0.9\n"
CUBE = 'Lattice="7 0 0 0 7 0 0 0 7"'


def frame(comment: str = "", rows: str = ATOMS, count: int = 3) -> str:
    return f"{count}\n{comment}\n{rows}"


def columns(name: str, kind: str, values: str, comment: str = CUBE) -> str:
    """The three atoms with a further column."""
    width = len(values.split(",", maxsplit=1)[0].split())
    rows = "".join(f"{row} {value}\n" for row, value in zip(ATOMS.splitlines(), values.split(","), strict=True))
    return frame(f"{comment} Properties=species:S:1:pos:R:3:{name}:{kind}:{width}", rows)


DUMP = """ITEM: TIMESTEP
0
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp pp
0 8
0 8
0 8
ITEM: ATOMS id type x y z{}
1 1 1.0 1.0 1.0{}
2 2 3.0 3.0 3.0{}
"""

CIF = """data_alloy
_cell_length_a 4.05
_cell_length_b 4.05
_cell_length_c 4.05
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Al1 Al 0 0 0 {}
Cu1 Cu 0.5 0.5 0.5 {}
"""

LAMMPS_DATA = """LAMMPS data file

2 atoms
2 atom types

0 5.0 xlo xhi
0 5.0 ylo yhi
0 5.0 zlo zhi
{}
Atoms # atomic

1 1 0.0 0.0 0.0
2 2 2.0 0.0 2.5
{}"""
MASSES = "\nMasses\n\n1 {} # first\n2 {}\n"
MOVING = "\nVelocities\n\n1 1.0 0.0 0.0\n2 0.0 0.0 0.0\n"

REFUSED: list[tuple[str, str, str]] = [
    ("blank.xyz", frame() + "\n" + frame(), "blank line between its frames .line 6."),
    ("blank2.xyz", frame() + frame() + "\n\n" + frame(), "blank line between its frames .line 11."),
    ("deuterium.xyz", frame(rows=ATOMS.replace("Al", "D")), "an atom 'D', which is not a chemical symbol.*2.014"),
    (
        "numbers.xyz",
        frame(rows=ATOMS.replace("O", "8").replace("Al", "13")),
        "an atom '8', which is not a chemical symbol",
    ),
    ("types.xyz", frame(rows=ATOMS.replace("O", "Ow")), "an atom 'Ow', which is not a chemical symbol"),
    ("types.lammpstrj", DUMP.format("", "", ""), "LAMMPS types, not by elements"),
    (
        "reduced.lammpstrj",
        "ITEM: UNITS\nlj\n" + DUMP.format(" element", " O", " Si"),
        "in units 'lj', which cannot be converted",
    ),
    ("announced.xyz", frame(count=999999999), "ends within a frame: line 1 announces 999999999 atoms, and 3 follow"),
    ("second.xyz", frame() + frame(count=4), "ends within a frame: line 6 announces 4 atoms, and 3 follow"),
    ("count.xyz", "3\n", "line 1 announces 3 atoms, and 0 follow"),
    ("types.data", LAMMPS_DATA.format("", ""), "atoms by types and has no section 'Masses'"),
    ("types.lmp", LAMMPS_DATA.format("", ""), "atoms by types and has no section 'Masses'"),
    ("types.lammps-data", LAMMPS_DATA.format("", ""), "atoms by types and has no section 'Masses'"),
    ("reduced.data", LAMMPS_DATA.format(MASSES.format(1.0, 1.0), ""), "atoms of mass 1 u, which is that of no element"),
    (
        "bead.data",
        LAMMPS_DATA.format(MASSES.format(16.0, 14.5), ""),
        "atoms of mass 14.5 u, which is that of no element",
    ),
    (
        "commentforces.xyz",
        frame('energy=-1 forces="1 2 3 4 5 6 7 8 9"'),
        "'forces' of commentforces.xyz#0 holds 9 numbers in the comment line",
    ),
    ("alloy.cif", CIF.format("0.55", "1.0"), "partially occupied site .Al 0.55"),
    ("vacancy.cif", CIF.format("1.0", "0.3"), "partially occupied site .Cu 0.3"),
    ("charge.xyz", frame("charge=neutral"), "charge = neutral, which is not a number"),
    ("charges.xyz", frame('charge="1 2"'), "charge = .1,2., which is not a number"),
    ("none.xyz", frame("charge=None"), "charge = None, which is not a number"),
    ("total.xyz", frame("total_charge=plus"), "total_charge = plus, which is not a number"),
    ("true.xyz", frame("charge=T"), "charge = true, which is not a number"),
    ("trueenergy.xyz", frame("energy=T"), "energy of trueenergy.xyz#0 is True, which is not a number"),
    ("heavy.xyz", columns("masses", "R", "1e300,1.0,1.0"), "mass 1e.300 u .atom 0, O."),
    (
        "z119.xyz",
        frame("Properties=Z:I:1:pos:R:3", ATOMS.replace("O", "119").replace("Al", "13")),
        "atomic number 119, which is no element",
    ),
    (
        "tiny.xyz",
        frame('Lattice="0.1 0 0 0 0.1 0 0 0 0.1" pbc="T T T"'),
        "cell vector of 0.1 Å, along which each atom overlaps its own images",
    ),
    ("spin.xyz", frame("spin=singlet"), "spin = singlet, which is not a number"),
    ("words.xyz", frame('energy="-10.0 eV"'), "energy of words.xyz#0 is '-10.0 eV', which is not a number"),
    ("three.xyz", frame('energy="1 2 3"'), "energy of three.xyz#0 holds 3 numbers"),
    ("dft.xyz", frame("energy_dft=abc"), "energy_dft of dft.xyz#0 is 'abc', which is not a number"),
    ("zero.xyz", columns("masses", "R", "16.0,0.0,27.0"), "mass 0 u .atom 1, Al."),
    ("negative.xyz", columns("masses", "R", "16.0,-1.0,27.0"), "mass -1 u .atom 1, Al."),
    ("nan.xyz", columns("masses", "R", "nan,1.0,1.0"), "'masses' of 'nan.xyz#0' is not finite .atom 0, O."),
    ("text.xyz", columns("masses", "S", "heavy,light,light"), "'masses' of 'text.xyz#0' does not hold one number"),
    ("sites.xyz", columns("sites", "S", "a,b,c"), "'sites' of 'sites.xyz#0' does not hold three numbers"),
    ("onemomentum.xyz", columns("momenta", "R", "1.0,1.0,1.0"), "'momenta' .* does not hold three numbers"),
    ("plane.xyz", frame('Lattice="7 0 0 0 7 0 7 7 0"'), "nearly lie in a plane"),
    ("planeopen.xyz", frame('Lattice="7 0 0 0 7 0 7 7 0" pbc="F F F"'), "nearly lie in a plane"),
    ("nearplane.xyz", frame('Lattice="7 0 0 0 7 0 0 7 1e-6"'), "nearly lie in a plane"),
    ("same.xyz", frame('Lattice="7 0 0 7 0 0 0 0 7"'), "nearly lie in a plane"),
    ("wide.xyz", frame('Lattice="1e12 0 0 0 1e12 0 0 0 1e12"'), "cell vector of 1e.12 Å"),
    ("apart.xyz", frame(rows="H 0 0 0\nH 1e6 0 0\n", count=2), "1e.06 Å apart along a direction that is not periodic"),
    (
        "multiples.xyz",
        frame('Lattice="0.002 0.001 5.162 4.9268 4.682 2.5775 4.9259 4.6825 2.5791"', "Al 0 0 0\n", 1),
        "a combination of them is 0.001.* Å long, along which each atom overlaps its own images",
    ),
    ("cell.xyz", frame('cell="7 0 0 0 7 0 0 0 7"'), "has no cell, and an entry 'cell' that ASE does not read"),
    ("box.xyz", frame('box="7 7 7"'), "has no cell, and an entry 'box' that ASE does not read"),
    ("directions.xyz", frame(f'{CUBE} pbc="xy"'), "has pbc='xy', which is not one or three of T and F"),
    ("two.xyz", frame(f'{CUBE} pbc="T F"'), "has pbc='T F', which is not one or three of T and F"),
    ("away.xyz", frame(rows="H 1e12 0 0\nH 1e12 1 0\n", count=2), "coordinates of 1e.12 Å"),
]


ENCODED: list[tuple[str, bytes, str]] = [
    ("mark.xyz", b"\xef\xbb\xbf" + frame(CUBE).encode(), "begins with a byte order mark .UTF-8."),
    ("mark16.xyz", frame(CUBE).encode("utf-16"), "begins with a byte order mark .UTF-16."),
    ("latin1.xyz", frame("name=W\u00e4sser").encode("latin-1"), "is not UTF-8 text .byte 0xe4."),
]  # fmt: skip


def load(path: Path, default: int = 9, **request):
    return load_cases(SystemRequest(path=str(path), **request), default, 0)


@pytest.mark.parametrize(("name", "content", "sentence"), REFUSED, ids=[row[0] for row in REFUSED])
def test_an_ambiguous_file_is_refused_within_a_second(tmp_path, name, content, sentence) -> None:
    (tmp_path / name).write_text(content)
    began = time.perf_counter()
    with pytest.raises(UsageError, match=sentence):
        load(tmp_path / name)
    assert time.perf_counter() - began < 1.0


@pytest.mark.parametrize(("name", "content", "sentence"), ENCODED, ids=[row[0] for row in ENCODED])
@pytest.mark.parametrize("compressed", [False, True])
def test_an_encoding_that_ase_does_not_read_is_named(tmp_path, name, content, sentence, compressed) -> None:
    path = tmp_path / (name + ".gz" * compressed)
    path.write_bytes(gzip.compress(content) if compressed else content)
    with pytest.raises(UsageError, match=sentence):
        load(path)


NAMED: list[tuple[str, str, str]] = [
    ("mass.xyz", columns("mass", "R", "18.0,2.0,2.0"), "'mass' is ignored; ASE reads 'masses'"),
    ("velo.xyz", columns("velo", "R", "1 0 0,0 0 0,0 0 0"), "'velo' is ignored; ASE reads 'momenta'"),
    (
        "velocities.xyz",
        columns("velocities", "R", "1 0 0,0 0 0,0 0 0"),
        "'velocities' is ignored; ASE reads 'momenta'",
    ),
    (
        "velocities.data",
        LAMMPS_DATA.format(MASSES.format(65.38, 35.5), MOVING),
        "does not name its units: its velocities are taken as Å/ps",
    ),
    (
        "forces.lammpstrj",
        DUMP.format(" element fx fy fz", " O 1 0 0", " Si -1 0 0"),
        "does not name its units: its forces are taken as eV/Å",
    ),
    (
        "velocities.lammpstrj",
        DUMP.format(" element vx vy vz", " O 1 0 0", " Si 0 0 0"),
        "does not name its units: its velocities are taken as Å/ps",
    ),
]


@pytest.mark.parametrize(("name", "content", "sentence"), NAMED, ids=[row[0] for row in NAMED])
def test_a_column_that_is_not_read_is_reported(tmp_path, name, content, sentence) -> None:
    (tmp_path / name).write_text(content)
    with pytest.warns(StructureWarning, match=sentence):
        load(tmp_path / name)


TAKEN: list[tuple[str, str, int]] = [
    ("blanks_at_the_end.xyz", frame(CUBE) + frame(CUBE) + "\n\n\n", 2),
    ("elements.lammpstrj", DUMP.format(" element", " O", " Si"), 1),
    ("masses.lammpstrj", DUMP.format(" mass", " 15.999", " 28.085"), 1),
    ("full.cif", CIF.format("1.0", "1.0"), 1),
    ("plus.xyz", frame("charge=+1"), 1),
    ("vacuum.xyz", frame('Lattice="7 0 0 0 7 0 0 0 99999"'), 1),
    ("skewed.xyz", frame('Lattice="7 0 0 35 7 0 0 0 7"'), 1),
    ("one_flag.xyz", frame(f"{CUBE} pbc=T"), 1),
    ("words.xyz", frame(f'{CUBE} pbc="True True False"'), 1),
    ("left.xyz", frame('Lattice="0 7 0 7 0 0 0 0 7"'), 1),
]


def test_a_dump_with_forces_has_no_energy(tmp_path) -> None:
    """ASE's reader gives the frames an energy of zero, which is no reference value."""
    path = tmp_path / "forces.lammpstrj"
    path.write_text("ITEM: UNITS\nmetal\n" + DUMP.format(" element fx fy fz", " O 1 0 0", " Si -1 0 0"))
    (case,) = load(path)
    assert "energy_dft" not in case.atoms.info
    assert case.atoms.arrays["forces_dft"].tolist() == [[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]]


@pytest.mark.parametrize(("name", "content", "frames"), TAKEN, ids=[row[0] for row in TAKEN])
def test_an_unusual_but_unambiguous_file_is_read(tmp_path, name, content, frames) -> None:
    (tmp_path / name).write_text(content)
    assert len(load(tmp_path / name)) == frames


@pytest.mark.parametrize("name", ["a.data", "a.lmp", "a.lammps", "a.lammps-data"])
def test_elements_of_a_lammps_data_file_are_those_of_its_masses(tmp_path, name) -> None:
    (tmp_path / name).write_text(LAMMPS_DATA.format(MASSES.format(65.38, 35.5), ""))
    (case,) = load(tmp_path / name)
    assert case.atoms.get_chemical_symbols() == ["Zn", "Cl"]
    assert case.atoms.pbc.all()
    assert case.atoms.positions[1] == pytest.approx([2.0, 0.0, 2.5])


def test_elements_of_a_dump_are_read(tmp_path) -> None:
    (tmp_path / "a.lammpstrj").write_text(DUMP.format(" element", " O", " Si"))
    assert load(tmp_path / "a.lammpstrj")[0].atoms.get_chemical_symbols() == ["O", "Si"]


@pytest.mark.parametrize(("unit", "per_fs"), [("real", 1.0), ("metal", 1e-3)])
def test_velocities_of_a_dump_are_converted_from_its_units(tmp_path, unit, per_fs) -> None:
    content = f"ITEM: UNITS\n{unit}\n" + DUMP.format(" element vx vy vz", " O 0.5 -2 0", " Si 0 0 1")
    (tmp_path / "a.lammpstrj").write_text(content)
    velocities = load(tmp_path / "a.lammpstrj")[0].atoms.get_velocities() * units.fs
    # Unit tables of LAMMPS and ASE agree to 1e-6.
    assert velocities == pytest.approx(np.array([[0.5, -2, 0], [0, 0, 1]]) * per_fs, rel=1e-5)


def test_a_supercell_too_large_for_memory_is_refused(tmp_path) -> None:
    (tmp_path / "box.xyz").write_text(frame(CUBE))
    with pytest.raises(UsageError, match=r"99999x99999x99999 of 3 atoms makes 3e.15 atoms; the most is 1e.07"):
        load(tmp_path / "box.xyz", repeat=(99999, 99999, 99999))


def test_unused_frames_are_reported_unless_frames_were_selected(tmp_path) -> None:
    (tmp_path / "five.xyz").write_text(5 * frame())
    with pytest.warns(StructureWarning, match="five.xyz has more than 4 structures; the first 4 are used"):
        assert len(load(tmp_path / "five.xyz", default=4)) == 4
    assert len(load(tmp_path / "five.xyz", structures=2)) == 2
    assert len(load(tmp_path / "five.xyz", default=5)) == 5


@pytest.mark.parametrize("change", ["constraint", "magmoms", "total_charge", "tags", "functional"])
def test_digests_differ_for_everything_a_calculator_can_read(tmp_path, change) -> None:
    first, second = triangle(), triangle()
    if change == "constraint":
        second.set_constraint(FixAtoms([0]))
    elif change == "magmoms":
        second.set_initial_magnetic_moments([1.0, 0.0, 0.0])
    elif change == "tags":
        second.set_tags([1, 0, 0])
    else:
        second.info[change] = 1
    digests = set()
    for name, atoms in (("a.traj", first), ("b.traj", second)):
        write(tmp_path / name, atoms)
        digests.add(content_hash(load(tmp_path / name)[0].atoms))
    assert len(digests) == 2


def test_the_total_charge_of_a_supercell_is_that_of_all_cells(tmp_path) -> None:
    (tmp_path / "charged.xyz").write_text(frame(f"{CUBE} charge=1 total_charge=1"))
    large = load(tmp_path / "charged.xyz", repeat=(2, 1, 3))[0].atoms
    assert (large.info["charge"], large.info["total_charge"]) == (6, 6)
    (tmp_path / "open.xyz").write_text(frame(f"{CUBE} spin=3"))
    assert load(tmp_path / "open.xyz")[0].atoms.info["spin"] == 3
    with pytest.raises(UsageError, match="declares spin = 3; the spin of 2 cells is not known"):
        load(tmp_path / "open.xyz", repeat=(2, 1, 1))


def test_masses_and_constraints_are_repeated_with_their_atoms(tmp_path) -> None:
    atoms = triangle()
    atoms.set_masses([16.0, 30.0, 26.0])
    atoms.set_constraint(FixAtoms([1]))
    write(tmp_path / "held.traj", atoms)
    large = load(tmp_path / "held.traj", repeat=(1, 2, 1))[0].atoms
    assert large.get_masses().tolist() == 2 * [16.0, 30.0, 26.0]
    assert large.constraints[0].index.tolist() == [1, 4]


@pytest.mark.parametrize("positions", [[[0, 0, 0], [1e5 + 1, 0, 0]], [[0, 0, 0], [0, 0, 1e7]]], ids=["1e5 Å", "1e7 Å"])
def test_large_extents_are_allowed_only_in_periodic_directions(positions) -> None:
    wound = Atoms("Ar2", positions=np.add(positions, [[0, 0, 0], [1, 1, 1]]), cell=[7, 7, 7], pbc=True)
    check_structure(wound)
    wound.pbc = False
    with pytest.raises(StructureError, match="not periodic"):
        check_structure(wound)
