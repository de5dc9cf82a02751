"""Forces and Jacobian products of structures too large for one model call, from overlapping pieces.

The energy of an atom of a message-passing model with L layers depends on atoms that L edges of the neighbour graph reach (one more where the readout uses the
neighbours' messages). A piece is a group of central atoms with all atoms that so many edges reach: the central atoms' energies and direct forces are
those of the whole structure, to rounding. Energies of the central atoms of all pieces add up to the energy, and their gradients to its gradient:

    E = Σ_p E_p,    ∂E/∂r_i = Σ_p ∂E_p/∂r_i,    ∂²E/∂r_i∂r_j = Σ_p ∂²E_p/∂r_i∂r_j.

Memory is that of one piece; every overlap is computed more than once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ncbench.models.interface import Linearization
from ncbench.models.second_derivatives import differentiable_twice, second_derivatives
from ncbench.models.verlet import Pairs

FEWEST_CENTRAL = 32
"""Groups are not divided below this number of central atoms, however many atoms their edges reach."""


@dataclass(frozen=True)
class Piece:
    """A group of atoms of one replica and the atoms that its results depend on."""

    replica: int
    atoms: torch.Tensor
    """[M] int64, numbers within the replica; the central atoms are the first."""
    n_central: int

    @property
    def central(self) -> torch.Tensor:
        """[C] int64."""
        return self.atoms[: self.n_central]

    def inside(self, pairs: Pairs, n_atoms: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Pairs between two atoms of the piece: their places [P] in the list of all replicas of ``n_atoms`` atoms each, and first and second atoms as numbers 0 … M − 1."""
        number = torch.full((n_atoms,), -1, dtype=torch.int64, device=self.atoms.device)
        number[self.atoms] = torch.arange(len(self.atoms), device=self.atoms.device)
        own = (pairs.replica == self.replica).nonzero()[:, 0]
        first = number[pairs.first[own] - self.replica * n_atoms]
        second = number[pairs.second[own] - self.replica * n_atoms]
        kept = ((first >= 0) & (second >= 0)).nonzero()[:, 0]
        return own[kept], first[kept], second[kept]


