"""The models that ncbench knows by name. A row a model; what a family's package brings later needs none (package_names.py)."""

from __future__ import annotations

from typing import Any

from ncbench.models.row import BOTH, CONSERVATIVE, DIRECT, ModelRow

_BIGI = "Bigi, Langer, Ceriotti, The dark side of the forces, ICML 2025"
_SEVENNET = "Park, Kim, Hwang, Han, J. Chem. Theory Comput. 20, 4857 (2024)"
_ORB_V2 = "Neumann et al., Orb: a fast, scalable neural network potential, arXiv:2410.22570 (2024)"
_ORB_V3 = "Rhodes et al., Orb-v3: atomistic simulation at scale, arXiv:2504.06231 (2025)"
_MACE_MP = "Batatia et al., A foundation model for atomistic materials chemistry, arXiv:2401.00096 (2023)"
_MACE_OFF = "Kovács et al., MACE-OFF, J. Am. Chem. Soc. 147, 17598 (2025)"
_ESEN = "Fu et al., Learning smooth and expressive interatomic potentials for physical property prediction, ICML 2025"
_UMA = "Wood et al., UMA: a family of universal models for atoms, arXiv:2506.23971 (2025)"
_OMAT = "Barroso-Luque et al., Open Materials 2024, arXiv:2410.12771 (2024)"
_PET_MAD = "Mazitov et al., PET-MAD, a lightweight universal interatomic potential, Nat. Commun. 16, 10653 (2025)"

_REMOVAL = "net-force removal of direct forces: on or off (on)"


def sevennet(
    name: str, summary: str, *, source: str = "", aliases: tuple[str, ...] = (), modal: str = "", download: bool = False
) -> ModelRow:
    """A SevenNet, by the key of ``sevenn.util.pretrained_name_to_path``."""
    return ModelRow(
        name=name,
        aliases=(*aliases, name.replace("sevennet", "7net")),
        family="sevennet",
        modes=(CONSERVATIVE,),
        summary=summary,
        extra="sevennet",
        package="sevenn",
        environment="sevennet",
        weights="download" if download else "in package",
        source=source or name,
        elements="89 elements",
        licence="GPL-3.0 (package)",
        citation=_SEVENNET,
        options={"modal": f"task of a multi-task model: {modal}"} if modal else {},
    )


def orb(name: str, summary: str, **more: Any) -> ModelRow:
    """An ORB, by the key of ``orb_models.forcefield.pretrained.ORB_PRETRAINED_MODELS``."""
    conservative = "conservative" in name
    molecular = {"charge": "total charge (0)", "spin": "spin multiplicity (1)"} if name.endswith("omol") else {}
    fields: dict[str, Any] = {
        "name": name,
        "family": "orb",
        "modes": (CONSERVATIVE,) if conservative else (DIRECT,),
        "maybe": (DIRECT,) if conservative else (),
        "summary": summary,
        "extra": "orb",
        "package": "orb_models",
        "environment": "orb",
        "weights": "download",
        "source": name,
        "elements": "Z up to 118",
        "licence": "Apache-2.0",
        "citation": _ORB_V3 if "v3" in name else _ORB_V2,
        "options": {
            "architecture": "the package's name of the model that a file of yours holds the weights of",
            "precision": "float32-highest, float32-high (TF32 where there is any) or float64 (float32-highest)",
            "compile": "torch.compile: on or off (off)",
            "edges": "list, the library's knn_scipy, knn_brute_force, knn_cuml_brute or knn_cuml_rbc (list)",
            "net-force-removal": "net-force and torque removal in the force head: on or off (on)",
            **molecular,
        },
    }
    return ModelRow(**{**fields, **more})


def mace(name: str, summary: str, *, source: str, licence: str = "MIT", **more: Any) -> ModelRow:
    """A MACE, ``source`` being ``mp:KEY`` or ``off:KEY`` of the package's tables of downloads."""
    fields: dict[str, Any] = {
        "name": name,
        "family": "mace",
        "modes": (CONSERVATIVE,),
        "summary": summary,
        "extra": "mace",
        "package": "mace",
        "environment": "mace",
        "weights": "download",
        "source": source,
        "elements": "10 elements" if source.startswith("off:") else "89 elements",
        "licence": licence,
        "citation": _MACE_OFF if source.startswith("off:") else _MACE_MP,
        "options": {
            "head": "head of a multi-head model",
            "cueq": "cuEquivariance kernels: on or off (off)",
            "tf32": "on or off (off)",
            "charge": "total charge, where the model asks for one (0)",
            "spin": "spin multiplicity, where the model asks for one (1)",
        },
    }
    return ModelRow(**{**fields, **more})


