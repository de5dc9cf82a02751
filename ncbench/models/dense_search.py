"""Neighbour search on a device other than the CPU: all distances at once, for structures small enough.

A search on the host takes each replica's positions there and the pairs back, one replica after another. All distances of 192 atoms to
27 images of each other are a million numbers, which a GPU compares in less time than one copy takes.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray

from ncbench.models.coordinates import is_somewhere

MOST_DISTANCES = 2**25
"""Distances compared at once, of some 50 bytes each."""


class DenseSearch:
    """Pairs within ``reach`` (Å) of R replicas of N atoms in fixed cells.

    Args:
        cells: [R, 3, 3], Å, complete: a vector also along directions that are not periodic.
        periodic: [R, 3].
        reach: Å.
        device: of the positions.
    """

    def __init__(
        self, cells: NDArray[np.float64], periodic: NDArray[np.bool_], reach: float, device: torch.device
    ) -> None:
        self.reach = reach
        self.cells = torch.as_tensor(cells, dtype=torch.float64, device=device)
        inverse = np.linalg.inv(cells)
        self.inverse = torch.as_tensor(inverse, dtype=torch.float64, device=device)
        self.periodic = torch.as_tensor(periodic, device=device)
        # Planes of lattice points are 1/|column of the inverse| apart; fractional differences of wrapped atoms are between -1 and 1.
        heights = 1.0 / np.linalg.norm(inverse, axis=1)
        most = np.where(periodic, np.floor(reach / heights) + 1, 0).max(axis=0).astype(int)
        images = list(itertools.product(*(range(-n, n + 1) for n in most)))
        self.images = torch.as_tensor(np.array(images, dtype=np.int64), device=device)

    def suits(self, n_atoms: int) -> bool:
        """Whether the distances of one replica of so many atoms fit."""
        return n_atoms**2 * len(self.images) <= MOST_DISTANCES

    def __call__(self, positions: torch.Tensor) -> torch.Tensor:
        """Directed pairs at ``positions`` [R, N, 3] (float64, Å), as [P, 6] int64: first and second atom, numbered 0 … R·N − 1, three cell shifts and the replica.

        In the order of (first, second, shifts). Replicas whose positions are not finite, or too far apart, have no pairs.
        """
        n_replicas, n_atoms = positions.shape[:2]
        step = max(1, MOST_DISTANCES // (n_atoms**2 * len(self.images)))
        chunks = [slice(start, start + step) for start in range(0, n_replicas, step)]
        return torch.cat([self._chunk(positions[chunk], chunk) for chunk in chunks])

    def _chunk(self, positions: torch.Tensor, chunk: slice) -> torch.Tensor:
        n_atoms, cells, periodic = positions.shape[1], self.cells[chunk], self.periodic[chunk]
        known = is_somewhere(positions, periodic)[:, None, None]
        wraps = torch.floor(torch.bmm(positions, self.inverse[chunk])) * periodic[:, None, :]
        wrapped = torch.where(known, positions - torch.bmm(wraps, cells), torch.nan)
        # An image along a direction that is not periodic, which another replica has, is no image.
        allowed = ((self.images[None] == 0) | periodic[:, None, :]).all(dim=2)
        offsets = torch.einsum("sa,rab->rsb", self.images.double(), cells)
        offsets = torch.where(allowed[:, :, None], offsets, torch.nan)
        squares = torch.zeros(1, dtype=torch.float64, device=positions.device)
        for axis in range(3):
            at = wrapped[:, :, axis]
            apart = at[:, None, :, None] - at[:, :, None, None] + offsets[:, None, None, :, axis]
            squares = squares + apart * apart
        within = squares <= self.reach**2
        itself = torch.arange(n_atoms, device=positions.device)
        within[:, itself, itself, len(self.images) // 2] = False
        replica, first, second, image = within.nonzero(as_tuple=True)
        # r_j + S h − r_i of unwrapped positions r = r′ + n h is r′_j + S′ h − r′_i with S = S′ − n_j + n_i.
        whole = torch.nan_to_num(wraps).to(torch.int64)
        shifts = self.images[image] - whole[replica, second] + whole[replica, first]
        replica = replica + chunk.start
        offset = replica * n_atoms
        return torch.column_stack([first + offset, second + offset, shifts, replica])
