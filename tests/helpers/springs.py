"""A metatomic model with two known answers, written for TorchScript (which reads annotations, so none are postponed here)."""

from typing import Dict, List, Optional  # noqa: UP035  # metatomic compares the signature with these very types

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap
from metatomic.torch import ModelOutput, NeighborListOptions, System


class Springs(torch.nn.Module):
    """½ Σ r² over directed pairs within 2 Å, and forces of (1, 1, 1) that do not see the positions."""

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:  # noqa: UP006  # as above
        return [NeighborListOptions(2.0, True, True)]

    def forward(
        self,
        systems: List[System],  # noqa: UP006  # as above
        outputs: Dict[str, ModelOutput],  # noqa: UP006  # as above
        selected_atoms: Optional[Labels],  # noqa: UP045  # as above
    ) -> Dict[str, TensorMap]:  # noqa: UP006  # as above
        results: Dict[str, TensorMap] = {}  # noqa: UP006  # as above
        if "energy" in outputs:
            energies: List[torch.Tensor] = []  # noqa: UP006  # as above
            for system in systems:
                vectors = system.get_neighbor_list(system.known_neighbor_lists()[0]).values
                energies.append(0.5 * (vectors * vectors).sum())
            samples = Labels(["system"], torch.arange(len(systems)).reshape(-1, 1))
            block = TensorBlock(
                torch.stack(energies).reshape(-1, 1), samples, [], Labels(["energy"], torch.arange(1).reshape(-1, 1))
            )
            results["energy"] = TensorMap(Labels(["_"], torch.arange(1).reshape(-1, 1)), [block])
        if "non_conservative_force" in outputs:
            sizes = torch.tensor([len(system) for system in systems])
            atoms = torch.cat([torch.arange(len(system)) for system in systems])
            rows = torch.stack([torch.arange(len(systems)).repeat_interleave(sizes), atoms], dim=1)
            values = torch.ones(len(rows), 3, 1, dtype=systems[0].positions.dtype)
            block = TensorBlock(
                values,
                Labels(["system", "atom"], rows),
                [Labels(["xyz"], torch.arange(3).reshape(-1, 1))],
                Labels(["non_conservative_force"], torch.arange(1).reshape(-1, 1)),
            )
            results["non_conservative_force"] = TensorMap(Labels(["_"], torch.arange(1).reshape(-1, 1)), [block])
        return results
