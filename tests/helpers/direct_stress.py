"""A stress head with an adjustable error, for TorchScript (which reads annotations, so none are postponed)."""

from typing import Dict, List, Optional  # noqa: UP035  # metatomic compares the signature with these very types

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap
from metatomic.torch import ModelOutput, NeighborListOptions, System


class StressedSprings(torch.nn.Module):
    """½ Σ r² over directed pairs within 2 Å, its own forces as a force head, and ``scale`` times its own stress as a stress head."""

    def __init__(self, scale: float):
        super().__init__()
        self.scale = scale
        # As in metatrain's models; read when a model is wrapped again with another dtype.
        self.outputs: Dict[str, ModelOutput] = {  # noqa: UP006  # as above
            "energy": ModelOutput(),
            "non_conservative_force": ModelOutput(),
            "non_conservative_stress": ModelOutput(),
        }

    @torch.jit.export
    def requested_neighbor_lists(self) -> List[NeighborListOptions]:  # noqa: UP006  # as above
        return [NeighborListOptions(2.0, True, True)]

    def forward(
        self,
        systems: List[System],  # noqa: UP006  # as above
        outputs: Dict[str, ModelOutput],  # noqa: UP006  # as above
        selected_atoms: Optional[Labels],  # noqa: UP045  # as above
    ) -> Dict[str, TensorMap]:  # noqa: UP006  # as above
        energies: List[torch.Tensor] = []  # noqa: UP006  # as above
        forces: List[torch.Tensor] = []  # noqa: UP006  # as above
        stresses: List[torch.Tensor] = []  # noqa: UP006  # as above
        for system in systems:
            pairs = system.get_neighbor_list(system.known_neighbor_lists()[0])
            vectors = pairs.values[:, :, 0]
            energies.append(0.5 * (vectors * vectors).sum())
            pull = torch.zeros_like(system.positions)
            forces.append(pull.index_add(0, pairs.samples.column("first_atom").to(torch.int64), 2.0 * vectors))
            volume = torch.abs(torch.det(system.cell))
            stresses.append(self.scale * (vectors.transpose(0, 1) @ vectors) / volume)
        by_system = Labels(["system"], torch.arange(len(systems)).reshape(-1, 1))
        results: Dict[str, TensorMap] = {}  # noqa: UP006  # as above
        if "energy" in outputs:
            results["energy"] = one_block(torch.stack(energies).reshape(-1, 1), by_system, [])
        if "non_conservative_force" in outputs:
            sizes = torch.tensor([len(system) for system in systems])
            atoms = torch.cat([torch.arange(len(system)) for system in systems])
            rows = torch.stack([torch.arange(len(systems)).repeat_interleave(sizes), atoms], dim=1)
            results["non_conservative_force"] = one_block(
                torch.cat(forces)[:, :, None], Labels(["system", "atom"], rows), ["xyz"]
            )
        if "non_conservative_stress" in outputs:
            results["non_conservative_stress"] = one_block(
                torch.stack(stresses)[:, :, :, None], by_system, ["xyz_1", "xyz_2"]
            )
        return results


def one_block(values: torch.Tensor, samples: Labels, axes: List[str]) -> TensorMap:  # noqa: UP006  # as above
    components = [Labels([axis], torch.arange(3).reshape(-1, 1)) for axis in axes]
    zero = torch.arange(1).reshape(-1, 1)
    return TensorMap(Labels(["_"], zero), [TensorBlock(values, samples, components, Labels(["value"], zero))])
