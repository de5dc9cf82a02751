"""Loads the requested structures: cases from named systems and files."""

from __future__ import annotations

import math
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ase import Atoms

from ncbench.errors import DataError, StructureWarning, UsageError
from ncbench.models.checks import check_structure
from ncbench.structures import crystals, datasets, systems
from ncbench.structures.files import locate, read_frames
from ncbench.structures.labels import repeat_energy
from ncbench.structures.perturb import displaced, supercell, with_sites
from ncbench.structures.small_ten import ml_peg_ten, small_ten
from ncbench.structures.water import water_molecule
from ncbench.types import Case, SystemRequest

Numbered = list[tuple[int, Atoms]]
"""Structures with the numbers in their names."""

_CRYSTALS: dict[str, tuple[Callable[[], Atoms], tuple[float, float, float]]] = {
    "al-fcc": (crystals.al_fcc, (0.10, 0.10, 0.10)),
    "diamond": (crystals.diamond, (0.028, 0.028, 0.028)),
    "argon": (crystals.argon, (0.10, 0.10, 0.10)),
    "graphene": (crystals.graphene, (0.022, 0.022, 0.048)),
    "harmonic-crystal": (crystals.harmonic_crystal, (0.072, 0.072, 0.072)),
}
"""Builder, and Gaussian displacements along x, y and z, Å: of independent atoms, (k_B T/k)^½ with the force constant k of one atom
with all others fixed gives the potential energy of 300 K. Graphene has 54 eV/Å² in plane and 11 out of plane, diamond 33 (SevenNet-0)."""

_BY_NAME = {"small-ten": small_ten, "ml-peg-ten": ml_peg_ten}
"""Systems whose structures have names instead of numbers."""

_SNAPSHOTS = {"water64": systems.WATER64, "water8": systems.WATER8, "amorphous-carbon": systems.AMORPHOUS_CARBON}
"""Files of the package; their structures are used in order."""


def validate_system(request: SystemRequest) -> None:
    """Check a request without reading structures.

    Raises:
        UsageError: neither or both of a name and a path, an unknown name, more structures than there are, counts below 1,
            a repeat of something that is not periodic, no such file, a folder, an empty file, an invalid index.
    """
    if (request.name is None) == (request.path is None):
        raise UsageError(
            "Name either a system or a structure file, not both.", hint="Use --system NAME or --structure FILE."
        )
    if request.structures is not None and request.structures < 1:
        raise UsageError(f"{request.structures} structures were requested; at least 1 is needed.")
    if any(count < 1 for count in request.repeat):
        raise UsageError(f"The repeat {'x'.join(map(str, request.repeat))} has a count below 1.")
    if request.path is not None:
        locate(request.path)
        return
    row = systems.get(str(request.name))
    if request.structures is not None and row.structures and request.structures > row.structures:
        raise UsageError(f"{row.name} has {row.structures} structures, but {request.structures} were requested.")
    if not row.periodic and request.repeat != (1, 1, 1):
        raise UsageError(f"{row.name} is not periodic and cannot be repeated.")


def load_cases(system: SystemRequest, default_count: int, seed: int) -> list[Case]:
    """The requested structures, each checked, with its reference positions in the array ``sites``.

    Args:
        system: name or file, count, repeat.
        default_count: number of structures if the request does not give it; fewer if there are not enough.
        seed: chooses frames of data sets and draws displacements. The structures of a smaller count are the first of a larger one.

    Returns:
        cases named ``SYSTEM#NUMBER``. The number is a data set's own frame number, and a count elsewhere; the structures of
        ``small-ten`` and ``ml-peg-ten`` have names instead of numbers.

    Raises:
        UsageError: see :func:`validate_system`; a file that ASE cannot read or without the requested frames.
        StructureError: a structure that cannot be evaluated.
        DataError: a data set that is neither on this machine nor can be downloaded.
    """
    validate_system(system)
    if system.path is not None:
        path, index = locate(system.path)
        count = system.structures or default_count

        def more() -> None:
            if system.structures is None:
                warnings.warn(
                    f"{system.label} has more than {count} structures; the first {count} are used. --structures N takes N of them.",
                    StructureWarning,
                    stacklevel=2,
                )

        frames: Numbered = list(enumerate(read_frames(path, index, count, more)))
        if system.structures and len(frames) < system.structures:
            raise UsageError(f"{system.label} has {len(frames)} structures, but {system.structures} were requested.")
    else:
        row = systems.get(str(system.name))
        usual = row.structures if row.whole and row.structures else default_count
        frames = _named(row.name, system.structures or min(usual, row.structures or usual), seed)
    cases = []
    for number, atoms in frames:
        name = f"{system.label}#{atoms.info.pop('name', number) if system.name in _BY_NAME else number}"
        atoms.calc = None
        check_structure(atoms, name=name)
        large = supercell(with_sites(atoms), system.repeat)
        repeat_energy(large, math.prod(system.repeat))
        cases.append(Case(name, large))
    return cases


def _named(name: str, count: int, seed: int) -> Numbered:
    if name in _SNAPSHOTS:
        return _snapshots(_SNAPSHOTS[name], count)
    if name == "water-molecule":
        return [(0, water_molecule())]
    if name in _BY_NAME:
        return list(enumerate(_BY_NAME[name]()[:count]))
    if name in _CRYSTALS:
        build, sigma_A = _CRYSTALS[name]
        ideal = with_sites(build())
        return [(i, displaced(ideal, sigma_A, np.random.default_rng([seed, _salt(name), i]))) for i in range(count)]
    return _drawn(name, count, seed)


def _snapshots(path: Path, count: int) -> Numbered:
    if not path.is_file():
        raise DataError(f"This installation lacks the file {path.name}.", hint="Install ncbench again.")
    return list(enumerate(read_frames(path, slice(None), count)))


_READERS = {"qm9": datasets.read_qm9, "mptrj": datasets.read_mptrj, "oc20-o-alloy": datasets.read_oc20}


def _drawn(name: str, count: int, seed: int) -> Numbered:
    """A seeded choice of a data set's frames."""
    if name == "water-dft":
        frames, candidates = datasets.read_water_dft(), datasets.water_dft_split().test
    elif name == "mptrj-small":
        frames, candidates = datasets.read_mptrj(), datasets.mptrj_small()
    else:
        frames = _READERS[name]()
        candidates = np.arange(len(frames))
    chosen = np.random.default_rng([seed, _salt(name)]).permutation(candidates)[:count]
    return [(int(number), frames[int(number)]) for number in chosen]


def _salt(name: str) -> int:
    """Gives different systems independent random streams under one seed."""
    return zlib.crc32(name.encode())
