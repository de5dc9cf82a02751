"""Write a SOAP-BPNN of water with random weights: ``python tiny_soap_bpnn.py OUT.pt [direct]``, with metatrain[soap-bpnn] installed."""

from __future__ import annotations

import argparse

import torch
from metatrain import soap_bpnn
from metatrain.utils.architectures import get_default_hypers
from metatrain.utils.data import DatasetInfo
from metatrain.utils.data.target_info import get_energy_target_info, get_generic_target_info


def build(*, direct: bool, seed: int = 0) -> torch.nn.Module:
    """SOAP-BPNN of H and O, 4 Å, with an energy and, on request, a force head."""
    torch.manual_seed(seed)
    hypers = get_default_hypers("soap_bpnn")["model"]
    hypers["soap"]["cutoff"]["radius"] = 4.0
    hypers["soap"]["max_radial"] = 3
    hypers["soap"]["max_angular"] = 3
    hypers["bpnn"]["num_neurons_per_layer"] = 8
    targets = {
        "energy": get_energy_target_info("energy", {"quantity": "energy", "unit": "eV"}, add_position_gradients=True)
    }
    if direct:
        targets["non_conservative_force"] = get_generic_target_info(
            "non_conservative_force",
            {
                "quantity": "force",
                "unit": "eV/Angstrom",
                "type": {"cartesian": {"rank": 1}},
                "num_subtargets": 1,
                "sample_kind": "atom",
            },
        )
    model = soap_bpnn.__model__(hypers, DatasetInfo(length_unit="angstrom", atomic_types=[1, 8], targets=targets))
    # At initialisation, a model of few neurons has forces of some meV/Å: of the order of rounding in products of its Jacobian.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0)
    return model.eval()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("mode", nargs="?", default="conservative", choices=["conservative", "direct"])
    arguments = parser.parse_args()
    build(direct=arguments.mode == "direct").export().save(arguments.out)
