"""SevenNet's convolution on a CPU, summed over each atom's edges by matrix products.

The tensor product of e3nn writes every path's product of a feature, a spherical harmonic and a weight for every edge, before it is contracted with the Clebsch–Gordan coefficients C and
summed over edges: some 10⁴ numbers an edge and layer. For the message of a path (l₁, l₂ → l₃) with weights w_eu of edge e and channel u,

    m_uk = Σ_e Σ_i (w_eu x_eui) B_eik,    B_eik = c Σ_j C_ijk Y_ej,

the sum over an atom's edges and i is a matrix product, and B has no channels. The result is that of the package to rounding, which :func:`replace_convolutions` verifies.
"""

from __future__ import annotations

from typing import Any

import torch
from e3nn.o3 import wigner_3j
from sevenn.nn.convolution import IrrepsConvolution

from ncbench.models.families.sevennet.slots import Slots

SLOTS = "ncbench_slots"
"""Key of the :class:`Slots` of a batch in sevenn's data."""
SAME = 1.0e-4
"""Largest deviation from the package's tensor product, relative, in single precision."""
TRIAL_EDGES = 7


class Convolution(torch.nn.Module):
    """The same function as sevenn's ``IrrepsConvolution`` ``own``, whose radial network it keeps.

    Raises:
        ValueError: a tensor product of another kind.
    """

    coefficients: torch.Tensor

    def __init__(self, own: Any) -> None:
        super().__init__()
        product = own.convolution
        if any(path.connection_mode != "uvu" or not path.has_weight for path in product.instructions):
            raise ValueError("another tensor product")
        if any(mul != 1 for mul, _ in product.irreps_in2) or own.is_parallel:
            raise ValueError("another tensor product")
        self.weight_nn, self.denominator = own.weight_nn, own.denominator
        self.key_x, self.key_filter = own.key_x, own.key_filter
        self.key_weight_input, self.key_edge_idx = own.key_weight_input, own.key_edge_idx
        self.inputs = [(mul, ir.dim) for mul, ir in product.irreps_in1]
        filters, columns = product.irreps_in2.slices(), []
        self.paths: list[tuple[int, int]] = []
        """Output and input of each path, in the order of their weights."""
        for path in product.instructions:
            one, two = product.irreps_in1[path.i_in1].ir, product.irreps_in2[path.i_in2].ir
            three = product.irreps_out[path.i_out].ir
            table = torch.zeros(product.irreps_in2.dim, one.dim * three.dim, dtype=torch.float64)
            coupling = path.path_weight * wigner_3j(one.l, two.l, three.l, dtype=torch.float64)
            table[filters[path.i_in2]] = coupling.transpose(0, 1).reshape(two.dim, -1)
            columns.append(table)
            self.paths.append((path.i_out, path.i_in1))
        if sorted(path[0] for path in self.paths) != list(range(len(self.paths))):
            raise ValueError("another tensor product")
        self.weights = [self.inputs[source][0] for _, source in self.paths]
        self.columns = [len(table[0]) for table in columns]
        self.register_buffer("coefficients", torch.cat(columns, dim=1).to(own.denominator.dtype))

    def forward(self, data: dict[str, Any]) -> dict[str, Any]:
        """sevenn's data with the messages [A, D_out] in place of the atoms' features [A, D_in]."""
        slots: Slots = data[SLOTS]
        embedding, harmonics, second = slots.filled(
            data[self.key_weight_input], data[self.key_filter], data[self.key_edge_idx][1]
        )
        messages = self.messages(data[self.key_x], harmonics, self.weight_nn(embedding), second, slots)
        data[self.key_x] = messages.div(self.denominator)
        return data

    def messages(
        self, features: torch.Tensor, harmonics: torch.Tensor, weights: torch.Tensor, second: torch.Tensor, slots: Slots
    ) -> torch.Tensor:
        """[A, D_out]: sums over the slots of each atom, from ``features`` [A, D_in], ``harmonics`` [A·M, S], ``weights`` [A·M, W] and ``second`` [A·M] atoms.

        The harmonics of empty slots are zero.
        """
        n_atoms = len(features)
        # [A·M, 2l + 1, channels]: channels last, so that weights multiply contiguous numbers.
        parts = torch.split(features, [mul * dim for mul, dim in self.inputs], dim=1)
        gathered = [
            part.reshape(n_atoms, mul, dim).transpose(1, 2).index_select(0, second)
            for part, (mul, dim) in zip(parts, self.inputs, strict=True)
        ]
        # Not slices, whose gradients are as large as the whole tensor, and as many.
        by_path = zip(
            self.paths,
            torch.split(weights, self.weights, dim=1),
            torch.split(harmonics @ self.coefficients, self.columns, dim=1),
            strict=True,
        )
        sums: list[torch.Tensor] = [features] * len(self.paths)
        for (place, source), weight, filters in by_path:
            values = gathered[source]
            weighted = (values * weight[:, None]).reshape(n_atoms, -1, values.shape[2])
            filtered = filters.reshape(n_atoms, weighted.shape[1], -1)
            sums[place] = torch.bmm(weighted.transpose(1, 2), filtered).reshape(n_atoms, -1)
        return torch.cat(sums, dim=1)


def replace_convolutions(model: Any) -> bool:
    """Replace all convolutions of a sevenn model by :class:`Convolution`; ``False``, and the model unchanged, if one has another form or another result."""
    new = {}
    for name, module in model.named_children():
        if isinstance(module, IrrepsConvolution):
            try:
                new[name] = Convolution(module)
            except ValueError:
                return False
            if not _same(module.convolution, new[name]):
                return False
    for name, module in new.items():
        setattr(model, name, module)
    return bool(new)


def _same(product: Any, own: Convolution) -> bool:
    """Whether the messages of one atom are those of the package's tensor product, for random numbers."""
    generator = torch.Generator().manual_seed(0)
    dims = (product.irreps_in1.dim, product.irreps_in2.dim, product.weight_numel)
    x, y, w = (torch.rand(TRIAL_EDGES, dim, generator=generator).to(own.coefficients.dtype) - 0.5 for dim in dims)
    with torch.no_grad():
        expected = product(x, y, w).sum(dim=0)
        # Atom 0 has all edges, to the atoms 0 … n − 1, which have none: their slots are empty.
        slots = Slots.of(torch.zeros(TRIAL_EDGES, dtype=torch.int64), TRIAL_EDGES)
        filled, harmonics, second = slots.filled(w, y, torch.arange(TRIAL_EDGES))
        found = own.messages(x, harmonics, filled, second, slots)[0]
    return bool((found - expected).abs().max() <= SAME * expected.abs().max())
