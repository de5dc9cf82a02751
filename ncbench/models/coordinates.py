"""Coordinates moved to the origin before they are cast to a model's dtype.

A float32 at 1000 Å keeps 6e-5 Å: a structure far from the origin, or unwrapped atoms after nanoseconds of diffusion, would be
evaluated at rounded positions. Lattice vectors and a common shift change no distance; subtracted in float64 they lose no precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms

from ncbench.models.checks import MOST_EXTENT_A, MOST_OFFSET_A


def is_somewhere(positions: torch.Tensor, periodic: torch.Tensor) -> torch.Tensor:
    """[R]: whether positions [R, N, 3] (Å) of a replica are finite, and close enough together for a neighbour search.

    ``periodic`` [R, 3]. Cell lists grow with the extent along directions that are not periodic, until memory is exhausted or integers overflow.
    """
    at = positions.detach()
    finite = torch.isfinite(at).all(dim=2).all(dim=1)
    extent = torch.where(periodic, 0.0, at.amax(dim=1) - at.amin(dim=1)).amax(dim=1)
    return finite & (extent <= MOST_EXTENT_A) & (at.abs().amax(dim=2).amax(dim=1) <= MOST_OFFSET_A)


def periodic_directions(structures: Sequence[Atoms], device: torch.device) -> torch.Tensor:
    """[R, 3], bool."""
    return torch.as_tensor(np.stack([atoms.pbc for atoms in structures]), device=device)


@dataclass(frozen=True)
class Near:
    """Positions near the origin, and the shifts that were applied."""

    positions: torch.Tensor
    """[R, N, 3] float64, Å, attached to the autograd graph of the input."""
    wraps: torch.Tensor
    """[R, N, 3] int64: cell vectors subtracted from each atom; zero along directions that are not periodic."""

    def shifts(self, first: torch.Tensor, second: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
        """Cell shifts [P, 3] of pairs between atoms numbered 0 … R·N − 1, for these positions.

        r_j + S h − r_i is unchanged under r = r′ + n h with S′ = S + n_j − n_i.
        """
        flat = self.wraps.reshape(-1, 3)
        return shifts + flat[second] - flat[first]


class Origin:
    """Moves R structures of fixed cells and periodicity to the origin."""

    def __init__(self, structures: Sequence[Atoms], device: torch.device) -> None:
        complete = np.stack([np.asarray(atoms.cell.complete()) for atoms in structures])
        self._inverse = torch.as_tensor(np.linalg.inv(complete), dtype=torch.float64, device=device)
        self._periodic = periodic_directions(structures, device)[:, None, :]

    def near(self, positions: torch.Tensor, cells: torch.Tensor) -> Near:
        """``positions`` [R, N, 3] and ``cells`` [R, 3, 3], float64, may carry gradients; the shift common to all atoms carries none."""
        with torch.no_grad():
            scaled = torch.floor(torch.bmm(positions, self._inverse)) * self._periodic
            wraps = torch.nan_to_num(scaled).to(torch.int64)
        wrapped = positions - torch.bmm(wraps.to(positions.dtype), cells)
        return Near(wrapped - wrapped.detach().mean(dim=1, keepdim=True), wraps)