class PieceModel(ABC):
    """A model's results for one piece."""

    piece: Piece

    @abstractmethod
    def __call__(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The energy of the central atoms, eV, and in direct mode their forces [C, 3], eV/Å; ``positions`` [M, 3] float64, Å, of all atoms of the piece."""


def divide(pairs: Pairs, positions: torch.Tensor, hops: int, most: int) -> Iterator[Piece]:
    """Pieces, found one by one, of at most ``most`` atoms where ``FEWEST_CENTRAL`` allows it; together their central atoms are all atoms.

    Args:
        pairs: directed pairs of R replicas, each in both directions.
        positions: [R, N, 3], Å, wrapped into the cell; used for compact groups only.
        hops: edges of the graph over which results depend on other atoms.
        most: limit of the number of atoms of a piece.
    """
    n_replicas, n_atoms = positions.shape[:2]
    for replica in range(n_replicas):
        own = (pairs.replica == replica).nonzero()[:, 0]
        first, second = pairs.first[own] - replica * n_atoms, pairs.second[own] - replica * n_atoms
        waiting = [torch.arange(n_atoms, device=positions.device)]
        while waiting:
            central = waiting.pop()
            reached = _reached(central, first, second, hops, n_atoms)
            if int(reached.sum()) > most and len(central) >= 2 * FEWEST_CENTRAL:
                waiting += _halves(central, positions[replica])
                continue
            reached[central] = False
            yield Piece(replica, torch.cat([central, reached.nonzero()[:, 0]]), len(central))


def _reached(central: torch.Tensor, first: torch.Tensor, second: torch.Tensor, hops: int, n_atoms: int) -> torch.Tensor:
    """[N] bool: atoms within so many edges of the central ones, which are included."""
    reached = torch.zeros(n_atoms, dtype=torch.bool, device=central.device)
    reached[central] = True
    for _ in range(hops):
        reached[second[reached[first]]] = True
    return reached


def _halves(central: torch.Tensor, positions: torch.Tensor) -> list[torch.Tensor]:
    """Two groups of equal size on both sides of a plane across the longest direction."""
    at = positions[central]
    along = int((at.amax(0) - at.amin(0)).argmax())
    order = central[torch.sort(at[:, along], stable=True).indices]
    middle = len(order) // 2
    return [order[middle:], order[:middle]]


def energy_and_forces(models: Sequence[PieceModel], positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Energies [R] (eV) and forces [R, N, 3] (eV/Å) at ``positions`` [R, N, 3] (Å), without a graph."""
    energy, forces = positions.new_zeros(positions.shape[0]), torch.zeros_like(positions)
    for model in models:
        piece = model.piece
        leaf = positions[piece.replica, piece.atoms].detach().requires_grad_(torch.is_grad_enabled())
        part, direct = model(leaf)
        energy[piece.replica] += part.detach()
        if direct is None:
            (gradient,) = torch.autograd.grad(part, leaf)
            forces[piece.replica].index_add_(0, piece.atoms, -gradient)
        else:
            forces[piece.replica, piece.central] = direct.detach()
    return energy, forces


class PiecewiseLinearization(Linearization):
    """Jacobian products piece by piece; each product evaluates every piece again, so that no graph is kept.

    Args:
        models: the pieces.
        positions: [R, N, 3], Å.
        forces: [R, N, 3], eV/Å, finished.
        project: the linear, symmetric map by which the model's forces become the finished ones (removal of the net force).
    """

    def __init__(
        self,
        models: Sequence[PieceModel],
        positions: torch.Tensor,
        forces: torch.Tensor,
        project: Callable[[torch.Tensor], torch.Tensor],
    ) -> None:
        self.forces = forces.detach()
        self._models, self._positions, self._project = models, positions.detach(), project

    def vjp(self, cotangents: torch.Tensor) -> torch.Tensor:
        """See :class:`ncbench.models.interface.Linearization`."""
        return self._summed(self._project(cotangents), _transposed)

    def jvp(self, tangents: torch.Tensor) -> torch.Tensor:
        """See :class:`ncbench.models.interface.Linearization`."""
        return self._project(self._summed(tangents, _forward))

    def _summed(self, vectors: torch.Tensor, product: Any) -> torch.Tensor:
        summed = torch.zeros_like(self._positions)
        for model in self._models:
            piece = model.piece
            leaf = self._positions[piece.replica, piece.atoms].requires_grad_()
            with second_derivatives(), differentiable_twice(leaf.device):
                rows, values = product(model, leaf, vectors[piece.replica])
            summed[piece.replica].index_add_(0, rows, values.detach())
        return summed


def _transposed(model: PieceModel, leaf: torch.Tensor, vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    energy, direct = model(leaf)
    if direct is None:
        return _hessian(model, energy, leaf, vectors)
    (product,) = torch.autograd.grad(direct, leaf, vectors[model.piece.central])
    return model.piece.atoms, product


def _forward(model: PieceModel, leaf: torch.Tensor, vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    energy, direct = model(leaf)
    if direct is None:
        return _hessian(model, energy, leaf, vectors)
    # Jᵀv is linear in v, and its derivative with respect to v is J.
    dummy = torch.zeros_like(direct, requires_grad=True)
    (transposed,) = torch.autograd.grad(direct, leaf, dummy, create_graph=True)
    (product,) = torch.autograd.grad(transposed, dummy, vectors[model.piece.atoms])
    return model.piece.central, product


def _hessian(
    model: PieceModel, energy: torch.Tensor, leaf: torch.Tensor, vectors: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Forces are minus the gradient: J is minus the Hessian, and symmetric."""
    (gradient,) = torch.autograd.grad(energy, leaf, create_graph=True)
    (product,) = torch.autograd.grad(gradient, leaf, vectors[model.piece.atoms])
    return model.piece.atoms, -product