def fairchem(name: str, summary: str, *, repository: str, **more: Any) -> ModelRow:
    """An eSEN or UMA, by the key of fairchem-core's ``pretrained_mlip.available_models``."""
    direct = "-direct-" in name
    fields: dict[str, Any] = {
        "name": name,
        "family": "fairchem",
        "modes": (DIRECT,) if direct else (CONSERVATIVE,),
        "summary": summary,
        "extra": "fairchem",
        "package": "fairchem.core.units",
        "environment": "fairchem",
        "weights": "download",
        "source": name,
        "elements": "Z up to 100",
        "licence": f"FAIR Chemistry licence; gated: https://huggingface.co/{repository}",
        "citation": _UMA if name.startswith("uma") else _ESEN,
        "options": {
            "task": "omol, omat, oc20, oc25, odac or omc, where the model has several",
            "charge": "total charge (0)",
            "spin": "spin multiplicity (1 for omol, else 0)",
            "net-force-removal": _REMOVAL,
            "tf32": "on or off (off)",
            "compile": "torch.compile: on or off (off)",
            "activation-checkpointing": "less memory, more time: on or off (off)",
        },
    }
    return ModelRow(**{**fields, **more})


def equiformer(name: str, summary: str, *, source: str, **more: Any) -> ModelRow:
    """An EquiformerV2 (or eSEN-30M), by the key of fairchem-core 1.x's registry of models."""
    fields: dict[str, Any] = {
        "name": name,
        "family": "equiformer",
        "modes": (DIRECT,),
        "summary": summary,
        "package": "fairchem.core.trainers",
        "environment": "equiformer",
        "weights": "download",
        "source": source,
        "elements": "Z up to 89",
        "licence": "OMat24 licence; gated: https://huggingface.co/facebook/OMAT24",
        "citation": _OMAT,
        "options": {"net-force-removal": _REMOVAL, "tf32": "on or off (off)"},
    }
    return ModelRow(**{**fields, **more})


def upet(name: str, summary: str, **more: Any) -> ModelRow:
    """A PET of the upet package: MODEL-SIZE or MODEL-SIZE-vVERSION."""
    fields: dict[str, Any] = {
        "name": name,
        "family": "upet",
        "modes": (CONSERVATIVE,),
        "maybe": (DIRECT,),
        "summary": summary,
        "extra": "upet",
        "package": "upet",
        "environment": "upet",
        "weights": "download",
        "source": name,
        "licence": "BSD-3-Clause",
        "citation": _PET_MAD,
        "options": {"net-force-removal": _REMOVAL, "tf32": "on or off (off)"},
    }
    return ModelRow(**{**fields, **more})


_ANALYTIC = (
    ModelRow(
        name="analytic-harmonic",
        family="analytic",
        modes=(CONSERVATIVE,),
        summary="Einstein crystal: λ = 0, W = 0, no drift, in closed form",
        options={"k": "spring constant, eV/Å² (5)"},
    ),
    ModelRow(
        name="analytic-solenoidal",
        family="analytic",
        modes=(DIRECT,),
        summary="Einstein crystal with a swirling force of dialled strength: λ, W and heating in closed form",
        options={"k": "spring constant, eV/Å² (5)", "kappa": "strength of the swirl, eV/Å² (0.05)"},
    ),
    ModelRow(
        name="analytic-lj",
        family="analytic",
        modes=(CONSERVATIVE,),
        summary="Lennard-Jones argon with a smooth cutoff",
        options={"epsilon": "well depth, eV (0.0104)", "sigma": "Å (3.4)", "cutoff": "Å (8.5)"},
    ),
)

