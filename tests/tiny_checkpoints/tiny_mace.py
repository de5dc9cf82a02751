"""Write a MACE of water with random weights: ``python tiny_mace.py OUT.model [--dtype float64]``, where mace-torch is."""

from __future__ import annotations

import argparse

import numpy as np
import torch

# e3nn 0.4 reads its tables with a torch.load that torch 2.6 made stricter.
with torch.serialization.safe_globals([slice]):
    from e3nn import o3
    from mace import modules


def build(dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.nn.Module:
    """ScaleShiftMACE of H and O, 3.5 Å, two layers, some 10⁴ weights."""
    torch.manual_seed(seed)
    torch.set_default_dtype(dtype)
    model = modules.ScaleShiftMACE(
        r_max=3.5,
        num_bessel=4,
        num_polynomial_cutoff=5,
        max_ell=2,
        interaction_cls=modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
        interaction_cls_first=modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
        num_interactions=2,
        num_elements=2,
        hidden_irreps=o3.Irreps("8x0e + 8x1o"),
        MLP_irreps=o3.Irreps("8x0e"),
        gate=torch.nn.functional.silu,
        atomic_energies=np.array([-1.0, -5.0]),
        avg_num_neighbors=20.0,
        atomic_numbers=[1, 8],
        correlation=2,
        atomic_inter_scale=50.0,  # forces of some eV/Å
        atomic_inter_shift=0.0,
    )
    return model.eval()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("--dtype", default="float64", choices=["float32", "float64"])
    arguments = parser.parse_args()
    torch.save(build(getattr(torch, arguments.dtype)), arguments.out)
