"""PET-MAD and related models of the package upet; loaded and evaluated as any PET."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ncbench.models.environment import BASE, EnvironmentSpec
from ncbench.models.family import Family
from ncbench.models.options import NET_FORCE_REMOVAL
from ncbench.models.package_names import PackageNames
from ncbench.models.row import CONSERVATIVE, DIRECT, ModelRow

_PET_MAD = "Mazitov et al., PET-MAD, a lightweight universal interatomic potential, Nat. Commun. 16, 10653 (2025)"


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
        "licence": "BSD-3-Clause",
        "citation": _PET_MAD,
        "options": {"net-force-removal": NET_FORCE_REMOVAL, "tf32": "on or off (off)"},
    }
    return ModelRow(**{**fields, **more})


ENVIRONMENT = EnvironmentSpec(
    name="upet",
    summary="upet: PET-MAD and related models",
    requirements=(*BASE, "upet>=0.3.1,<0.4", "metatomic-ase>=0.1.1,<0.2", "metatrain[soap-bpnn]==2026.4.*"),
    pins=Path(__file__).parent / "constraints.txt",
)
FAMILY = Family(
    name="upet",
    adapter=f"{__name__}.adapter",
    summary="PET-MAD and related models (upet)",
    rows=(
        _row("pet-mad-s", "PET-MAD, small: materials and molecules", aliases=("pet-mad",)),
        _row("pet-mad-xs", "PET-MAD, extra small"),
    ),
    names=PackageNames(
        # The list is in the repository of weights, not in the package.
        shape=r"pet-[a-z0-9]+-(xs|s|m|l|xl)(-v?\d+\.\d+\.\d+)?",
        package="upet",
        row=lambda name: _row(name, "as named in upet"),
    ),
    environment=ENVIRONMENT,
)
