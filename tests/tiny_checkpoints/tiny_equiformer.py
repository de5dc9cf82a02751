"""Write an EquiformerV2, or an eSEN, with random weights: ``python tiny_equiformer.py OUT.pt [--esen]``, with fairchem-core 1 installed."""

from __future__ import annotations

import argparse
from typing import Any

import torch

from ncbench.models.scatter import stand_in

stand_in()

from fairchem.core.common.registry import registry  # noqa: E402
from fairchem.core.common.utils import setup_imports  # noqa: E402

BACKBONE = {
    "model": "equiformer_v2_backbone",
    "use_pbc": True,
    "use_pbc_single": False,
    "regress_forces": True,
    "otf_graph": True,
    "max_neighbors": 20,
    "max_radius": 6.0,
    "max_num_elements": 96,
    "num_layers": 2,
    "sphere_channels": 8,
    "attn_hidden_channels": 8,
    "num_heads": 2,
    "attn_alpha_channels": 8,
    "attn_value_channels": 4,
    "ffn_hidden_channels": 8,
    "norm_type": "rms_norm_sh",
    "lmax_list": [2],
    "mmax_list": [2],
    "grid_resolution": 10,
    "edge_channels": 8,
    "num_distance_basis": 16,
    "weight_init": "uniform",
    "alpha_drop": 0.0,
    "drop_path_rate": 0.0,
    "enforce_max_neighbors_strictly": True,
}
HEADS = {
    "energy": {"module": "equiformerV2_scalar_head", "reduce": "sum"},
    "forces": {"module": "equiformerV2_vector_head"},
    "stress": {"module": "rank2_symmetric_head", "output_name": "stress", "decompose": True},
}
STRESS_PARTS = {"stress_isotropic": {"irrep_dim": 0}, "stress_anisotropic": {"irrep_dim": 2}}
ESEN_BACKBONE = {
    "model": "esen_backbone",
    "use_pbc": True,
    "regress_forces": True,
    "regress_stress": False,
    "direct_forces": False,
    "otf_graph": True,
    "max_neighbors": 300,
    "cutoff": 4.0,
    "max_num_elements": 96,
    "num_layers": 2,
    "sphere_channels": 8,
    "hidden_channels": 8,
    "edge_channels": 8,
    "num_distance_basis": 16,
    "lmax": 2,
    "mmax": 2,
    "norm_type": "rms_norm_sh",
    "act_type": "gate",
    "mlp_type": "spectral",
    "use_envelope": True,
}
ESEN_HEADS = {"efs": {"module": "esen_mlp_efs_head"}}


def build(seed: int = 0, *, esen: bool = False) -> dict[str, Any]:
    """The checkpoint that OCPCalculator reads; an eSEN's forces are gradients, as eSEN-30M's."""
    setup_imports()
    torch.manual_seed(seed)
    backbone, heads = (ESEN_BACKBONE, ESEN_HEADS) if esen else (BACKBONE, HEADS)
    config = {"name": "hydra", "backbone": backbone, "heads": heads, "otf_graph": True}
    config["pass_through_head_outputs"] = True
    arguments = {key: value for key, value in config.items() if key != "name"}
    model = registry.get_model_class("hydra")(**arguments)
    scale = {"mean": torch.tensor(0.0), "rmsd": torch.tensor(5.0)}
    normalizers = {"energy": scale, "forces": scale}
    outputs: dict[str, Any] = {
        "energy": {"level": "system", "property": "energy"},
        "forces": {"level": "atom", "property": "forces"},
    }
    if not esen:
        parts = {name: {**part, "level": "system", "property": name} for name, part in STRESS_PARTS.items()}
        outputs["stress"] = {"level": "system", "property": "stress", "decomposition": parts}
        normalizers |= {key: {"mean": torch.tensor(0.0), "rmsd": torch.tensor(0.1)} for key in STRESS_PARTS}
    return {
        "config": {
            "trainer": "equiformerv2_forces",
            "model": config,
            "task": {},
            "cmd": {"seed": 0},
            "dataset": {"src": "", "train": {}},
            "outputs": outputs,
            "loss_functions": [{"energy": {"fn": "mae", "coefficient": 1}}],
            "evaluation_metrics": {"metrics": {"energy": ["mae"]}},
            "optim": {"max_epochs": 1, "lr_initial": 1e-4, "scheduler_params": {}},
        },
        "state_dict": model.state_dict(),
        "normalizers": normalizers,
        "elementrefs": {},
        "ema": None,
        "amp": None,
        "scale_dict": None,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("--esen", action="store_true")
    arguments = parser.parse_args()
    torch.save(build(esen=arguments.esen), arguments.out)
