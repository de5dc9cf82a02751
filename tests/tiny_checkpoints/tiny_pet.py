"""Write a metatrain checkpoint of a PET of water with random weights: ``python tiny_pet.py OUT.ckpt``, with metatrain installed."""

from __future__ import annotations

import argparse

import metatensor.torch as mts
import torch
from metatrain import pet
from metatrain.utils.architectures import get_default_hypers
from metatrain.utils.data import DatasetInfo
from metatrain.utils.data.target_info import get_energy_target_info, get_generic_target_info


def build(seed: int = 0, *, conditioned: bool = False) -> torch.nn.Module:
    """PET of H and O, 3.5 Å, one layer of 16 features, with an energy and a force head.

    With ``conditioned`` as PET-OMol: it reads charge and spin, and its energies are those of all electrons.
    """
    torch.manual_seed(seed)
    hypers = get_default_hypers("pet")["model"]
    hypers |= {"cutoff": 3.5, "d_pet": 16, "d_head": 16, "d_node": 16, "d_feedforward": 16, "num_heads": 2}
    hypers |= {"num_attention_layers": 1, "num_gnn_layers": 1}
    hypers |= {"system_conditioning": conditioned, "max_charge": 2, "max_spin_multiplicity": 3}
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
    # At initialisation, forces are of the order of rounding in products of its Jacobian.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0)
    if conditioned:
        # The contribution of charge and spin is initialised to zero.
        for parameter in model.system_conditioning.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        composition = model.additive_models[0]
        energies = composition.model.weights["energy"]
        energies.block(0).values[:, 0] = torch.tensor([-13.587223, -2042.4301], dtype=torch.float64)
        composition.energy_composition_buffer = mts.save_buffer(mts.make_contiguous(energies))
    return model.eval()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("--conditioned", action="store_true", help="reads charge and spin; all-electron references")
    arguments = parser.parse_args()
    torch.save(build(conditioned=arguments.conditioned).get_checkpoint(), arguments.out)
