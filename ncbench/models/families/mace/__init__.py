"""MACE: conservative models of mace-torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ncbench.models.environment import BASE, EnvironmentSpec
from ncbench.models.family import Family
from ncbench.models.package_names import PackageNames, dictionary_keys
from ncbench.models.row import CONSERVATIVE, ModelRow, first_match

_MACE_MP = "Batatia et al., A foundation model for atomistic materials chemistry, arXiv:2401.00096 (2023)"
_MACE_OFF = "Kovács et al., MACE-OFF, J. Am. Chem. Soc. 147, 17598 (2025)"
_TRAINING = {
    "off": "SPICE and more molecules",
    "matpes-pbe": "MatPES (PBE)",
    "matpes-r2scan": "MatPES (r2SCAN)",
    "mpa-0": "MPtrj and sAlex",
    "omat-0": "OMat24",
    "omol": "OMol25",
    "mh-": "several sets, one per head",
    "^mp:(small|medium|large)": "MPtrj",
}
"""Part of ``source`` → training data."""


def _row(name: str, summary: str, *, source: str, licence: str = "MIT", **more: Any) -> ModelRow:
    """A MACE, ``source`` being ``mp:KEY``, ``off:KEY`` or ``polar:KEY`` of the package's tables of downloads, or ``url:`` and an address."""
    fields: dict[str, Any] = {
        "name": name,
        "family": "mace",
        "modes": (CONSERVATIVE,),
        "summary": summary,
        "extra": "mace",
        "package": "mace",
        "environment": ENVIRONMENT.name,
        "weights": "download",
        "source": source,
        "training": first_match(_TRAINING, source),
        "system": "water-molecule" if source.startswith("off:") else "al-fcc",
        "elements": "10 elements" if source.startswith("off:") else "89 elements",
        "licence": licence,
        "citation": _MACE_OFF if source.startswith("off:") else _MACE_MP,
        "options": {
            "head": "head of a multi-head model",
            "cueq": "cuEquivariance kernels: on or off (off)",
            "tf32": "on or off (off)",
            "charge": "total charge, if the model takes one (0)",
            "spin": "spin multiplicity, if the model takes one (1)",
        },
    }
    return ModelRow(**{**fields, **more})


def _names(source: str) -> list[str]:
    mp = [key.removeprefix("mace-") for key in dictionary_keys(source, "mace_mp_urls")]
    off = [f"off23-{key}" for key in dictionary_keys(source, "mace_off_urls")]
    return [f"mace-{key}" for key in [*mp, *off, *dictionary_keys(source, "polar_model_urls")]]


def _row_of_name(name: str) -> ModelRow:
    if name.startswith("mace-off23-"):
        return _row(name, "MACE-OFF23", source=f"off:{name.removeprefix('mace-off23-')}", licence="ASL")
    key = name.removeprefix("mace-")
    if key.startswith("polar-"):
        return _row(
            name,
            "MACE-POLAR: long-range electrostatics, molecules",
            source=f"polar:{key}",
            licence="as the package says",
        )
    # Some of the package's keys begin with the family's name, others do not: mace-matpes-pbe-0, medium-0b3.
    return _row(name, "as named in mace-torch", source=f"mp:{key}", licence="as the package says")


ENVIRONMENT = EnvironmentSpec(
    name="mace",
    summary="mace-torch, which pins e3nn 0.4.4",
    # For MACE-POLAR: graph-longrange 0.4.3 lacks an argument that mace-torch 0.3.16 passes.
    requirements=(*BASE, "mace-torch>=0.3.16,<0.4", "graph-longrange==0.4.0"),
    pins=Path(__file__).parent / "constraints.txt",
    disk_MB=1421,
)
FAMILY = Family(
    name="mace",
    adapter=f"{__name__}.adapter",
    summary="MACE (mace-torch)",
    tried="tiny checkpoints",
    rows=(
        _row("mace-mp-0-large", "MACE-MP-0, large: the paper's MACE", source="mp:large", aliases=("mace", "mace-mp-0")),
        _row("mace-mp-0-medium", "MACE-MP-0, medium", source="mp:medium", aliases=("mace-mp",)),
        _row("mace-mp-0-small", "MACE-MP-0, small", source="mp:small"),
        _row("mace-mpa-0", "MACE-MPA-0, medium: MPtrj + sAlex", source="mp:medium-mpa-0"),
        _row("mace-omat-0", "MACE-OMAT-0, medium", source="mp:medium-omat-0", licence="ASL"),
        _row(
            "mace-mh-1",
            "MACE-MH-1: several heads",
            source="mp:mh-1",
            aliases=("mace-mh",),
            licence="as its authors say",
        ),
        _row(
            "mace-omol-0",
            "MACE-OMOL-0, extra large: molecules, charge and spin",
            source="url:https://github.com/ACEsuit/mace-foundations/releases/download/mace_omol_0/MACE-omol-0-extra-large-1024.model",
            aliases=("mace-omol",),
            licence="ASL",
        ),
        *(
            _row(f"mace-off23-{size}", f"MACE-OFF23, {size}: organic molecules", source=f"off:{size}", licence="ASL")
            for size in ("small", "medium", "large")
        ),
    ),
    names=PackageNames(
        tested=Path(__file__).parent / "names.txt",
        shape=r"mace-.+",
        package="mace.calculators",
        table="foundations_models.py",
        read=_names,
        row=_row_of_name,
    ),
    environment=ENVIRONMENT,
    takes_own_weights=True,
)
