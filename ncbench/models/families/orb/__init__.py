"""ORB: v2 and v3, direct and conservative, of orb-models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ncbench.models.environment import BASE, EnvironmentSpec
from ncbench.models.family import Family
from ncbench.models.package_names import PackageNames, dictionary_keys
from ncbench.models.row import CONSERVATIVE, DIRECT, ModelRow, first_match, first_size

_ORB_V2 = "Neumann et al., Orb: a fast, scalable neural network potential, arXiv:2410.22570 (2024)"
_ORB_V3 = "Rhodes et al., Orb-v3: atomistic simulation at scale, arXiv:2504.06231 (2025)"
_TRAINING = {
    "separate-d": "dispersion corrections alone",
    "d3": "MPtrj and Alexandria, with D3 corrections",
    "mptraj-only": "MPtrj",
    "orbmol-v2": "OMol25 and OPoly26",
    "omol|orbmol": "OMol25",
    "omat": "OMat24",
    "mpa|v2": "MPtrj and Alexandria",
}
"""Part of a name → training data."""
_SIZES_MB = {
    "orb-d3-xs": 38.0,
    "orb-d3-sm": 69.0,
    "v2-low|-v2$": 101.0,
    "3layer": 69.0,
    "omol": 104.0,
    "v3|5layer": 103.0,
}
"""Part of a name → size of the state dict of its architecture, 10⁶ bytes, as orb-models 0.5.5 builds it."""


def _row(name: str, summary: str, **more: Any) -> ModelRow:
    """An ORB, by the key of ``orb_models.forcefield.pretrained.ORB_PRETRAINED_MODELS``."""
    conservative = "conservative" in name or name == "orbmol-v2"
    omol = "omol" in name or "orbmol" in name
    molecular = {"charge": "total charge (0)", "spin": "spin multiplicity (1)"} if omol else {}
    fields: dict[str, Any] = {
        "name": name,
        "family": "orb",
        "modes": (CONSERVATIVE,) if conservative else (DIRECT,),
        "maybe": (DIRECT,) if conservative else (),
        "summary": summary,
        "extra": "orb",
        # Module that version 0.7 brought.
        "package": "orb_models.common" if name.startswith("orbmol") else "orb_models",
        "environment": (NEW_ENVIRONMENT if name.startswith("orbmol") else ENVIRONMENT).name,
        "weights": "download",
        "weights_MB": 0.0 if name == "orbmol-v2" else first_size(_SIZES_MB, name),
        "source": name,
        "training": first_match(_TRAINING, name),
        "elements": "Z up to 118",
        "system": "water-molecule" if omol else "al-fcc",
        "licence": "Apache-2.0",
        "citation": _ORB_V3 if "v3" in name or omol else _ORB_V2,
        "options": {
            "architecture": "name in orb-models of the architecture of your own weights file",
            "precision": "float32-highest, float32-high (TF32 where available) or float64 (float32-highest)",
            "compile": "torch.compile: on or off (off)",
            "edges": "list, the library's knn_scipy, knn_brute_force, knn_cuml_brute knn_cuml_rbc or (orb-models 0.7) knn_alchemi (list)",
            "net-force-removal": "net-force and torque removal in the force head: on or off (on)",
            **molecular,
        },
    }
    return ModelRow(**{**fields, **more})


def _names(source: str) -> list[str]:
    return [name for name in dictionary_keys(source, "ORB_PRETRAINED_MODELS") if "v1" not in name.split("-")]


ENVIRONMENT = EnvironmentSpec(
    name="orb",
    summary="orb-models",
    requirements=(*BASE, "orb-models>=0.5.5,<0.6"),
    pins=Path(__file__).parent / "constraints.txt",
    disk_MB=1404,
    # orb-models asks for dm-tree 0.1.8, which has no wheel for Python 3.13 and does not compile there.
    overrides=("dm-tree>=0.1.8,<0.2",),
)
NEW_ENVIRONMENT = EnvironmentSpec(
    name="orb07",
    summary="orb-models 0.7, for OrbMol; disk space with torch for CUDA",
    requirements=(*BASE, "orb-models>=0.7,<0.8"),
    pins=Path(__file__).parent / "constraints_0.7.txt",
    disk_MB=5795,
    overrides=("dm-tree>=0.1.8,<0.2",),
    python=((3, 12), None),
)
FAMILY = Family(
    name="orb",
    adapter=f"{__name__}.adapter",
    summary="ORB (orb-models)",
    tried="tiny checkpoints",
    rows=(
        _row("orb-v2", "ORB-v2, MPtrj + Alexandria: the paper's ORB", aliases=("orb",)),
        _row(
            "orb-v2-low-precision",
            "ORB-v2 with TF32 products, the library's default and the paper's ORB-low-precision (Table 7)",
            source="orb-v2",
            preset={"precision": "float32-high"},
        ),
        _row("orb-mptraj-only-v2", "ORB-v2 trained on MPtrj alone"),
        *(
            _row(
                f"orb-v3-{mode}-{neighbours}-{data}",
                f"ORB-v3, {mode} forces, {'20' if neighbours == '20' else 'all (120)'} neighbours, "
                f"{'OMat24' if data == 'omat' else 'MPtrj + Alexandria'}",
                aliases=("orb-v3",) if (mode, neighbours, data) == ("conservative", "inf", "omat") else (),
            )
            for mode in ("direct", "conservative")
            for neighbours in ("20", "inf")
            for data in ("omat", "mpa")
        ),
        _row("orb-v3-direct-omol", "ORB-v3, direct forces, molecules (OMol25)", aliases=("orbmol-v1-direct",)),
        _row(
            "orb-v3-conservative-omol",
            "ORB-v3, conservative forces, molecules (OMol25)",
            aliases=("orbmol-v1-conservative",),
        ),
        _row("orbmol-v2", "OrbMol-v2, conservative, with electrostatics, one structure at a time", aliases=("orbmol",)),
    ),
    names=PackageNames(
        tested=Path(__file__).parent / "names.txt",
        shape=r"orb(mol)?-.+|separate-d[34]-.+",
        package="orb_models.forcefield",
        table="pretrained.py",
        read=_names,
        row=lambda name: _row(name, "as named in orb-models"),
        withdrawn={r"orb-(v1.*|.+-v1)": "Orbital Materials has withdrawn ORB-v1: use orb-v2."},
    ),
    environment=ENVIRONMENT,
    more_environments=(NEW_ENVIRONMENT,),
    takes_own_weights=True,
)
