"""Force fields whose dynamics has a closed form, and any ASE calculator as a field."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator

from ncbench.models.interface import Evaluation, Field, FieldOutput, ForceField, ModelCard
from ncbench.types import ForceMode


def card(name: str, **values) -> ModelCard:
    defaults = {
        "family": "test",
        "force_mode": ForceMode.DIRECT,
        "force_modes": (ForceMode.DIRECT,),
        "elements": None,
        "cutoff_A": None,
        "receptive_A": None,
        "dtype": "float64",
        "device": "cpu",
    }
    return ModelCard(name=name, **(defaults | values))


class WellField(Field):
    """f = −k u + κ ẑ × u about the bound positions; V = k u²/2. Elementwise: independent of the batch."""

    def __init__(self, structures: Sequence[Atoms], k: float, kappa: float) -> None:
        super().__init__(structures, torch.device("cpu"))
        self.k, self.kappa = k, kappa
        self.centres = torch.stack([torch.as_tensor(a.arrays.get("sites", a.positions)) for a in structures])
        self.calls = 0

    def __call__(self, positions: torch.Tensor) -> FieldOutput:
        self.calls += 1
        u = positions - self.centres
        forces = -self.k * u
        forces[..., 0] -= self.kappa * u[..., 1]
        forces[..., 1] += self.kappa * u[..., 0]
        return FieldOutput(energy=0.5 * self.k * (u * u).sum(1).sum(1), forces=forces)


class Well(ForceField):
    """Each atom in an isotropic harmonic well with a curl. Atoms' array ``sites`` holds the minima, if there is one."""

    def __init__(self, k: float = 5.0, kappa: float = 0.0) -> None:
        self.card = card("well")
        self.k, self.kappa = k, kappa

    def _bind(self, structures: Sequence[Atoms]) -> WellField:
        return WellField(structures, self.k, self.kappa)

    def _evaluate(self, structures: Sequence[Atoms], *, stress: bool) -> list[Evaluation]:
        outputs = [self._bind([atoms])(torch.as_tensor(atoms.positions)[None]) for atoms in structures]
        return [Evaluation(float(o.energy[0]), o.forces[0].numpy()) for o in outputs]


class Interrupting(Well):
    """Ctrl-C at a force call, counted over all runs; a number that is never reached counts calls alone."""

    def __init__(self, at: int, *, kappa: float = 0.0) -> None:
        super().__init__(kappa=kappa)
        self.at, self.total = at, 0

    def _bind(self, structures: Sequence[Atoms]) -> WellField:
        owner = self

        class _Field(WellField):
            def __call__(self, positions: torch.Tensor) -> FieldOutput:
                owner.total += 1
                if owner.total == owner.at:
                    raise KeyboardInterrupt
                return super().__call__(positions)

        return _Field(structures, self.k, self.kappa)


class CalculatorField(Field):
    def __init__(self, structures: Sequence[Atoms], calculator: Calculator) -> None:
        super().__init__(structures, torch.device("cpu"))
        self.calculator = calculator

    def __call__(self, positions: torch.Tensor) -> FieldOutput:
        energies, forces = [], []
        for atoms, place in zip(self.structures, positions.numpy(), strict=True):
            moved = atoms.copy()
            moved.positions = place
            moved.calc = self.calculator
            energies.append(moved.get_potential_energy())
            forces.append(moved.get_forces())
        return FieldOutput(torch.tensor(energies, dtype=torch.float64), torch.as_tensor(np.stack(forces)))


def cluster(symbols: str = "H2OH2O", *, seed: int = 0, spread: float = 0.0) -> Atoms:
    """Atoms 3 Å apart on a line; ``spread`` displaces them from their sites."""
    atoms = Atoms(symbols)
    atoms.positions = 3.0 * np.arange(len(atoms))[:, None] * np.array([1.0, 0.0, 0.0])
    atoms.set_array("sites", atoms.positions.copy())
    atoms.positions += spread * np.random.default_rng(seed).normal(size=(len(atoms), 3))
    return atoms
