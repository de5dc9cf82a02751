"""Base of the native adapters: from float64 positions to forces and their Jacobian products, shared by all families."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from ase import Atoms

from ncbench.errors import NotDifferentiableError, UnsupportedError
from ncbench.models.checks import has_volume
from ncbench.models.coordinates import is_somewhere, periodic_directions
from ncbench.models.interface import Evaluation, Field, FieldOutput, ForceField, Linearization, ModelCard
from ncbench.models.netforce import remove_net_force, remove_torque
from ncbench.models.pieces import PieceModel, PiecewiseLinearization, energy_and_forces
from ncbench.models.second_derivatives import differentiable_twice, second_derivatives
from ncbench.types import ForceMode

BATCH_ATOMS = {"cpu": 512, "cuda": 4096}
"""Maximum number of atoms in one model call of :meth:`TorchForceField.evaluate`, by kind of device; larger batches are not faster and need more memory:
on a CPU about 5 MB per atom with SevenNet-0."""

_INTERRUPTED = "KeyboardInterrupt:"
"""In the message of the RuntimeError that TorchScript makes of an interruption within an operator written in Python, as sphericart's are."""


class TorchField(Field):
    """A bound field whose energy and forces are torch functions of the positions.

    Subclasses implement :meth:`compute`; differentiation, the removal of net forces, stress and linearisation are in this class.
    """

    def __init__(self, structures: Sequence[Atoms], card: ModelCard) -> None:
        super().__init__(structures, torch.device(card.device))
        self.card = card
        cells = np.stack([np.asarray(atoms.cell) for atoms in self.structures])
        self.cells = torch.as_tensor(cells, dtype=torch.float64, device=self.device)
        self.periodic_directions = periodic_directions(self.structures, self.device)

    @abstractmethod
    def compute(self, positions: torch.Tensor, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Energies [R] and, in direct mode, forces [R, N, 3] (else ``None``), float64.

        ``positions`` [R, N, 3] and ``cells`` [R, 3, 3] are float64; results stay attached to their graph if they require a
        gradient.
        """

    def __call__(self, positions: torch.Tensor) -> FieldOutput:
        """See :class:`ncbench.models.interface.Field`."""
        try:
            return self._called(positions)
        except RuntimeError as error:
            if _INTERRUPTED in str(error):
                raise KeyboardInterrupt from error
            raise

    def _called(self, positions: torch.Tensor) -> FieldOutput:
        direct = self.card.force_mode is ForceMode.DIRECT
        pieces = self.piece_models(positions.detach(), 0 if direct else 1)
        if pieces is not None:
            with torch.set_grad_enabled(not direct):
                energy, forces = self._finished(positions, *energy_and_forces(pieces, positions.detach()))
        elif direct:
            with torch.no_grad():
                energy, forces = self._energy_and_forces(positions, create_graph=False)
        else:
            energy, forces = self._energy_and_forces(positions.detach().clone().requires_grad_(), create_graph=False)
        return FieldOutput(energy.detach(), forces.detach())

    def compute_both(self, positions: torch.Tensor, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Energies [R] and the force head's forces [R, N, 3] from one call in conservative mode; ``None`` if the model has no such call."""
        return None

    def piece_models(self, positions: torch.Tensor, order: int) -> list[PieceModel] | None:
        """Pieces of structures at ``positions`` [R, N, 3] (Å) that are too large for one call of the model; ``None`` where they are not, or the model cannot be divided.

        Args:
            positions: without a graph.
            order: 0 for direct forces, 1 for the gradient of an energy, 2 for Jacobian products.
        """
        return None

    def exceeds_memory(self, order: int) -> bool:
        """Whether :meth:`piece_models` gives pieces."""
        return False

    def with_direct_forces(self, positions: torch.Tensor) -> tuple[FieldOutput, torch.Tensor] | None:
        """See :class:`ncbench.models.interface.Field`. The mean of the direct forces is removed unless an option of the model turns that off."""
        if self.card.force_mode is not ForceMode.CONSERVATIVE or self.exceeds_memory(1):
            return None
        leaf = positions.detach().clone().requires_grad_()
        both = self.compute_both(leaf, self.cells)
        if both is None:
            return None
        energy, direct = both
        (gradient,) = torch.autograd.grad(energy.sum(), leaf)
        asked = "net-force-removal" in self.card.options
        if self.card.net_force_removed or not asked:
            direct = remove_net_force(direct)
        forces = remove_net_force(-gradient) if self.card.net_force_removed else -gradient
        _, direct = self._lost_as_nan(positions, energy, direct)
        energy, forces = self._lost_as_nan(positions, energy, forces)
        return FieldOutput(energy.detach(), forces.detach()), direct.detach()

    def linearize(self, positions: torch.Tensor) -> Linearization:
        """See :class:`ncbench.models.interface.Field`."""
        pieces = self.piece_models(positions.detach(), 2)
        if pieces is not None:
            project = remove_net_force if self.card.net_force_removed else torch.clone
            return PiecewiseLinearization(pieces, positions, self(positions).forces, project)
        leaf = positions.detach().clone().requires_grad_()
        _, forces = self._energy_and_forces(leaf, create_graph=True)
        if not forces.requires_grad:
            raise NotDifferentiableError(
                f"Autograd does not reach the positions in {self.card.label}.", hint="Use --method finite-difference."
            )
        return _GraphLinearization(leaf, forces)

    def compute_with_stress(
        self, positions: torch.Tensor, cells: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """:meth:`compute` of a direct mode with the stress [R, 3, 3] (eV/Å³, symmetric) of a stress head.

        Raises:
            UnsupportedError: the model has no stress head.
        """
        raise UnsupportedError(f"{self.card.label} has no stress.")

    def with_stress(self, positions: torch.Tensor) -> tuple[FieldOutput, torch.Tensor]:
        """Energies, forces and stresses [R, 3, 3] (eV/Å³).

        σ = (1/V) ∂E/∂ε at r → r(1 + ε), h → h(1 + ε), with ε symmetric; in direct mode the output of the stress head.

        Raises:
            UnsupportedError: a direct mode without a stress head.
        """
        at = positions.detach().clone().requires_grad_(self.card.force_mode is ForceMode.CONSERVATIVE)
        energy, forces, stress = self._with_stress(at, create_graph=False)
        return FieldOutput(energy.detach(), forces.detach()), stress.detach()

    def stress_gradients(self, positions: torch.Tensor) -> torch.Tensor:
        """See :class:`ncbench.models.interface.Field`."""
        leaf = positions.detach().clone().requires_grad_()
        _, _, stress = self._with_stress(leaf, create_graph=True)
        if not stress.requires_grad:
            raise NotDifferentiableError(f"Autograd does not reach the positions from the stress of {self.card.label}.")
        out = positions.new_empty((self.n_replicas, 3, 3, self.n_atoms, 3))
        for a, b in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)):
            (gradient,) = torch.autograd.grad(stress[:, a, b].sum(), leaf, retain_graph=True)
            out[:, a, b] = out[:, b, a] = gradient
        return out

    def _with_stress(
        self, leaf: torch.Tensor, *, create_graph: bool
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if self.card.force_mode is ForceMode.DIRECT:
            with torch.set_grad_enabled(create_graph), differentiable_twice(self.device, create_graph):
                energy, forces, stress = self.compute_with_stress(leaf, self.cells)
                return *self._finished(leaf, energy, forces), stress
        strain = torch.zeros_like(self.cells).requires_grad_()
        symmetric = (strain + strain.transpose(1, 2)) / 2
        with differentiable_twice(self.device, create_graph):
            energy, _ = self.compute(leaf + leaf @ symmetric, self.cells + self.cells @ symmetric)
        gradient, virial = torch.autograd.grad(energy.sum(), (leaf, strain), create_graph=create_graph)
        volume = torch.linalg.det(self.cells).abs()[:, None, None]
        return *self._finished(leaf, energy, -gradient), virial / volume

    def _energy_and_forces(self, positions: torch.Tensor, *, create_graph: bool) -> tuple[torch.Tensor, torch.Tensor]:
        with differentiable_twice(self.device, create_graph):
            energy, forces = self.compute(positions, self.cells)
        if forces is None:
            (gradient,) = torch.autograd.grad(energy.sum(), positions, create_graph=create_graph)
            forces = -gradient
        return self._finished(positions, energy, forces)

    def _finished(
        self, positions: torch.Tensor, energy: torch.Tensor, forces: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Net force and torque removed as the card says; NaN for replicas with non-finite positions or energy."""
        if self.card.net_force_removed:
            forces = remove_net_force(forces)
        if self.card.torque_removed:
            forces = remove_torque(positions, forces)
        return self._lost_as_nan(positions, energy, forces)

    def _lost_as_nan(
        self, positions: torch.Tensor, energy: torch.Tensor, forces: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Results with NaN for invalid replicas.

        An atom with non-finite positions has no neighbours, so that a model would return finite numbers. Forces with a non-finite energy
        are not a result either: a run that continued with them would report a meaningless drift.
        """
        known = is_somewhere(positions, self.periodic_directions)
        if self.card.has_energy:
            known = known & torch.isfinite(energy.detach())
        # On another device the answer would have to be awaited, which takes longer than the selection.
        if known.device.type == "cpu" and bool(known.all()):
            return energy, forces
        return torch.where(known, energy, torch.nan), torch.where(known[:, None, None], forces, torch.nan)


class _GraphLinearization(Linearization):
    """Keeps the graph of one force evaluation for Jacobian products.

    Jᵀv is a backward pass. Jᵀv is linear in v, so Ju is the gradient of uᵀ(…) with respect to v: a backward pass through
    the backward pass (the double-backward trick), which needs no forward mode of the model.
    """

    def __init__(self, positions: torch.Tensor, forces: torch.Tensor) -> None:
        self.forces = forces.detach()
        self._positions, self._graph = positions, forces
        self._dummy: torch.Tensor | None = None
        self._transposed: torch.Tensor | None = None

    def vjp(self, cotangents: torch.Tensor) -> torch.Tensor:
        with second_derivatives():
            (product,) = torch.autograd.grad(
                self._graph, self._positions, cotangents, retain_graph=True, allow_unused=True
            )
        if product is None:
            # The forces have a graph, but only of the model's parameters.
            raise NotDifferentiableError(
                "autograd does not reach the positions", hint="Use --method finite-difference."
            )
        return product.detach()

    def jvp(self, tangents: torch.Tensor) -> torch.Tensor:
        if self._transposed is None or self._dummy is None:
            self._dummy = torch.zeros_like(self._graph, requires_grad=True)
            with second_derivatives():
                (self._transposed,) = torch.autograd.grad(self._graph, self._positions, self._dummy, create_graph=True)
        with second_derivatives():
            (product,) = torch.autograd.grad(self._transposed, self._dummy, tangents, retain_graph=True)
        return product.detach()


class TorchForceField(ForceField):
    """A model that binds to :class:`TorchField`; batches of mixed sizes are evaluated in groups of equal size."""

    def without_net_force_removal(self) -> ForceField:
        """See :class:`ncbench.models.interface.ForceField`."""
        if not self.card.net_force_removed:
            return self
        plain = copy.copy(self)
        plain.card = replace(self.card, net_force_removed=False)
        return plain

    def _evaluate(self, structures: Sequence[Atoms], *, stress: bool) -> list[Evaluation]:
        if stress and not all(has_volume(atoms) for atoms in structures):
            raise UnsupportedError(
                "A structure that is not periodic, or has fewer than three cell vectors, has no stress."
            )
        groups: dict[int, list[int]] = defaultdict(list)
        for index, atoms in enumerate(structures):
            groups[len(atoms)].append(index)
        results: dict[int, Evaluation] = {}
        for size, members in groups.items():
            step = max(1, BATCH_ATOMS["cpu" if self.card.device == "cpu" else "cuda"] // size)
            for start in range(0, len(members), step):
                chunk = members[start : start + step]
                results |= zip(chunk, self._evaluate_equal([structures[i] for i in chunk], stress), strict=True)
        return [results[index] for index in range(len(structures))]

    def _evaluate_equal(self, structures: Sequence[Atoms], stress: bool) -> list[Evaluation]:
        field = self._bind(structures)
        assert isinstance(field, TorchField)
        if stress:
            out, tensors = field.with_stress(field.initial_positions())
            stresses = list(tensors.cpu().numpy())
        else:
            out, stresses = field(field.initial_positions()), [None] * len(structures)
        # Whole batches: each copy from a GPU waits for it.
        energies, forces = out.energy.tolist(), out.forces.cpu().numpy()
        return [Evaluation(*one) for one in zip(energies, forces, stresses, strict=True)]
