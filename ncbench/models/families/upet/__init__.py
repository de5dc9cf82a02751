"""PET-MAD and related models of the package upet; loaded and evaluated as any PET."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ncbench.models.environment import BASE, EnvironmentSpec
from ncbench.models.family import Family
from ncbench.models.options import NET_FORCE_REMOVAL
from ncbench.models.package_names import PackageNames, list_items
from ncbench.models.row import CONSERVATIVE, DIRECT, ModelRow, first_match

_VERSION = r"-v?\d+\.\d+\.\d+"
_PET_MAD = "Mazitov et al., PET-MAD, a lightweight universal interatomic potential, Nat. Commun. 16, 10653 (2025)"
_TRAINING = {
    "omatpes": "OMat24, then MatPES",
    "omad": "OMat24, then MAD",
    "omat": "OMat24",
    "oam": "OMat24, then MPtrj and sAlex",
    "omol": "OMol25",
    "spice": "SPICE",
    "mad": "MAD",
}
"""Part of a name → training data."""


def _row(name: str, summary: str, **more: Any) -> ModelRow:
    """A PET of the upet package: MODEL-SIZE or MODEL-SIZE-vVERSION."""
    fields: dict[str, Any] = {
        "name": name,
        "family": "upet",
        "modes": (CONSERVATIVE,),
        "maybe": (DIRECT,),
        "summary": summary,
        "extra": "upet",
        "package": "upet",
        "environment": ENVIRONMENT.name,
        "weights": "download",
        "source": name,
        "training": first_match(_TRAINING, name),
        "licence": "BSD-3-Clause",
        "system": "water-molecule" if re.search("omol|spice|mols", name) else "al-fcc",
        "citation": _PET_MAD,
        "options": {
            "net-force-removal": NET_FORCE_REMOVAL,
            "tf32": "on or off (off)",
            "charge": "total charge, where the model reads one (0)",
            "spin": "spin multiplicity, where the model reads one (1)",
        },
    }
    return ModelRow(**{**fields, **more})


ENVIRONMENT = EnvironmentSpec(
    name="upet",
    summary="upet: PET-MAD and related models",
    requirements=(*BASE, "upet>=0.3.1,<0.4", "metatomic-ase>=0.1.1,<0.2", "metatrain[soap-bpnn]==2026.4.*"),
    pins=Path(__file__).parent / "constraints.txt",
    disk_MB=1825,
)
FAMILY = Family(
    name="upet",
    adapter=f"{__name__}.adapter",
    summary="PET-MAD and related models (upet)",
    tried="tiny checkpoints",
    rows=(
        _row("pet-mad-s", "PET-MAD, small: materials and molecules", aliases=("pet-mad",)),
        _row("pet-mad-xs", "PET-MAD, extra small"),
        _row("pet-omat-s", "PET-OMat, small: materials, PBE", aliases=("pet-omat",)),
        _row("pet-oam-l", "PET-OAM, large: materials, PBE of the Materials Project", aliases=("pet-oam",)),
        _row("pet-omad-s", "PET-OMAD, small: materials and molecules, PBEsol", aliases=("pet-omad",)),
        _row("pet-omol-s", "PET-OMol, small: molecules, charge and spin", aliases=("pet-omol",)),
        _row("pet-spice-s", "PET-SPICE, small: molecules", aliases=("pet-spice",)),
    ),
    names=PackageNames(
        tested=Path(__file__).parent / "names.txt",
        shape=rf"pet-[a-z0-9]+-(xs|s|m|l|xl)({_VERSION})?",
        package="upet",
        table="_version.py",
        read=lambda source: list_items(source, "UPET_AVAILABLE_MODELS"),
        # Versions are in the repository of weights alone.
        stem=lambda name: re.sub(rf"{_VERSION}$", "", name.lower()),
        row=lambda name: _row(name, "as named in upet"),
    ),
    environment=ENVIRONMENT,
)
