"""The adapter: the interface through which ncbench uses every model.

A :class:`ForceField` evaluates batches of structures of any sizes, and *binds* R structures of equal size to a
:class:`Field`, a function of positions alone for loops that never rebuild an ``Atoms``. A differentiable field also
*linearises* itself: Jacobian products of its forces at one configuration.

Units: positions Å, energies eV, forces eV/Å, stresses eV/Å³ (ASE's sign: σ = (1/V) ∂E/∂ε). Positions enter as float64;
the cast to the model's dtype is made only in the adapter; results are returned as float64.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from ncbench.errors import NotDifferentiableError, StructureWarning, UnsupportedError
from ncbench.models.checks import check_structure
from ncbench.types import ForceMode

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Properties of a loaded model that every result records."""

    name: str
    family: str
    force_mode: ForceMode
    """Force mode of this instance."""
    force_modes: tuple[ForceMode, ...]
    """All force modes that the checkpoint offers."""
    elements: frozenset[int] | None
    """Atomic numbers the model knows; ``None`` if it takes any."""
    cutoff_A: float | None
    """Neighbour cutoff, Å."""
    receptive_A: float | None
    """Distance beyond which one atom's force cannot depend on another atom's position (cutoff × message passing), Å."""
    dtype: str
    """``float32`` or ``float64``: the arithmetic inside the model."""
    device: str
    processes: int = 1
    """Processes among which each batch is divided (:mod:`ncbench.models.division`); default batches are as many times as large."""
    has_energy: bool = True
    has_stress: bool = False
    differentiable: bool = False
    """Whether autograd gives Jacobian products (tested at loading, not assumed)."""
    net_force_removed: bool = False
    torque_removed: bool = False
    checkpoint: str = ""
    """File name of the weights, without a folder."""
    checkpoint_sha256: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    precision: Mapping[str, str] = field(default_factory=dict)
    """Active precision switches, e.g. ``{"tf32": "off"}``."""
    options: Mapping[str, str] = field(default_factory=dict)
    licence: str = ""
    citation: str = ""

    @property
    def label(self) -> str:
        """``name:mode``, as typed after ``--model``."""
        return f"{self.name}:{self.force_mode}"


@dataclass(frozen=True)
class Evaluation:
    """One structure's result."""

    energy: float
    """eV; NaN for a model without an energy. Of an ASE calculator with both, ``free_energy``, to which the forces belong."""
    forces: FloatArray
    """[N, 3], eV/Å."""
    stress: FloatArray | None = None
    """[3, 3], eV/Å³."""
    reported_energy: float | None = None
    """eV; what a calculator calls ``energy``, which reference values are compared with; ``None`` where it is ``energy`` itself."""

    @property
    def labelled_energy(self) -> float:
        """The energy to compare with reference values, eV."""
        return self.energy if self.reported_energy is None else self.reported_energy

    def not_finite(self, *, has_energy: bool) -> str:
        """``energy``, ``forces`` or ``stress``: what of it is not finite; empty where all is. Energies count for models that have one."""
        if has_energy and not (np.isfinite(self.energy) and np.isfinite(self.labelled_energy)):
            return "energy"
        if not np.isfinite(self.forces).all():
            return "forces"
        if self.stress is not None and not np.isfinite(self.stress).all():
            return "stress"
        return ""


@dataclass(frozen=True)
class FieldOutput:
    """A bound field's result, float64 on the field's device, detached from any graph."""

    energy: torch.Tensor
    """[R], eV; NaN for a model without an energy."""
    forces: torch.Tensor
    """[R, N, 3], eV/Å."""


class Linearization(ABC):
    """Forces at one configuration together with products of their Jacobian J = ∂f/∂r, replica by replica.

    J is block diagonal over replicas, so R copies of one structure give R products in one pass.
    """

    forces: torch.Tensor
    """[R, N, 3], eV/Å, detached."""

    @abstractmethod
    def vjp(self, cotangents: torch.Tensor) -> torch.Tensor:
        """Jᵀ v for v of shape [R, N, 3]; eV/Å² times the unit of v."""

    @abstractmethod
    def jvp(self, tangents: torch.Tensor) -> torch.Tensor:
        """J u for u of shape [R, N, 3]; eV/Å² times the unit of u."""


