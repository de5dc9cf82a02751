"""Pieces of a structure for metatomic models, which give the outputs of selected atoms of a system."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from metatensor.torch import Labels
from metatomic.torch import ModelCapabilities, ModelEvaluationOptions, System

from ncbench import memory
from ncbench.models.pieces import Piece, PieceModel, divide
from ncbench.types import ForceMode

if TYPE_CHECKING:
    from ncbench.models.families.pet.adapter import MetatomicField
    from ncbench.models.verlet import Pairs

SMALLEST = 2048
"""Structures of fewer atoms are never divided."""
TRIAL_ATOMS = 1024
"""Number of atoms of the piece on which memory is measured."""
SHARE = 0.6
"""Part of the device's memory that one piece may take."""
PEAK = (1.0, 4.0, 8.0)
"""Largest memory of a call over that of the tensors kept for a gradient: of direct forces, the gradient, and Jacobian products. Measured with pet-m on 4,000 to 12,000 atoms, where
the process keeps its pages (:mod:`ncbench.allocator`): 0.8, 3.9 and 7."""


def reach_A(capabilities: ModelCapabilities, cutoff: float) -> float:
    """Distance beyond which an atom's energy and direct force cannot depend on another atom, Å; infinite where they depend on all atoms.

    The declared range of a PET is layers × cutoff, but its readout of an edge uses the reverse message from the neighbour, one cutoff
    further (at 3.5 Å and two layers ∂f_i/∂r_j extends to 10.5 Å).
    """
    return float(capabilities.engine_interaction_range("angstrom")) + cutoff


def in_pieces(field: MetatomicField, positions: torch.Tensor, order: int) -> list[PieceModel] | None:
    """Pieces that fit into memory; ``None`` as of :func:`most_atoms`. Arguments as of :meth:`ncbench.models.torch_field.TorchField.piece_models`."""
    most = most_atoms(field, order)
    return None if most is None else list(pieces_of(field, positions, most))


def most_atoms(field: MetatomicField, order: int) -> int | None:
    """Atoms of one piece, by the device's memory; ``None`` where the whole structure fits, results depend on all atoms, or the memory is not known."""
    if field.n_atoms < SMALLEST or not field.lists or not math.isfinite(reach_A(field.model.capabilities(), 0.0)):
        return None
    room = memory.total(field.device)
    if room is None:
        return None
    most = max(TRIAL_ATOMS, int(SHARE * room / (PEAK[order] * _kept_bytes(field))))
    return most if field.n_atoms > most else None


def pieces_of(field: MetatomicField, positions: torch.Tensor, most: int) -> Iterator[PieceModel]:
    """Pieces, made one by one, of at most ``most`` atoms, as far as that is possible."""
    cutoffs = [verlet.cutoff for _, verlet in field.lists]
    widest = cutoffs.index(max(cutoffs))
    hops = math.ceil(reach_A(field.model.capabilities(), cutoffs[widest]) / cutoffs[widest] - 1e-6)
    all_pairs = [verlet(positions) for _, verlet in field.lists]
    near = field.origin.near(positions, field.cells)
    for piece in divide(all_pairs[widest], near.positions, hops, most):
        yield _MetatomicPiece(field, piece, positions, near.positions, near.wraps, all_pairs)


class _MetatomicPiece(PieceModel):
    """One piece as a metatomic system of which only the central atoms are selected."""

    def __init__(
        self,
        field: MetatomicField,
        piece: Piece,
        positions: torch.Tensor,
        near: torch.Tensor,
        wraps: torch.Tensor,
        all_pairs: list[Pairs],
    ) -> None:
        self.field, self.piece = field, piece
        replica, atoms = piece.replica, piece.atoms
        self.types, self.pbc = field.types[replica][atoms], field.pbc[replica]
        self.cell = field.cells[replica]
        # The same for all atoms but for cell vectors, which the pairs' shifts hold.
        self.moved = near[replica, atoms] - positions[replica, atoms]
        self.pairs = [self._of(pairs, wraps) for pairs in all_pairs]
        central = torch.arange(piece.n_central, device=atoms.device, dtype=torch.int32)
        self.selected = Labels(["system", "atom"], torch.column_stack([torch.zeros_like(central), central]))
        numbers = field.structures[replica].numbers[piece.central.cpu().numpy()].tolist()
        self.reference_eV = sum(field.references_eV.get(z, 0.0) for z in numbers)

    def _of(self, pairs: Pairs, wraps: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Samples [P, 5] int32, first and second atoms [P], and what the cell adds to their vectors [P, 3], Å."""
        places, first, second = self.piece.inside(pairs, self.field.n_atoms)
        shifts = pairs.shifts[places]
        own = wraps[self.piece.replica, self.piece.atoms]
        samples = torch.column_stack([first, second, shifts + own[second] - own[first]]).to(torch.int32)
        return samples, first, second, shifts.double() @ self.cell

    def __call__(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """See :class:`ncbench.models.pieces.PieceModel`."""
        field = self.field
        cell = (self.cell * field.periodic[self.piece.replica]).to(field.dtype)
        system = System(self.types, (positions + self.moved).to(field.dtype), cell, self.pbc)
        for name, value in field.inputs.items():
            system.add_data(name, value)
        for (options, _), (samples, first, second, offsets) in zip(field.lists, self.pairs, strict=True):
            vectors = (positions[second] - positions[first] + offsets).to(field.dtype)
            system.add_neighbor_list(options, field.pair_block(samples, vectors[..., None]))
        wanted = ModelEvaluationOptions(length_unit="angstrom", outputs=field.outputs, selected_atoms=self.selected)
        outputs = field.model([system], wanted, check_consistency=False)
        energy = positions.new_full((), torch.nan)
        if field.card.has_energy:
            energy = outputs["energy"].block().values[0, 0].double() + self.reference_eV
        if field.card.force_mode is ForceMode.CONSERVATIVE:
            return energy, None
        block = outputs[field.direct].block()
        order = torch.argsort(block.samples.column("atom"))
        return energy, block.values.reshape(-1, 3).double()[order]


def _kept_bytes(field: MetatomicField) -> float:
    """Bytes an atom that a call keeps for a gradient, counted on a piece of the bound structure: the same number at every call and after a restart."""
    if field.kept_bytes is None:
        kept: dict[int, int] = {}

        def count(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = max(storage.nbytes(), kept.get(storage.data_ptr(), 0))
            return tensor

        positions = field.initial_positions()
        trial = next(pieces_of(field, positions, TRIAL_ATOMS))
        leaf = positions[trial.piece.replica, trial.piece.atoms].requires_grad_()
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            trial(leaf)
        field.kept_bytes = sum(kept.values()) / len(trial.piece.atoms)
    return field.kept_bytes
