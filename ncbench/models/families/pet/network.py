"""metatrain's PET evaluated layer by layer, without the neighbours by which an export pads every atom.

An exported PET pads the neighbours of all atoms to the largest number of neighbours: in liquid water at 3.5 Å to 25, where there are 16 on average,
which is a third of its arithmetic. Here the model's own compiled layers evaluate atoms with similar numbers of neighbours together
(:mod:`.edges`); what acts on single edges (combination of messages, heads) has no padding, and heads of outputs that are not requested are left out.
The result is that of the model to rounding, which :func:`network_of` verifies.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from metatomic.torch import ModelEvaluationOptions

from ncbench.models.families.pet import systems
from ncbench.models.families.pet.edges import Edges, sorted_edges
from ncbench.models.families.pet.references import MODULE as COMPOSITION

if TYPE_CHECKING:
    from ncbench.models.families.pet.adapter import MetatomicField

MODULE = "PET"
"""metatrain's name of the architecture."""
SQUARE_FLOOR = 1.0e-15
"""metatrain adds it to squared distances, so that the distance of an empty slot, zero, has a derivative."""
SAME = {torch.float32: 1.0e-4, torch.float64: 1.0e-8}
"""Largest deviation from the model's own outputs relative to their scale. In single precision it is rounding, some 1e-6. In double precision it comes from empty
slots, to which the attention leaves a weight of 1e-15 times the exponential of a score: with other numbers of empty slots, outputs differ by 1e-10."""
DIRECT = "non_conservative_forces"
"""metatrain's name of the target, whatever the output's name is."""


