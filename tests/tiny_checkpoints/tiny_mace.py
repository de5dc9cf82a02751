"""Write a MACE of water with random weights: ``python tiny_mace.py OUT.model [--dtype float64]``, with mace-torch installed."""

from __future__ import annotations

import argparse

import numpy as np
import torch

# e3nn 0.4 reads its tables with a torch.load that torch 2.6 made stricter.
with torch.serialization.safe_globals([slice]):
    from e3nn import o3
    from mace import modules


def build(dtype: torch.dtype = torch.float64, seed: int = 0, *, conditioned: bool = False) -> torch.nn.Module:
    """ScaleShiftMACE of H and O, 3.5 Å, two layers, some 10⁴ weights.

    With ``conditioned`` as MACE-OMOL: it reads charge and spin, and its energies are those of all electrons.
    """
    torch.manual_seed(seed)
    torch.set_default_dtype(dtype)
    system = {
        "total_charge": {"type": "categorical", "per": "graph", "num_classes": 5, "offset": 2, "emb_dim": 8},
        "total_spin": {"type": "categorical", "per": "graph", "num_classes": 4, "offset": 0, "emb_dim": 8},
    }
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
        atomic_energies=np.array([-13.587222780835477, -2042.4301] if conditioned else [-1.0, -5.0]),
        avg_num_neighbors=20.0,
        atomic_numbers=[1, 8],
        correlation=2,
        atomic_inter_scale=50.0,  # forces of some eV/Å
        atomic_inter_shift=0.0,
        embedding_specs=system if conditioned else None,
        use_embedding_readout=conditioned,
    )
    return model.eval()


def build_polar(dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.nn.Module:
    """PolarMACE of H and O: charges and spin densities in two channels; needs graph-longrange."""
    torch.manual_seed(seed)
    torch.set_default_dtype(dtype)
    model = modules.PolarMACE(
        r_max=3.5,
        num_bessel=4,
        num_polynomial_cutoff=5,
        max_ell=2,
        interaction_cls=modules.interaction_classes["RealAgnosticResidualNonLinearInteractionBlock"],
        interaction_cls_first=modules.interaction_classes["RealAgnosticResidualNonLinearInteractionBlock"],
        num_interactions=2,
        num_elements=2,
        hidden_irreps=o3.Irreps("4x0e + 4x1o"),
        MLP_irreps=o3.Irreps("8x0e"),
        edge_irreps=o3.Irreps("4x0e + 4x1o"),
        gate=torch.nn.functional.silu,
        atomic_energies=np.array([-1.0, -5.0]),
        avg_num_neighbors=5.0,
        atomic_numbers=[1, 8],
        correlation=2,
        radial_MLP=[8, 8],
        radial_type="bessel",
        kspace_cutoff_factor=1.0,
        atomic_multipoles_max_l=0,
        atomic_multipoles_smearing_width=1.5,
        field_feature_max_l=0,
        field_feature_widths=[1.5],
        num_recursion_steps=1,
        include_electrostatic_self_interaction=True,
        add_local_electron_energy=True,
        heads=["Default"],
        field_norm_factor=1.0,
        fixedpoint_update_config={
            "type": "AgnosticEmbeddedOneBodyVariableUpdate",
            "potential_embedding_cls": "AgnosticChargeBiasedLinearPotentialEmbedding",
            "nonlinearity_cls": "MLPNonLinearity",
        },
        field_readout_config={"type": "OneBodyMLPFieldReadout"},
    )
    return model.to(dtype).eval()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("--dtype", default="float64", choices=["float32", "float64"])
    parser.add_argument("--conditioned", action="store_true", help="reads charge and spin; all-electron references")
    parser.add_argument("--polar", action="store_true", help="with electrostatics")
    arguments = parser.parse_args()
    precision = getattr(torch, arguments.dtype)
    torch.save(
        build_polar(precision) if arguments.polar else build(precision, conditioned=arguments.conditioned),
        arguments.out,
    )