BUILT_IN: tuple[ModelRow, ...] = (
    ModelRow(
        name="pet-m",
        family="pet",
        modes=BOTH,
        summary="small PET for liquid water with an energy head and a direct-force head, made by this project",
        extra="pet",
        package="metatomic_ase",
        environment="pet",
        weights="bundled",
        source="pet-m.pt",
        elements="H, O",
        licence="BSD-3-Clause; trained on the DeePMD-kit water set (LGPL-3.0)",
        citation=_BIGI,
    ),
    upet("pet-mad-s", "PET-MAD, small: materials and molecules", aliases=("pet-mad",)),
    upet("pet-mad-xs", "PET-MAD, extra small"),
    sevennet("sevennet-0", "SevenNet-0 (11Jul2024), the paper's SevenNet", aliases=("sevennet",)),
    sevennet("sevennet-0-22may2024", "SevenNet-0, first release", source="sevennet-0_22may2024"),
    sevennet("sevennet-l3i5", "SevenNet with l = 3 and five interactions"),
    sevennet("sevennet-mf-0", "SevenNet of two fidelities", modal="PBE or R2SCAN"),
    sevennet("sevennet-mf-ompa", "SevenNet trained on OMat24 and MPtrj + sAlex", modal="mpa or omat24", download=True),
    sevennet("sevennet-omat", "SevenNet trained on OMat24", download=True),
    sevennet("sevennet-omni", "SevenNet of many fidelities", modal="mpa, omat24, omol25_low, …", download=True),
    orb("orb-v2", "ORB-v2, MPtrj + Alexandria: the paper's ORB", aliases=("orb",)),
    orb(
        "orb-v2-low-precision",
        "ORB-v2 with TF32 products, the library's default and the paper's ORB-low-precision (Table 7)",
        source="orb-v2",
        preset={"precision": "float32-high"},
    ),
    orb("orb-mptraj-only-v2", "ORB-v2 trained on MPtrj alone"),
    *(
        orb(
            f"orb-v3-{mode}-{neighbours}-{data}",
            f"ORB-v3, {mode} forces, {'20' if neighbours == '20' else 'all (120)'} neighbours, "
            f"{'OMat24' if data == 'omat' else 'MPtrj + Alexandria'}",
        )
        for mode in ("direct", "conservative")
        for neighbours in ("20", "inf")
        for data in ("omat", "mpa")
    ),
    orb("orb-v3-direct-omol", "ORB-v3, direct forces, molecules (OMol25)"),
    orb("orb-v3-conservative-omol", "ORB-v3, conservative forces, molecules (OMol25)"),
    mace("mace-mp-0-large", "MACE-MP-0, large: the paper's MACE", source="mp:large", aliases=("mace", "mace-mp-0")),
    mace("mace-mp-0-medium", "MACE-MP-0, medium", source="mp:medium"),
    mace("mace-mp-0-small", "MACE-MP-0, small", source="mp:small"),
    mace("mace-mpa-0", "MACE-MPA-0, medium: MPtrj + sAlex", source="mp:medium-mpa-0"),
    mace("mace-omat-0", "MACE-OMAT-0, medium", source="mp:medium-omat-0", licence="ASL"),
    *(
        mace(f"mace-off23-{size}", f"MACE-OFF23, {size}: organic molecules", source=f"off:{size}", licence="ASL")
        for size in ("small", "medium", "large")
    ),
    fairchem("esen-sm-direct-all-omol", "eSEN, small, direct forces, OMol25", repository="facebook/OMol25"),
    fairchem("esen-sm-conserving-all-omol", "eSEN, small, conservative, OMol25", repository="facebook/OMol25"),
    fairchem("esen-md-direct-all-omol", "eSEN, medium, direct forces, OMol25", repository="facebook/OMol25"),
    fairchem("esen-sm-conserving-all-oc25", "eSEN, small, conservative, OC25", repository="facebook/OC25"),
    fairchem("esen-md-direct-all-oc25", "eSEN, medium, direct forces, OC25", repository="facebook/OC25"),
    fairchem("uma-s-1p2", "UMA 1.2, small", repository="facebook/UMA", aliases=("uma",)),
    fairchem("uma-s-1p1", "UMA 1.1, small", repository="facebook/UMA"),
    fairchem("uma-m-1p1", "UMA 1.1, medium", repository="facebook/UMA"),
    equiformer(
        "equiformer",
        "EquiformerV2, 31 M weights, OMat24 + MPtrj + sAlex: the paper's small Equiformer (Table 5)",
        source="EquiformerV2-31M-OMAT24-MP-sAlex",
    ),
    equiformer(
        "equiformer-large",
        "EquiformerV2, 153 M weights, OMat24 + MPtrj + sAlex: the paper's large Equiformer (Figure 6)",
        source="EquiformerV2-153M-OMAT24-MP-sAlex",
    ),
    *_ANALYTIC,
)