class Field(ABC):
    """R structures of N atoms each, bound to a model: positions [R, N, 3] → energies [R] and forces [R, N, 3]."""

    def __init__(self, structures: Sequence[Atoms], device: torch.device) -> None:
        sizes = {len(atoms) for atoms in structures}
        if len(sizes) != 1:
            raise UnsupportedError(
                f"A field binds structures of equal size, but these have {sorted(sizes)} atoms.",
                hint="Bind them separately.",
            )
        self.structures = [atoms.copy() for atoms in structures]
        for atoms in self.structures:
            # Forces are the model's own: constraints on atoms are handled by the optimiser.
            atoms.set_constraint()
        self.device = device
        self.n_replicas = len(self.structures)
        self.n_atoms = sizes.pop()

    def initial_positions(self) -> torch.Tensor:
        """Positions of the bound structures, [R, N, 3] float64, Å."""
        stacked = np.stack([atoms.get_positions() for atoms in self.structures])
        return torch.as_tensor(stacked, dtype=torch.float64, device=self.device)

    @abstractmethod
    def __call__(self, positions: torch.Tensor) -> FieldOutput:
        """Energies and forces at ``positions`` [R, N, 3] float64. Never raises on non-finite results: the caller decides."""

    def with_direct_forces(self, positions: torch.Tensor) -> tuple[FieldOutput, torch.Tensor] | None:
        """Conservative forces together with those of the model's force head [R, N, 3], eV/Å, from one call; ``None`` if two calls are needed."""
        return None

    def linearize(self, positions: torch.Tensor) -> Linearization:
        """Jacobian products at ``positions``.

        Raises:
            NotDifferentiableError: autograd does not reach the positions in this model.
        """
        raise NotDifferentiableError(
            f"{type(self).__name__} offers no Jacobian products.", hint="Use --method finite-difference."
        )

    def whole_jacobian(self, positions: torch.Tensor) -> torch.Tensor | None:
        """J = ∂f/∂r [3N, 3N] (float64, eV/Å², row = force component) of one bound structure at ``positions`` [1, N, 3].

        ``None`` unless the model has a way that takes less than its 3N vector-Jacobian products.
        """
        return None

    def stress_gradients(self, positions: torch.Tensor) -> torch.Tensor:
        """∂σ_ab/∂r_ic at ``positions``, [R, 3, 3, N, 3], eV/Å⁴.

        Raises:
            NotDifferentiableError: autograd does not reach the positions from this model's stress.
        """
        raise NotDifferentiableError(f"{type(self).__name__} offers no gradients of its stress.")


class MixedField(ABC):
    """Structures of any sizes, bound to a model."""

    @abstractmethod
    def __call__(self, positions: Sequence[FloatArray]) -> list[tuple[float, FloatArray]]:
        """Energy (eV) and forces [N, 3] (eV/Å) of each structure at its positions [N, 3] (Å). Never raises on non-finite results."""


class _FieldBySize(MixedField):
    """One field for the structures of each size."""

    def __init__(self, forcefield: ForceField, structures: Sequence[Atoms]) -> None:
        groups: dict[int, list[int]] = {}
        for index, atoms in enumerate(structures):
            groups.setdefault(len(atoms), []).append(index)
        self._groups = list(groups.values())
        self._fields = [forcefield.bind([structures[index] for index in group]) for group in self._groups]

    def __call__(self, positions: Sequence[FloatArray]) -> list[tuple[float, FloatArray]]:
        results: dict[int, tuple[float, FloatArray]] = {}
        for group, field_of_size in zip(self._groups, self._fields, strict=True):
            stacked = np.stack([positions[index] for index in group])
            output = field_of_size(torch.as_tensor(stacked, dtype=torch.float64, device=field_of_size.device))
            results |= zip(group, zip(output.energy.tolist(), output.forces.cpu().numpy(), strict=True), strict=True)
        return [results[index] for index in range(len(positions))]


