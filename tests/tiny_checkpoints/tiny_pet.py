"""Write a metatrain checkpoint of a PET of water with random weights: ``python tiny_pet.py OUT.ckpt``, where metatrain is."""

from __future__ import annotations

import argparse

import torch
from metatrain import pet
from metatrain.utils.architectures import get_default_hypers
from metatrain.utils.data import DatasetInfo
from metatrain.utils.data.target_info import get_energy_target_info, get_generic_target_info


def build(seed: int = 0) -> torch.nn.Module:
    """PET of H and O, 3.5 Å, one layer of 16 features, with an energy and a force head."""
    torch.manual_seed(seed)
    hypers = get_default_hypers("pet")["model"]
    hypers |= {"cutoff": 3.5, "d_pet": 16, "d_head": 16, "d_node": 16, "d_feedforward": 16, "num_heads": 2}
    hypers |= {"num_attention_layers": 1, "num_gnn_layers": 1}
    forces = {
        "quantity": "force",
        "unit": "eV/Angstrom",
        "type": {"cartesian": {"rank": 1}},
        "num_subtargets": 1,
        "sample_kind": "atom",
    }
    targets = {
        "energy": get_energy_target_info("energy", {"quantity": "energy", "unit": "eV"}, add_position_gradients=True),
        "non_conservative_force": get_generic_target_info("non_conservative_force", forces),
    }
    model = pet.__model__(hypers, DatasetInfo(length_unit="angstrom", atomic_types=[1, 8], targets=targets))
    # As it begins, forces are of the order of rounding in products of its Jacobian.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0)
    return model.eval()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    torch.save(build().get_checkpoint(), parser.parse_args().out)
