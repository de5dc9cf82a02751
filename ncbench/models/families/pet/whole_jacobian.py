"""The whole Jacobian of a PET's direct forces, put together from the Jacobians of its layers.

A row of J by a vector-Jacobian product is a backward pass through all atoms, 3N in all. But an atom's features after a layer depend on its own
edges alone: on their vectors x_c and, in the second layer, on the features that the first gives to them and to the opposite edges. With n neighbours of an atom,

* the forces depend on the features after the second layer of the atom's own edges and of the opposite ones: three backward passes through the heads for all atoms at once;
* what an atom c adds to a force through its second layer concerns the forces on c and its neighbours: 3(n + 1) backward passes;
* the first layer's features of c depend on 3n coordinates x_c: 3n forward passes;

and the product of these blocks is J, by the chain rule. That is the work of some 3n products with J instead of 3N.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ncbench import memory
from ncbench.models.families.pet.edges import Group
from ncbench.models.families.pet.network import DIRECT, SQUARE_FLOOR, Inputs, Network

if TYPE_CHECKING:
    from ncbench.models.families.pet.adapter import MetatomicField

SHARE = 0.4
"""Part of the free memory that the blocks may take."""


def whole_jacobian(network: Network, field: MetatomicField, positions: torch.Tensor) -> torch.Tensor | None:
    """∂f/∂r [3N, 3N] (eV/Å², row = force component) of one structure at ``positions`` [1, N, 3] (Å), before a net force is removed.

    ``None`` for networks of another number of layers than two, where products take no longer (all atoms are neighbours), and where the blocks do not fit
    into memory.
    """
    if len(network.layers) != 2 or DIRECT not in network.heads:
        return None
    with torch.no_grad():
        inputs = network.inputs(field, positions, field.cells)
    if inputs is None or max(group.shape[1] for group in inputs.edges.groups) + 1 >= field.n_atoms:
        return None
    free = memory.available(field.device)
    if free is not None and _bytes(inputs) > SHARE * free:
        return None
    return _Layers(network, inputs).jacobian()


def _bytes(inputs: Inputs) -> float:
    """Of the largest tensors: the coordinates' blocks of all forces, and the first layer's Jacobian."""
    atoms, edges = len(inputs.types), len(inputs.neighbour)
    most = max(group.shape[1] for group in inputs.edges.groups)
    return inputs.vectors.element_size() * (9.0 * atoms**2 * (most + 2) + 3.0 * most * edges * 128 * 2)


class _Layers:
    """Jacobians of the layers at one structure of N atoms and P edges; features of atoms have D_A components, of edges D."""

    def __init__(self, network: Network, inputs: Inputs) -> None:
        self.network, self.inputs, self.edges = network, inputs, inputs.edges
        self.n_atoms = len(inputs.types)
        self.most = max(group.shape[1] for group in inputs.edges.groups)
        self.blocks = inputs.vectors.new_zeros((self.n_atoms * 3 * self.n_atoms, 3 * self.most))
        """∂f/∂x_c: [N·3N, 3·most], row 3N·c + 3·i + a for the force component a on atom i."""

    def jacobian(self) -> torch.Tensor:
        """J [3N, 3N], float64."""
        network, edges = self.network, self.edges
        with torch.no_grad():
            tables = network.tables(self.inputs, self.inputs.vectors)
            node, messages = network.embedded(self.inputs)
            self.node0, self.messages0 = node, messages
            self.node1, self.out1 = network.layer(0, edges, node, messages, tables)
            self.messages1 = network.combined(0, messages, self.out1, self.out1[edges.reverse])
            self.node2, self.out2 = network.layer(1, edges, self.node1, self.messages1, tables)
        self._readout()
        first = [self._first_layer(group) for group in edges.groups]
        of_edges = torch.cat(
            [self._padded(group, block) for group, (_, block) in zip(edges.groups, first, strict=True)]
        )
        for group, (of_nodes, of_slots) in zip(edges.groups, first, strict=True):
            self._second_layer(group, of_nodes, of_slots, of_edges)
        return self._assembled()

    def _readout(self) -> None:
        """Derivatives of the force on each atom by the features that it is read from."""
        network, edges = self.network, self.edges
        scales = network.scales(DIRECT, self.inputs)[edges.order]
        head, with_graph = network.heads[DIRECT], torch.Tensor.requires_grad_
        opposite = self.out2[edges.reverse]
        leaves = [
            with_graph(one.detach().clone())
            for one in (self.node2, self.messages1, self.out2, opposite, self.inputs.vectors)
        ]
        node, before, out, reverse, vectors = map(_alias, leaves)
        of_edges = head.of_edges(network.combined(1, before, out, reverse), network.factors(vectors))
        forces = head.of_nodes(node).index_add(0, edges.first, of_edges) * scales
        by_axis = [torch.autograd.grad(forces[:, axis].sum(), leaves, retain_graph=True) for axis in range(3)]
        self.by_node2, self.by_messages1, self.by_out2, by_opposite, self.by_vectors = (
            torch.stack(parts, dim=1) for parts in zip(*by_axis, strict=True)
        )
        # Of edge (c, j), the derivative of the force on j, which reads (j, c) and its opposite edge.
        self.by_opposite = by_opposite[edges.reverse]

    def _first_layer(self, group: Group) -> tuple[torch.Tensor, torch.Tensor]:
        """Derivatives of the first layer's features by x_c: of the atoms [g, 3M, D_A], and of the slots [g, 3M, M, D].

        Column by column, by a backward pass through a backward pass that is linear in its cotangents.
        """
        vectors = group.to_slots(self.inputs.vectors).requires_grad_()
        after = self.network.grouped(
            0, self.node0[group.atoms], group.to_slots(self.messages0), self._table(group, _alias(vectors))
        )
        cotangents = [torch.zeros_like(one, requires_grad=True) for one in after]
        (transposed,) = torch.autograd.grad(after, vectors, cotangents, create_graph=True)
        columns = 3 * group.shape[1]
        of_nodes, of_slots = (one.new_empty((len(one), columns, *one.shape[1:])) for one in cotangents)
        for column, part in enumerate(transposed.reshape(len(vectors), -1).unbind(dim=1)):
            of_nodes[:, column], of_slots[:, column] = torch.autograd.grad(part.sum(), cotangents, retain_graph=True)
        return of_nodes, of_slots

    def _padded(self, group: Group, of_slots: torch.Tensor) -> torch.Tensor:
        """[P_g, 3·most, D] of derivatives [g, 3M, M, D]."""
        own = group.from_slots(of_slots.transpose(1, 2))
        return torch.nn.functional.pad(own, (0, 0, 0, 3 * self.most - own.shape[1]))

    def _second_layer(
        self, group: Group, of_nodes: torch.Tensor, of_slots: torch.Tensor, of_edges: torch.Tensor
    ) -> None:
        """Add what the forces on the atoms of a group and their neighbours owe to the second layer of the group."""
        n, slots = group.shape
        rows = 3 * (slots + 1)
        by_node, by_own, by_reverse, by_vectors = self._backward(group)
        # What the group's own first layer adds, and the coordinates themselves.
        own = by_vectors + torch.bmm(by_node, of_nodes.transpose(1, 2))
        own += torch.bmm(by_own.reshape(n, rows, -1), of_slots.reshape(n, 3 * slots, -1).transpose(1, 2))
        own[:, :3] += group.to_slots(self.by_vectors).transpose(1, 2).reshape(n, 3, -1)
        atoms, second = self.edges.order[group.atoms], group.to_slots(self.inputs.second)
        moved = torch.cat([atoms[:, None], second], dim=1)
        row = (3 * moved[:, :, None] + torch.arange(3)).reshape(n, rows)
        self._add(atoms[:, None] * 3 * self.n_atoms + row, torch.nn.functional.pad(own, (0, 3 * (self.most - slots))))
        # What the first layer of the neighbours adds, through the features of the opposite edges.
        opposite = of_edges[self.edges.reverse[group.edges]]
        through = torch.bmm(group.from_slots(by_reverse), opposite.transpose(1, 2))
        centre = group.from_slots(second)
        owner = torch.arange(n).repeat_interleave(group.mask.sum(dim=1))
        self._add(centre[:, None] * 3 * self.n_atoms + row[owner], through)

    def _backward(self, group: Group) -> list[torch.Tensor]:
        """Derivatives of 3(M + 1) force components, of the atom and of the neighbours in its slots, by what the second layer of the atom reads.

        By features of the atom [g, 3(M + 1), D_A], of its slots [g, 3(M + 1), M, D], of the opposite edges [g, M, 3(M + 1), D], and x_c [g, 3(M + 1), 3M].
        """
        network, slots = self.network, group.shape[1]
        before = (
            self.node1[group.atoms],
            *map(group.to_slots, (self.out1, self.out1[self.edges.reverse], self.inputs.vectors)),
        )
        leaves = [one.detach().clone().requires_grad_() for one in before]
        node, own, reverse, vectors = map(_alias, leaves)
        messages = network.combined(0, group.to_slots(self.messages0), own, reverse)
        after = network.grouped(1, node, messages, self._table(group, vectors))
        by_node2 = self.by_node2[group.atoms]
        by_out2, by_messages1, by_opposite = map(group.to_slots, (self.by_out2, self.by_messages1, self.by_opposite))
        rows, n = 3 * (slots + 1), group.shape[0]
        grads = [one.new_empty((n, rows, *one.shape[1:])) for one in (node, own)]
        by_reverse = reverse.new_empty((n, slots, rows, reverse.shape[2]))
        by_vectors = vectors.new_empty((n, rows, slots, 3))
        for row in range(rows):
            slot, axis = divmod(row, 3)
            if slot == 0:
                outputs = [*after, messages]
                cotangents = [by_node2[:, axis], by_out2[:, :, axis], by_messages1[:, :, axis]]
            else:
                outputs, cotangents = [after[1][:, slot - 1]], [by_opposite[:, slot - 1, axis]]
            products = torch.autograd.grad(outputs, leaves, cotangents, retain_graph=True)
            grads[0][:, row], grads[1][:, row], by_reverse[:, :, row], by_vectors[:, row] = products
        return [*grads, by_reverse, by_vectors.reshape(n, rows, -1)]

    def _table(self, group: Group, vectors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What a layer reads of a group, as functions of the slots' ``vectors`` [g, M, 3]."""
        distances = torch.sqrt(vectors.square().sum(dim=2) + SQUARE_FLOOR)
        factors = self.network.factors(vectors) * group.mask
        return group.to_slots(self.inputs.neighbour), vectors, group.mask, distances, factors

    def _add(self, rows: torch.Tensor, values: torch.Tensor) -> None:
        self.blocks.index_add_(0, rows.reshape(-1), values.reshape(-1, values.shape[-1]))

    def _assembled(self) -> torch.Tensor:
        """J from the blocks: x_c are the vectors from c to its neighbours."""
        n, edges = self.n_atoms, self.edges
        neighbours = torch.zeros((n, self.most), dtype=torch.int64)
        for group in edges.groups:
            neighbours[edges.order[group.atoms], : group.shape[1]] = group.to_slots(self.inputs.second)
        jacobian = torch.zeros((3 * n, n, 3), dtype=torch.float64)
        blocks = self.blocks.reshape(n, 3 * n, self.most, 3)
        for centre in range(n):
            own = blocks[centre].double()
            jacobian.index_add_(1, neighbours[centre], own)
            jacobian[:, centre] -= own.sum(dim=1)
        return jacobian.reshape(3 * n, 3 * n)


def _alias(leaf: torch.Tensor) -> torch.Tensor:
    """The same tensor as no leaf of the graph: torch's counter of operations hooks what modules receive, which ``torch.autograd.grad`` refuses for leaves."""
    return leaf.view_as(leaf)
