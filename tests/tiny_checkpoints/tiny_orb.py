"""Write an ORB with random weights: ``python tiny_orb.py OUT.ckpt orb-v2``, with orb-models installed.

The library's functions have their architectures built in, so the file is as large as a published one (100 MB).
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from orb_models.forcefield import pretrained
from orb_models.forcefield.forcefield_heads import ForceHead


def build(name: str, seed: int = 0) -> dict[str, Any]:
    """State dict of a named model's architecture; ``-with-head`` gives a conservative one a force head as well.

    Energies of isolated atoms are those of all electrons where the published model's are (``omol``).
    """
    torch.manual_seed(seed)
    omol = "omol" in name
    if name.startswith("orb-v3"):
        kind = "conservative" if "conservative" in name else "direct"
        make = getattr(pretrained, f"orb_v3_{kind}_architecture")
        model = make(device="cpu", has_charge_spin_cond=omol, has_stress=not omol)
    else:
        model = pretrained.orb_v2_architecture(device="cpu")
    state = dict(model.state_dict())
    if omol:
        state["heads.energy.reference.linear.weight"][..., [1, 8]] = torch.tensor([-13.587223, -2042.4301])
    if name.endswith("-with-head"):
        head = ForceHead(latent_dim=256, num_mlp_layers=1, mlp_hidden_dim=256, activation="silu")
        state |= {f"heads.forces.{key}": value for key, value in head.state_dict().items()}
    return state


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("name")
    arguments = parser.parse_args()
    torch.save(build(arguments.name), arguments.out)
