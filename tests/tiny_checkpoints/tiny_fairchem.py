"""Write an eSEN of molecules with random weights: ``python tiny_fairchem.py OUT.pt direct|conserving``, with fairchem-core 2 installed."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import torch

ESCN = "fairchem.core.models.uma.escn_md"


def model_config(kind: str) -> dict[str, Any]:
    """A few 10⁴ weights; a force head, or forces and stresses by differentiation."""
    direct = kind == "direct"
    backbone = {
        "model": f"{ESCN}.eSCNMDBackbone",
        "max_num_elements": 100,
        "sphere_channels": 8,
        "hidden_channels": 8,
        "edge_channels": 8,
        "lmax": 2,
        "mmax": 2,
        "num_layers": 2,
        "num_distance_basis": 16,
        "cutoff": 4.0,
        "max_neighbors": 300,
        "otf_graph": True,
        "direct_forces": direct,
        "regress_forces": True,
        "regress_stress": not direct,
        "norm_type": "rms_norm_sh",
        "act_type": "gate",
        "ff_type": "spectral",
        "use_dataset_embedding": True,
        "dataset_mapping": {"omol": "omol"},
        "always_use_pbc": False,
    }
    if direct:
        heads = {
            "omol_energy": {"module": f"{ESCN}.MLP_Energy_Head"},
            "omol_forces": {"module": f"{ESCN}.Linear_Force_Head"},
        }
    else:
        heads = {"efs": {"module": f"{ESCN}.MLP_EFS_Head", "prefix": "omol", "wrap_property": True}}
    return {
        "_target_": "fairchem.core.models.base.HydraModel",
        "backbone": backbone,
        "heads": heads,
        "pass_through_head_outputs": not direct,
    }


def tasks_config(kind: str) -> list[dict[str, Any]]:
    """Energies and forces of the task omol, scaled to some eV/Å; energies of isolated atoms are those of all electrons."""

    energies = [0.0] * 100
    energies[1], energies[8] = -13.587223, -2042.4301
    references = {
        "element_references": {
            "_target_": "fairchem.core.modules.normalization.element_references.ElementReferences",
            "element_references": {"_target_": "torch.tensor", "data": energies},
        }
    }

    def task(what: str, level: str, dim: list[int]) -> dict[str, Any]:
        return {
            "_target_": "fairchem.core.units.mlip_unit.mlip_unit.Task",
            "name": f"omol_{what}",
            "level": level,
            "property": what,
            "out_spec": {
                "_target_": "fairchem.core.units.mlip_unit.mlip_unit.OutputSpec",
                "dim": dim,
                "dtype": "float32",
            },
            "normalizer": {
                "_target_": "fairchem.core.modules.normalization.normalizer.Normalizer",
                "mean": 0.0,
                "rmsd": 5.0,
            },
            "datasets": ["omol"],
        } | (references if what == "energy" else {})

    return [task("energy", "system", [1]), task("forces", "atom", [3])]


def build(kind: str, seed: int = 0) -> Any:
    """The inference checkpoint that fairchem's loader reads."""
    import hydra
    from fairchem.core.units.mlip_unit.api.inference import MLIPInferenceCheckpoint

    torch.manual_seed(seed)
    model = hydra.utils.instantiate(model_config(kind))
    average = torch.optim.swa_utils.AveragedModel(model)
    return MLIPInferenceCheckpoint(
        model_config=model_config(kind),
        model_state_dict=model.state_dict(),
        ema_state_dict=average.state_dict(),
        tasks_config=tasks_config(kind),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("kind", choices=["direct", "conserving"])
    arguments = parser.parse_args()
    torch.save(build(arguments.kind), arguments.out)
    sys.exit(0)
