"""The bundled pet-m with artificial defects: ``--model pet-m-swirl`` and so on, once :data:`ROWS` are registered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from ase import Atoms

from ncbench.models.families.pet import adapter as pet
from ncbench.models.interface import Field, ForceField
from ncbench.models.registry import ParsedSpec
from ncbench.models.row import ModelRow
from ncbench.models.verlet import Pairs, VerletList
from ncbench.types import ForceMode, ModelRequest

DEFECTS = {
    "none": "as it is",
    "swirl": "forces with a solenoidal part of 1 %",
    "half": "forces rounded to float16",
    "limited": "no more neighbours than a list of fixed length holds",
    "wrong-stress": "a stress of the wrong sign",
}
ROWS = [
    ModelRow(
        name=f"pet-m-{name}",
        family="dialled.pet_defects",
        modes=(ForceMode.CONSERVATIVE,),
        summary=summary,
        weights="bundled",
        source="pet-m.pt",
    )
    for name, summary in DEFECTS.items()
]
SWIRL = 0.39
"""eV/Å²: a λ of 0.01 in liquid water."""
REACH_A = 3.0
MOST = 20
"""Neighbours an atom may have, of those within the cutoff."""


def load(request: ModelRequest, parsed: ParsedSpec, row: ModelRow) -> ForceField:
    """What ncbench calls."""
    result = pet.load(request, parsed, row)
    return Defective(result, parsed.name.removeprefix("pet-m-"))


class Defective(pet.MetatomicForceField):
    def __init__(self, sound: ForceField, defect: str) -> None:
        assert isinstance(sound, pet.MetatomicForceField)
        card = replace(sound.card, family="dialled")
        super().__init__(sound.model, card, sound.path, references_eV=sound.references_eV, system=sound.system)
        self.defect = defect

    def _bind(self, structures: Sequence[Atoms]) -> Field:
        return DefectiveField(structures, self)


class DefectiveField(pet.MetatomicField):
    def __init__(self, structures: Sequence[Atoms], owner: Defective) -> None:
        super().__init__(structures, owner)
        self.defect = owner.defect
        if self.defect == "limited":
            self.lists = [(options, Limited(verlet)) for options, verlet in self.lists]  # type: ignore[misc]

    def with_stress(self, positions):
        out, stress = super().with_stress(positions)
        return out, -stress if self.defect == "wrong-stress" else stress

    def _finished(self, positions, energy, forces):
        if self.defect == "swirl":
            forces = forces + self._swirl(positions)
        if self.defect == "half":
            forces = forces.half().double()
        return super()._finished(positions, energy, forces)

    def _swirl(self, positions: torch.Tensor) -> torch.Tensor:
        """Pair forces that rotate neighbours about each other around z; antisymmetric, so the net force is zero."""
        apart = positions[:, None] - positions[:, :, None]
        if bool(self.periodic.any()):
            box = self.cells.detach()
            shifts = torch.einsum("rijc,rcd->rijd", apart.detach(), torch.linalg.inv(box)).round()
            apart = apart - torch.einsum("rijc,rcd->rijd", shifts, box)
        window = (1.0 - apart.square().sum(-1, keepdim=True) / REACH_A**2).clamp(min=0.0) ** 2
        x, y = apart[..., 0], apart[..., 1]
        return SWIRL * (window * torch.stack([y, -x, torch.zeros_like(x)], dim=-1)).sum(2)


class Limited:
    """A neighbour list with a maximum number of neighbours; a pair is kept only if both atoms are below it."""

    def __init__(self, verlet: VerletList) -> None:
        self.verlet = verlet

    def __call__(self, positions: torch.Tensor, cells: torch.Tensor | None = None) -> Pairs:
        pairs = self.verlet(positions, cells)
        # Pairs come in the order of their first atom.
        rank = torch.arange(len(pairs.first)) - torch.searchsorted(pairs.first, pairs.first)
        has_room = rank < MOST
        key = _key(pairs.first, pairs.second, pairs.shifts)
        order = torch.argsort(key)
        back = order[torch.searchsorted(key[order], _key(pairs.second, pairs.first, -pairs.shifts))]
        keep = (has_room & has_room[back]).nonzero()[:, 0]
        return Pairs(
            pairs.first[keep], pairs.second[keep], pairs.shifts[keep], pairs.replica[keep], pairs.vectors[keep]
        )


def _key(first: torch.Tensor, second: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
    x, y, z = (shifts + 8).unbind(1)
    return (((first * 2**20 + second) * 16 + x) * 16 + y) * 16 + z
