"""Write an eSEN or AllScAIP of molecules with random weights, with fairchem-core 2 installed:
``python tiny_fairchem.py OUT.pt direct|conserving|allscaip-direct|allscaip-conserving``.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import torch

ESCN = "fairchem.core.models.uma.escn_md"
ALLSCAIP = "fairchem.core.models.allscaip.AllScAIP"


def model_config(kind: str) -> dict[str, Any]:
    """A few 10⁴ weights; a force head, or forces and stresses by differentiation."""
    if kind.startswith("allscaip"):
        return _allscaip(direct=kind.endswith("direct"))
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


def _allscaip(*, direct: bool) -> dict[str, Any]:
    backbone = {
        "model": f"{ALLSCAIP}.AllScAIPBackbone",
        "regress_forces": True,
        "direct_forces": direct,
        "regress_stress": False,
        "hidden_size": 16,
        "num_layers": 2,
        "use_compile": False,
        "use_padding": False,
        "dataset_list": ["omol"],
        "max_num_elements": 100,
        "max_atoms": 200,
        "max_batch_size": 8,
        "max_radius": 4.0,
        "knn_k": 20,
        "atten_name": "math",
        "atten_num_heads": 2,
        "edge_distance_expansion_size": 16,
        "freequency_list": [2, 2, 2, 1, 1],
        "use_freq_mask": False,
        "use_sincx_mask": False,
    }
    if direct:
        heads = {
            "omol_energy": {"module": f"{ALLSCAIP}.AllScAIPEnergyHead"},
            "omol_forces": {"module": f"{ALLSCAIP}.AllScAIPDirectForceHead"},
        }
    else:
        heads = {
            "efs": {
                "module": "fairchem.core.models.uma.escn_moe.DatasetSpecificSingleHeadWrapper",
                "dataset_names": ["omol"],
                "head_cls": "AllScAIP_grad_energy_force_stress_head",
                "head_kwargs": {"wrap_property": False},
            }
        }
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
    parser.add_argument("kind", choices=["direct", "conserving", "allscaip-direct", "allscaip-conserving"])
    arguments = parser.parse_args()
    torch.save(build(arguments.kind), arguments.out)
    sys.exit(0)