class ForceField(ABC):
    """A loaded model in one force mode on one device in one precision."""

    card: ModelCard

    def evaluate(self, structures: Sequence[Atoms], *, stress: bool = False) -> list[Evaluation]:
        """Energies, forces and, on request, stresses of structures of any sizes, in as few model calls as possible.

        Raises:
            StructureError: a structure is empty, has non-finite positions, or has coincident atoms.
            UnsupportedError: an element the model does not know, or a stress it does not have.
        """
        self.check(structures)
        if stress and not self.card.has_stress:
            raise UnsupportedError(f"{self.card.label} has no stress.")
        return self._evaluate(structures, stress=stress)

    def bind(self, structures: Sequence[Atoms]) -> Field:
        """Bind R structures of equal size. Raises as :meth:`evaluate` does."""
        self.check(structures)
        return self._bind(structures)

    def bind_mixed(self, structures: Sequence[Atoms]) -> MixedField:
        """Bind structures of any sizes. Raises as :meth:`evaluate` does."""
        return _FieldBySize(self, structures)

    def check(self, structures: Sequence[Atoms]) -> None:
        """Refuse structures that would give NaN or a wrong number."""
        for atoms in structures:
            check_structure(atoms)
            self._name_unread_charge(atoms)
            unknown = set(atoms.numbers.tolist()) - (self.card.elements or set(atoms.numbers.tolist()))
            if unknown:
                raise UnsupportedError(
                    f"{self.card.name} does not know {_symbols(unknown)}; it knows {_symbols(self.card.elements or ())}.",
                    hint="Choose another model or structure.",
                )

    def _name_unread_charge(self, atoms: Atoms) -> None:
        """The native adapters read charge and spin from the model's options, never from the structure."""
        if self.card.family == "ase":
            return
        for names, option in ((("charge", "total_charge"), "charge"), (("spin", "multiplicity"), "spin")):
            for name in names:
                declared = atoms.info.get(name)
                if declared is None or float(declared) == float(
                    self.card.options.get(option, declared if option == "spin" else 0)
                ):
                    continue
                warnings.warn(
                    f"The structure declares {name} = {declared}, which {self.card.name} does not read from a structure"
                    + (
                        f"; it computes with {option} = {self.card.options[option]}."
                        if option in self.card.options
                        else "."
                    ),
                    StructureWarning,
                    stacklevel=2,
                )

    @abstractmethod
    def _evaluate(self, structures: Sequence[Atoms], *, stress: bool) -> list[Evaluation]: ...

    @abstractmethod
    def _bind(self, structures: Sequence[Atoms]) -> Field: ...

    def sibling(self, mode: ForceMode) -> ForceField:
        """The same weights in another force mode, on the same device and in the same precision; ``self`` for its own mode.

        Raises:
            UnsupportedError: the checkpoint does not offer that mode.
        """
        if mode is self.card.force_mode:
            return self
        raise UnsupportedError(f"{self.card.name} offers no {mode} forces.", hint="Name a second model that does.")

    def jacobian_in_one(self, atoms: Atoms) -> bool:
        """Whether :meth:`Field.whole_jacobian` gives the Jacobian of ``atoms``, in the time of some force calls."""
        del atoms
        return False

    def without_net_force_removal(self) -> ForceField:
        """The same model without net-force removal; ``self`` if nothing is removed.

        Raises:
            UnsupportedError: the removal is inside the model.
        """
        if not self.card.net_force_removed:
            return self
        raise UnsupportedError(
            f"{self.card.label} removes its net force inside the model, where it cannot be turned off."
        )

    def ase_calculator(self) -> object | None:
        """The family's own ASE calculator on the same weights, for timing and for comparison; ``None`` if there is none."""
        return None


def _symbols(numbers: Sequence[int] | frozenset[int] | set[int]) -> str:
    from ase.data import chemical_symbols

    names = [chemical_symbols[z] for z in sorted(numbers)]
    return ", ".join(names) if len(names) <= 12 else f"{len(names)} elements ({', '.join(names[:8])}, …)"
