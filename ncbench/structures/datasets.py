"""Public data sets: URL, digest, licence and reader of each file. None is part of the package.

A URL contains the commit of its source, so that its content never changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from ncbench.structures.download import RemoteFile, fetch

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms
    from numpy.typing import NDArray

    from ncbench.structures.blocks import BlockSplit

_RAW = "https://raw.githubusercontent.com/"
_WATER = _RAW + "deepmodeling/deepmd-kit/bc902daf747d93c5d7314338d287fd2dd0a7e32c/examples/water/data/"

_WATER_SETS = ("data_0/set.000", "data_1/set.000", "data_1/set.001", "data_2/set.000", "data_3/set.000")
"""Frames are numbered through these folders in this order, 80 in each."""
_WATER_DIGESTS = {
    "data_0/type.raw": "c0287bfae960bdddafa96841b59c29ac9b7548ddac0b5bebd30fb502563d0507",
    "data_0/type_map.raw": "2af2202bdb95741681b308b05c1dae7837141fe32b10d14db2a4c0ea9103e55b",
    "data_0/set.000/box.npy": "88376dc931e272a3569cabcab0f1ee4320168c73ee183ae60f7086b473fc719d",
    "data_0/set.000/coord.npy": "58554d0ef240b54a242a8163e112d673872f5be5198c86c4eb8d5f39602ff645",
    "data_0/set.000/energy.npy": "920c4628018c12a4d38c22aef7f41ca483a02747319a42dd4e4f703e2a9f70c8",
    "data_0/set.000/force.npy": "fae9be94125902c089720416a4cea521380a415709ead1f9134b7f64f46f1e58",
    "data_1/set.000/coord.npy": "b9cf07c179a0f975a3b8607f439602e9a78b9bec3b02aa8afe812d716563f380",
    "data_1/set.000/energy.npy": "d3b407e3b67f953fe496a62e1f7dc84d07a8bfcfb748bfaafbca435809012b93",
    "data_1/set.000/force.npy": "7a3099c380a57379574e5b854f43589e736b785d6f747c68d093a45b3f85b542",
    "data_1/set.001/coord.npy": "f4581f0f4aedb910b8580157a9dca622c5cd3b71428f5924bdeed0192ab50dd2",
    "data_1/set.001/energy.npy": "d4634357a81940e5aca110cd5285b3b72503f4ae13bbfffbe5791c145748a4bf",
    "data_1/set.001/force.npy": "19313e524e1900eaf721ec7be9f2a48b854301aefc884f6ca4815824aa4b6a77",
    "data_2/set.000/coord.npy": "c9fd13c05992f98efe1d78ae0b70f0565820aceeaf0d25f17b02a0f29a0b84c8",
    "data_2/set.000/energy.npy": "a38b8cd8e897ded6ac3a6d88559358c634575bede2ae930bc2557b1047059b49",
    "data_2/set.000/force.npy": "fda708ae95c73edca449709c2adfdf494acc6379323d92f865b1698c3830634f",
    "data_3/set.000/coord.npy": "f9169bb378e0a4641c65171ccedd47d7b3ac115bc8e1ac8c72be1ce81959e793",
    "data_3/set.000/energy.npy": "8e7289bd03566f737f998e26fcdc3e838482e7bb80356939567b3a920d23f1c8",
    "data_3/set.000/force.npy": "7abe876297cd5c989289760435c2258c3ad7be94bb6ed40640efbefb55b76a68",
}
"""The source repeats the box and the types in every folder; the first of each is used for all."""


@dataclass(frozen=True)
class Dataset:
    """A data set: its files and their licence."""

    name: str
    files: tuple[RemoteFile, ...]
    n_frames: int
    licence: str
    citation: str


WATER_DFT = Dataset(
    name="water-dft",
    files=tuple(RemoteFile(_WATER + place, digest) for place, digest in _WATER_DIGESTS.items()),
    n_frames=400,
    licence="LGPL-3.0 (the source repository, deepmodeling/deepmd-kit)",
    citation="Zhang, Han, Wang, Car & E, Phys. Rev. Lett. 120, 143001 (2018)",
)
QM9 = Dataset(
    name="qm9",
    files=(
        RemoteFile(
            _RAW + "BingqingCheng/ASAP/fe15d45f16aa20a9fb4f53996f6758b74eefbf53/tests/small_molecules-1000.xyz",
            "ab51eb77df7310dea6f49d4b2c29c28a8e5e4867f015549592c5fb589768636e",
        ),
    ),
    n_frames=985,
    licence="MIT (the source repository, BingqingCheng/ASAP)",
    citation="Ramakrishnan, Dral, Rupp & von Lilienfeld, Sci. Data 1, 140022 (2014)",
)
MPTRJ = Dataset(
    name="mptrj",
    files=(
        RemoteFile(
            _RAW + "microsoft/mattersim/296630372948fd35613939d14d3f97daa27cefda/data/benchmarks/mptrj-random-1k.xyz",
            "8e48469016e5baf69d765580416238c81ea84887db61dc424c43936ebf50f7e5",
        ),
    ),
    n_frames=1000,
    licence="MIT (the source repository, microsoft/mattersim)",
    citation="Deng et al., Nat. Mach. Intell. 5, 1031 (2023)",
)
OC20 = Dataset(
    name="oc20-o-alloy",
    files=(
        RemoteFile(
            _RAW
            + "facebookresearch/fairchem/c18e4215194fae267dfbc7e0c3a5f357f31d13d6/ocpmodels/common/efficient_validation/"
            "debug_data/random1000163.traj",
            "9e76a40e2410c44e5c27df1c95527fe76145c4008ce300ce45827f68a1542e9e",
        ),
    ),
    n_frames=1,
    licence="CC-BY-4.0 (the data), MIT (the source repository, facebookresearch/fairchem)",
    citation="Chanussot et al., ACS Catal. 11, 6059 (2021)",
)

MPTRJ_SMALL_ATOMS, MPTRJ_SMALL_FRAMES = 40, 745
"""Largest size of the structures of mptrj-small, and their number."""

WATER_TRAIN, WATER_VALIDATION, WATER_GAP = 328, 24, 4
"""The blocks of water-dft that the bundled model was trained and validated on; the last 40 frames in time are for tests."""


def _water_dft_order() -> NDArray[np.int64]:
    import numpy as np

    return np.loadtxt(str(files("ncbench.structures") / "data" / "water-dft-order.txt"), dtype=np.int64).ravel()


def water_dft_split() -> BlockSplit:
    """Train, validation and test frames of water-dft, by blocks of the recovered time order. Needs no data file."""
    from ncbench.structures.blocks import block_split

    return block_split(_water_dft_order(), train=WATER_TRAIN, validation=WATER_VALIDATION, gap=WATER_GAP)


def read_water_dft() -> list[Atoms]:
    """The 400 frames in the source's order, wrapped into the cell, with ``info["energy_dft"]`` (eV),
    ``arrays["forces_dft"]`` [192, 3] (eV/Å) and ``info["time_index"]``, the place in the recovered time order.

    The source's forces carry a net force of 0.16 eV/Å per frame on average, which is an error of the calculation: each
    frame's mean force is subtracted.

    Raises:
        DataError: the files are not available.
    """
    import numpy as np
    from ase import Atoms

    paths = {place: fetch(file) for place, file in zip(_WATER_DIGESTS, WATER_DFT.files, strict=True)}

    def stacked(quantity: str) -> np.ndarray:
        return np.concatenate([np.load(paths[f"{name}/{quantity}.npy"]) for name in _WATER_SETS]).astype(np.float64)

    names = np.array(paths["data_0/type_map.raw"].read_text().split())
    symbols = list(names[np.loadtxt(paths["data_0/type.raw"], dtype=np.int64)])
    cell = np.load(paths["data_0/set.000/box.npy"])[0].reshape(3, 3).astype(np.float64)
    times = np.argsort(_water_dft_order())
    frames = []
    for time, positions, energy, forces in zip(
        times,
        stacked("coord").reshape(-1, len(symbols), 3),
        stacked("energy"),
        stacked("force").reshape(-1, len(symbols), 3),
        strict=True,
    ):
        atoms = Atoms(symbols, positions=positions, cell=cell, pbc=True)
        atoms.wrap()
        atoms.info["energy_dft"] = float(energy)
        atoms.info["time_index"] = int(time)
        atoms.set_array("forces_dft", forces - forces.mean(axis=0))
        frames.append(atoms)
    return frames


def read_qm9() -> list[Atoms]:
    """985 molecules at their B3LYP/6-31G(2df,p) minima, without a cell.

    Raises:
        DataError: the file is not available.
    """
    frames = _read_extxyz(QM9.files[0])
    for atoms in frames:
        # The source has an arbitrary box for every molecule.
        atoms.set_cell(None)
        atoms.info.clear()
    return frames


def read_mptrj() -> list[Atoms]:
    """1000 frames of MPtrj, 2 to 192 atoms, 85 elements, unchanged: strained, displaced, some far from equilibrium.

    ``info["energy_dft"]`` (eV) and ``arrays["forces_dft"]`` (eV/Å) are the source's PBE energies and forces.

    Raises:
        DataError: the file is not available.
    """
    return _read_extxyz(MPTRJ.files[0])


def mptrj_small() -> NDArray[np.int64]:
    """Numbers of the frames of MPtrj with at most :data:`MPTRJ_SMALL_ATOMS` atoms, ascending.

    Raises:
        DataError: the file is not available.
    """
    import numpy as np

    return np.flatnonzero([len(atoms) <= MPTRJ_SMALL_ATOMS for atoms in read_mptrj()])


def read_oc20() -> list[Atoms]:
    """The last frame of a relaxation of O on a Mo-Rh slab, 97 atoms: the adsorbate and the layers below it relaxed.

    The constraint on the lower layers in the source is removed, so that dynamics conserve energy and momentum.
    ``info["energy_dft"]`` (eV) and ``arrays["forces_dft"]`` (eV/Å, 1 eV/Å in the constrained layers) are the source's RPBE
    energies and forces.

    Raises:
        DataError: the file is not available.
    """
    from ase.io import read

    from ncbench.structures.labels import keep_labels

    atoms = read(fetch(OC20.files[0]), index=-1, format="traj")
    assert not isinstance(atoms, list)
    atoms.set_constraint()
    keep_labels(atoms)
    return [atoms]


def _read_extxyz(file: RemoteFile) -> list[Atoms]:
    from ase.io import read

    from ncbench.structures.labels import keep_labels

    frames = read(fetch(file), index=":", format="extxyz")
    assert isinstance(frames, list)
    for atoms in frames:
        keep_labels(atoms)
    return frames