@dataclass(frozen=True)
class Head:
    """Readout of one target: linear in the last features of an atom, and of its edges with their cutoff factors."""

    node: Callable[[torch.Tensor], torch.Tensor]
    node_last: Callable[[torch.Tensor], torch.Tensor]
    edge: Callable[[torch.Tensor], torch.Tensor]
    edge_last: Callable[[torch.Tensor], torch.Tensor]
    scales: torch.Tensor
    """[1 or S, 1]: factor of the output, by species if S > 1."""

    def of_nodes(self, features: torch.Tensor) -> torch.Tensor:
        """[A, K] of features [A, D]."""
        return self.node_last(self.node(features))

    def of_edges(self, messages: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
        """[P, K] of messages [P, D] and cutoff factors [P]."""
        return self.edge_last(self.edge(messages)) * factors[:, None]


@dataclass(frozen=True)
class Inputs:
    """A structure as the network reads it: A atoms of all replicas, P edges in the order of :attr:`edges`."""

    edges: Edges
    types: torch.Tensor
    """[A] int64, atomic numbers, in the structure's order of atoms."""
    species: torch.Tensor
    """[A] int64, the network's indices of them."""
    neighbour: torch.Tensor
    """[P] int64, species of the second atom."""
    second: torch.Tensor
    """[P] int64, the second atom, in the structure's order."""
    vectors: torch.Tensor
    """[P, 3], Å, attached to the graph of the positions."""


class Network:
    """The layers of a PET whose force head or energy is read from the last layer (metatrain's featurizer ``feedforward``).

    Raises:
        AttributeError: the module is not such a PET. Also KeyError, TypeError and ValueError, by the part that differs.
    """

    def __init__(self, module: Any, dtype: torch.dtype) -> None:
        backend = module.backend
        additive = [part.original_name for part in module.additive_models.children()]
        if module.original_name != MODULE or backend.featurizer_type != "feedforward" or additive != [COMPOSITION]:
            raise ValueError("another architecture")
        if module.long_range or backend.num_neighbors_adaptive is not None or backend.num_readout_layers != 1:
            raise ValueError("another architecture")
        self.species_index = backend.species_to_species_index
        self.layers = list(backend.gnn_layers.children())
        self.norms = list(backend.combination_norms.children())
        self.mlps = list(backend.combination_mlps.children())
        (self.node_embedder,) = backend.node_embedders.children()
        self.edge_embedder = backend.edge_embedder
        self.cutoff, self.width = float(backend.cutoff), float(backend.cutoff_width)
        self.switch = {"bump": _bump, "cosine": _cosine}[backend.cutoff_function.lower()]
        self.scale_index = module.scaler.model.type_to_index
        scales = module.scaler.model.scales
        self.heads = {
            name: Head(
                node=_only(backend.node_heads, name),
                node_last=_only(backend.node_last_layers, name),
                edge=_only(backend.edge_heads, name),
                edge_last=_only(backend.edge_last_layers, name),
                scales=scales[name].block().values.to(dtype),
            )
            for name in module.target_names
            if name in ("energy", DIRECT)
        }

    def inputs(self, field: MetatomicField, positions: torch.Tensor, cells: torch.Tensor) -> Inputs | None:
        """Edges and their vectors at ``positions`` [R, N, 3] in ``cells`` [R, 3, 3] (float64, Å), rounded as the model rounds them.

        ``None`` where a pair of neighbours is listed in one direction only: what the model makes of it is not known here.
        """
        ((_, verlet),) = field.lists
        pairs = verlet(positions, cells)
        edges = sorted_edges(pairs.first, pairs.second, pairs.shifts, field.n_replicas * field.n_atoms)
        if edges is None:
            return None
        near = field.origin.near(positions, cells)
        first, second = pairs.first[edges.listed], pairs.second[edges.listed]
        shifts = near.shifts(first, second, pairs.shifts[edges.listed]).to(field.dtype)
        at, boxes = near.positions.to(field.dtype).reshape(-1, 3), (cells * field.periodic).to(field.dtype)
        if field.n_replicas == 1:
            offsets = shifts @ boxes[0]
        else:
            offsets = torch.einsum("pa,pab->pb", shifts, boxes[pairs.replica[edges.listed]])
        vectors = at.index_select(0, second) - at.index_select(0, first) + offsets
        types = torch.cat(field.types).long()
        species = self.species_index[types]
        return Inputs(edges, types, species, species[second], second, vectors)

    def __call__(self, inputs: Inputs, names: tuple[str, ...]) -> list[torch.Tensor]:
        """The targets ``names`` of each atom, [A, K] each, in the units of the model's outputs."""
        edges, tables = inputs.edges, self.tables(inputs, inputs.vectors)
        node, messages = self.embedded(inputs)
        for number in range(len(self.layers)):
            node, out = self.layer(number, edges, node, messages, tables)
            messages = self.combined(number, messages, out, out.index_select(0, edges.reverse))
        factors = self.factors(inputs.vectors)
        results = []
        for name in names:
            head = self.heads[name]
            values = head.of_nodes(node).index_add(0, edges.first, head.of_edges(messages, factors))
            scaled = values * self.scales(name, inputs)[edges.order]
            results.append(torch.empty_like(scaled).index_copy(0, edges.order, scaled))
        return results

    def scales(self, name: str, inputs: Inputs) -> torch.Tensor:
        """[A, 1]: factors of a target, in the structure's order of atoms."""
        scales = self.heads[name].scales
        return scales.expand(len(inputs.types), -1) if len(scales) == 1 else scales[self.scale_index[inputs.types]]

    def embedded(self, inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
        """Features of the atoms [A, D_A], in the order of evaluation, and messages [P, D] before the first layer."""
        return self.node_embedder(inputs.species[inputs.edges.order]), self.edge_embedder(inputs.neighbour)

    def tables(self, inputs: Inputs, vectors: torch.Tensor) -> list[tuple[torch.Tensor, ...]]:
        """What each layer reads of a group besides features and messages: species, vectors, mask, distances and cutoff factors of the slots."""
        distances, factors = torch.sqrt(vectors.square().sum(dim=1) + SQUARE_FLOOR), self.factors(vectors)
        return [
            (
                group.to_slots(inputs.neighbour),
                group.to_slots(vectors),
                group.mask,
                group.to_slots(distances, math.sqrt(SQUARE_FLOOR)),
                group.to_slots(factors),
            )
            for group in inputs.edges.groups
        ]

    def layer(
        self,
        number: int,
        edges: Edges,
        node: torch.Tensor,
        messages: torch.Tensor,
        tables: list[tuple[torch.Tensor, ...]],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Features of the atoms [A, D_A] and of the edges [P, D] after a layer."""
        parts = [
            self.grouped(number, node[group.atoms], group.to_slots(messages), table)
            for group, table in zip(edges.groups, tables, strict=True)
        ]
        of_edges = [group.from_slots(part[1]) for group, part in zip(edges.groups, parts, strict=True)]
        return torch.cat([part[0] for part in parts]), torch.cat(of_edges)

    def grouped(
        self, number: int, node: torch.Tensor, messages: torch.Tensor, table: tuple[torch.Tensor, ...]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Features of the atoms [g, D_A] and slots [g, M, D] of a group after a layer."""
        after: tuple[torch.Tensor, torch.Tensor] = self.layers[number](node, messages, *table, False)
        return after

    def combined(self, number: int, before: torch.Tensor, out: torch.Tensor, reverse: torch.Tensor) -> torch.Tensor:
        """Messages [P, D] from those before a layer, the edges' features after it, and those of the opposite edges."""
        combined: torch.Tensor = self.mlps[number](self.norms[number](torch.cat([out, reverse], dim=-1)))
        return before + out + combined

    def factors(self, vectors: torch.Tensor) -> torch.Tensor:
        """[P]: the cutoff function at the lengths of ``vectors`` [P, 3]; zero from the cutoff on."""
        length = torch.linalg.vector_norm(vectors, dim=-1) + SQUARE_FLOOR
        return self.switch((length - (self.cutoff - self.width)) / self.width)


def network_of(field: MetatomicField) -> Network | None:
    """The network of the field's model; ``None`` where it has another architecture, or gives other outputs for the field's first structure."""
    if field.device.type != "cpu" or field.inputs or len(field.lists) != 1:
        return None
    try:
        network = Network(field.model.module, field.dtype)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return network if _same(network, field) else None


def _same(network: Network, field: MetatomicField) -> bool:
    """Whether the network gives the model's outputs, of all that the field may request."""
    outputs = field.outputs | field.head
    names = tuple("energy" if name == "energy" else DIRECT for name in outputs)
    if not outputs or any(name not in network.heads for name in names):
        return False
    positions = field.initial_positions()
    with torch.no_grad():
        wanted = ModelEvaluationOptions(length_unit="angstrom", outputs=outputs)
        whole = field.model(systems.separate(field, positions, field.cells), wanted, check_consistency=False)
        inputs = network.inputs(field, positions, field.cells)
        if inputs is None:
            return False
        atoms = network(inputs, names)
    for output, name, of_atoms in zip(outputs, names, atoms, strict=True):
        expected, size = whole[output].block().values.reshape(-1), float(network.heads[name].scales.max())
        own = of_atoms.reshape(-1)
        if len(expected) < len(own):
            # The model has added up the atoms of each structure.
            own, size = of_atoms.reshape(len(expected), -1).sum(dim=1), size * field.n_atoms
        deviation, size = (own - expected).abs().max(), max(size, float(expected.abs().max()))
        if not float(deviation) <= SAME.get(field.dtype, 0.0) * size:
            return False
    return True


def _bump(scaled: torch.Tensor) -> torch.Tensor:
    clamped = torch.clamp(scaled, 1.0e-6, 1.0 - 1.0e-6)
    return 0.5 * (1.0 + torch.tanh(1.0 / torch.tan(torch.pi * clamped)))


def _cosine(scaled: torch.Tensor) -> torch.Tensor:
    return 0.5 * (1.0 + torch.cos(torch.pi * torch.clamp(scaled, 0.0, 1.0)))


def _only(table: Any, name: str) -> Any:
    """The module of a target with one block and one readout layer."""
    (module,) = getattr(table, name).children()
    if module.original_name == "ModuleDict":
        (module,) = module.children()
    return module
