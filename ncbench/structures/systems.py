"""The table of named systems. Light imports only: the command line lists it without torch or ASE."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from ncbench.errors import UsageError, did_you_mean
from ncbench.structures.datasets import (
    MPTRJ,
    MPTRJ_SMALL_ATOMS,
    MPTRJ_SMALL_FRAMES,
    OC20,
    QM9,
    WATER_DFT,
    WATER_GAP,
    WATER_TRAIN,
    WATER_VALIDATION,
)  # fmt: skip

WATER64 = Path(str(files("ncbench.structures") / "data" / "water64.xyz"))
"""Snapshots of 64 water molecules, extended XYZ."""
WATER8 = WATER64.with_name("water8.xyz")
"""A minimum of 8 water molecules, extended XYZ."""
AMORPHOUS_CARBON = WATER64.with_name("amorphous-carbon.xyz")
"""One glass of carbon, extended XYZ."""

_OWN = "part of ncbench, BSD-3-Clause"
_WATER_DFT_TEST = WATER_DFT.n_frames - WATER_TRAIN - WATER_VALIDATION - 2 * WATER_GAP


@dataclass(frozen=True, kw_only=True)
class SystemRow:
    """A named system."""

    name: str
    summary: str
    n_atoms: str
    """A number, or a range."""
    structures: int | None
    """Number of available structures; ``None`` if they are generated without limit."""
    made: str
    """Origin of the structures."""
    licence: str
    citation: str = ""
    periodic: bool = True
    temperature_K: float | None = None
    """Default temperature for molecular dynamics; ``None`` if dynamics is not meaningful."""
    timestep_fs: float | None = None
    """Default time step."""
    notes: str = ""
    whole: bool = False
    """Whether all structures are used by default, since the set is a unit."""

    @property
    def count(self) -> str:
        """The number of structures as words."""
        return "unlimited" if self.structures is None else str(self.structures)


@cache
def systems() -> dict[str, SystemRow]:
    """All named systems by name, in the order they are listed."""
    rows = (*_water(), *_crystals(), *_small_tens(), *_datasets())
    return {row.name: row for row in rows}


def get(name: str) -> SystemRow:
    """The system of this name.

    Raises:
        UsageError: no such system.
    """
    known = systems()
    if name not in known:
        hint = did_you_mean(name, known) or f"There are {', '.join(known)}."
        raise UsageError(f"There is no system '{name}'.", hint=hint)
    return known[name]


def _water() -> tuple[SystemRow, ...]:
    return (
        SystemRow(
            name="water64",
            summary="Liquid water, 64 H2O at 0.997 g/cm³ and 300 K, snapshots of one run",
            n_atoms="192",
            structures=_count_frames(WATER64),
            made="packed at the density, 10 ps at 300 K with the bundled conservative model, then a snapshot every 2.5 ps, with momenta",
            licence=_OWN,
            temperature_K=300.0,
            timestep_fs=0.5,
            notes="Snapshots are used in order. The paper's box has the same size.",
        ),
        SystemRow(
            name="water8",
            summary="8 H2O in a periodic cube at 0.997 g/cm³, at a potential-energy minimum",
            n_atoms="24",
            structures=1,
            made="packed at the density, then relaxed to 0.005 eV/Å with the bundled conservative model",
            licence=_OWN,
            temperature_K=300.0,
            timestep_fs=0.5,
            notes="For quick checks: its whole force Jacobian takes 72 products.",
        ),
        SystemRow(
            name="water-molecule",
            summary="One H2O in its experimental geometry",
            n_atoms="3",
            structures=1,
            made="r = 0.9572 Å, angle 104.52°",
            licence=_OWN,
            citation="Benedict, Gailar & Plyler, J. Chem. Phys. 24, 1139 (1956)",
            periodic=False,
            temperature_K=300.0,
            timestep_fs=0.5,
        ),
    )


def _crystals() -> tuple[SystemRow, ...]:
    return (
        SystemRow(
            name="al-fcc",
            summary="Aluminium, 3×3×3 cubic cells, thermal displacements",
            n_atoms="108",
            structures=None,
            made="fcc, a = 4.05 Å, every coordinate displaced by a Gaussian of 0.10 Å (its thermal width at 300 K)",
            licence=_OWN,
            temperature_K=300.0,
            timestep_fs=2.0,
        ),
        SystemRow(
            name="diamond",
            summary="Diamond, one cubic cell, thermal displacements",
            n_atoms="8",
            structures=None,
            made="a = 3.567 Å, every coordinate displaced by a Gaussian of 0.028 Å (300 K)",
            licence=_OWN,
            temperature_K=300.0,
            timestep_fs=1.0,
            notes="For quick checks of models of crystals: its whole force Jacobian takes 24 products.",
        ),
        SystemRow(
            name="graphene",
            summary="A periodic sheet of graphene, thermal displacements",
            n_atoms="60",
            structures=None,
            made="a = 2.46 Å, 6×5 cells, 20 Å between images, displaced by Gaussians of 0.022 Å in the plane and 0.048 Å across (300 K)",
            licence=_OWN,
            temperature_K=300.0,
            timestep_fs=1.0,
            notes="Periodic in all directions, since some models do not support slabs. The paper's step.",
        ),
        SystemRow(
            name="amorphous-carbon",
            summary="Amorphous carbon at 3.0 g/cm³ and 300 K, one snapshot with momenta",
            n_atoms="128",
            structures=_count_frames(AMORPHOUS_CARBON),
            made="melted at 8000 K and quenched in 40 ps with Tersoff's potential, then 0.4 ps at 300 K with SevenNet-0",
            licence=_OWN,
            citation="Tersoff, Phys. Rev. Lett. 61, 2879 (1988)",
            temperature_K=300.0,
            timestep_fs=1.0,
            notes="Equilibrated with SevenNet-0: with another model the start is not in equilibrium, and the temperature changes at first.",
        ),
        SystemRow(
            name="argon",
            summary="Argon, 3×3×3 cubic cells, thermal displacements",
            n_atoms="108",
            structures=None,
            made="fcc, a = 5.25 Å, near the minimum of analytic-lj, every coordinate displaced by a Gaussian of 0.10 Å",
            licence=_OWN,
            temperature_K=30.0,
            timestep_fs=5.0,
        ),
        SystemRow(
            name="harmonic-crystal",
            summary="Argon atoms about the sites of a cubic lattice, for the analytic fields with springs",
            n_atoms="64",
            structures=None,
            made="4×4×4 sites 3 Å apart, displaced by a Gaussian of 0.072 Å: 300 K in springs of 5 eV/Å²",
            licence=_OWN,
            temperature_K=300.0,
            timestep_fs=2.0,
            notes="The sites are the array 'sites' of the structure.",
        ),
    )


def _small_tens() -> tuple[SystemRow, ...]:
    return (
        SystemRow(
            name="small-ten",
            summary="Eight small molecules, diamond and graphene near their minima, for comparing λ of models",
            n_atoms="3-12",
            structures=10,
            made="molecules in the geometries of the G2 set, cubic cells of diamond (a = 3.567 Å) and graphene (a = 2.46 Å, 20 Å between "
            "images) of 8 atoms; nothing displaced",
            licence=_OWN,
            citation="Curtiss, Raghavachari, Redfern & Pople, J. Chem. Phys. 106, 1063 (1997)",
            periodic=False,
            notes="H, C, N and O. A structure with elements that the model does not support is a row with status unsupported. The crystals are periodic.",
            whole=True,
        ),
        SystemRow(
            name="ml-peg-ten",
            summary="The ten structures of ml-peg's benchmark of the Jacobian's symmetry",
            n_atoms="2-12",
            structures=10,
            made="molecules in the geometries of the G2 set, the cubic cell of diamond (a = 3.567 Å) and graphene (a = 2.46 Å, 20 Å between images) of 2 atoms; "
            "nothing displaced",
            licence=_OWN,
            citation="ddmms/ml-peg, calc_jacobian_symmetry.py",
            periodic=False,
            notes="H, C, N, O and S. For lambda --protocol ml-peg-lambda. The crystals are periodic.",
            whole=True,
        ),
    )


def _datasets() -> tuple[SystemRow, ...]:
    return (
        SystemRow(
            name="water-dft",
            summary="Liquid water, 64 H2O, frames of a DFT trajectory: the held-out test block only",
            n_atoms="192",
            structures=_WATER_DFT_TEST,
            made=f"downloaded; a seeded choice of the last {_WATER_DFT_TEST} of {WATER_DFT.n_frames} frames in recovered "
            "time order, which are not in the training set of the bundled model",
            licence=WATER_DFT.licence,
            citation=WATER_DFT.citation,
            temperature_K=300.0,
            timestep_fs=0.5,
            notes="The source's own training and validation frames are shuffled samples of one trajectory.",
        ),
        SystemRow(
            name="qm9",
            summary="Organic molecules of QM9 at their B3LYP minima",
            n_atoms="10-27",
            structures=QM9.n_frames,
            made="downloaded; a seeded choice",
            licence=QM9.licence,
            citation=QM9.citation,
            periodic=False,
            temperature_K=300.0,
            timestep_fs=0.5,
        ),
        SystemRow(
            name="mptrj",
            summary="Frames of the MPtrj relaxations of inorganic crystals, PBE",
            n_atoms="2-192",
            structures=MPTRJ.n_frames,
            made="downloaded; a seeded choice",
            licence=MPTRJ.licence,
            citation=MPTRJ.citation,
        ),
        SystemRow(
            name="mptrj-small",
            summary=f"Frames of mptrj with at most {MPTRJ_SMALL_ATOMS} atoms",
            n_atoms=f"2-{MPTRJ_SMALL_ATOMS}",
            structures=MPTRJ_SMALL_FRAMES,
            made="downloaded; a seeded choice",
            licence=MPTRJ.licence,
            citation=MPTRJ.citation,
            notes="Cheaper to relax than mptrj, which has cells of up to 192 atoms.",
        ),
        SystemRow(
            name="oc20-o-alloy",
            summary="An oxygen atom on a Mo-Rh surface, the end of an OC20 relaxation, RPBE",
            n_atoms="97",
            structures=OC20.n_frames,
            made="downloaded; the last frame, its constraint removed",
            licence=OC20.licence,
            citation=OC20.citation,
            temperature_K=300.0,
            timestep_fs=1.0,
            notes="Layers constrained in the source have forces of 1 eV/Å and release heat. The paper's alloy is another one, Sc-Co-Al.",
        ),
    )


def _count_frames(path: Path) -> int:
    """Frames of an XYZ file, counted from its atom counts only; 0 without a file."""
    if not path.is_file():
        return 0
    lines = path.read_text(encoding="utf-8").splitlines()
    frames = place = 0
    while place < len(lines) and lines[place].strip():
        place += 2 + int(lines[place])
        frames += 1
    return frames
