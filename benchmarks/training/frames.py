"""Write the training, validation and test frames: blocks of time of one DFT trajectory of water.

The source holds shuffled frames of one trajectory, and its own split leaks: a validation frame has a training frame a few
femtoseconds away. ncbench recovers the order and cuts it into blocks with gaps between them.
"""

from __future__ import annotations

from pathlib import Path

from ase.io import write

from ncbench.structures.datasets import read_water_dft, water_dft_split

PARTS = ("train", "validation", "test")


def prepare(work: Path, limit: int | None = None) -> None:
    """Write ``train.xyz``, ``validation.xyz`` and ``test.xyz`` into ``work``, at most ``limit`` frames each."""
    frames = read_water_dft()
    split = water_dft_split()
    work.mkdir(parents=True, exist_ok=True)
    for name, indices in zip(PARTS, (split.train, split.validation, split.test), strict=True):
        chosen = [frames[index] for index in indices[:limit]]
        write(work / f"{name}.xyz", chosen, format="extxyz")
        print(f"{name}: {len(chosen)} frames")
