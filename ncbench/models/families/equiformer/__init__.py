"""EquiformerV2 and eSEN-30M, of fairchem-core 1."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ncbench.models.environment import BASE, EnvironmentSpec
from ncbench.models.family import Family
from ncbench.models.options import NET_FORCE_REMOVAL
from ncbench.models.package_names import PackageNames
from ncbench.models.row import CONSERVATIVE, DIRECT, ModelRow, first_match

_OMAT = "Barroso-Luque et al., Open Materials 2024, arXiv:2410.12771 (2024)"
_TRAINING = {
    "omat24-mp-salex|oam": "OMat24, then MPtrj and sAlex",
    "omat24": "OMat24",
    "oc20-2m": "OC20, 2 million structures",
    "oc20-all": "OC20 with its dynamics",
    "oc22": "OC22",
    "odac": "ODAC23",
    "-mp$": "MPtrj",
}
"""Part of the package's name → training data."""


def _row(name: str, summary: str, *, source: str, **more: Any) -> ModelRow:
    """An EquiformerV2 (or eSEN-30M), by the key of fairchem-core 1.x's registry of models."""
    fields: dict[str, Any] = {
        "name": name,
        "family": "equiformer",
        "modes": (DIRECT,),
        "summary": summary,
        "package": "fairchem.core.trainers",
        "environment": ENVIRONMENT.name,
        "weights": "download",
        "source": source,
        "training": first_match(_TRAINING, source),
        "elements": "Z up to 89",
        "licence": "OMat24 licence; gated: https://huggingface.co/facebook/OMAT24",
        "citation": _OMAT,
        "options": {"net-force-removal": NET_FORCE_REMOVAL, "tf32": "on or off (off)"},
    }
    return ModelRow(**{**fields, **more})


def _names(source: str) -> list[str]:
    return [name for name in json.loads(source) if re.match(r"(EquiformerV2|eSEN)", name)]


def _row_of_name(name: str) -> ModelRow:
    direct = name.lower().startswith("equiformer")
    modes = (DIRECT,) if direct else (CONSERVATIVE,)
    return _row(name.lower(), "as named in fairchem-core 1", source=name, modes=modes)


ENVIRONMENT = EnvironmentSpec(
    name="equiformer",
    summary="fairchem-core 1: EquiformerV2 and eSEN-30M",
    requirements=(*BASE, "fairchem-core==1.10.*", "setuptools<81"),
    # It declares torch 2.4 and numpy 1; it runs with a later torch, needs scipy.special.sph_harm and pkg_resources.
    overrides=("torch>=2.6,<2.14", "numpy==1.26.4", "scipy<1.17", "setuptools<81"),
    # The last release of numpy 1 has no wheels for later versions of Python.
    python=((3, 11), (3, 13)),
    pins=Path(__file__).parent / "constraints.txt",
    disk_MB=1822,
)
FAMILY = Family(
    name="equiformer",
    adapter=f"{__name__}.adapter",
    summary="EquiformerV2 (fairchem-core 1)",
    tried="tiny checkpoints",
    rows=(
        _row(
            "equiformer",
            "EquiformerV2, 31 M weights, OMat24 + MPtrj + sAlex: the paper's small Equiformer (Table 5)",
            source="EquiformerV2-31M-OMAT24-MP-sAlex",
            aliases=("eqv2", "equiformerv2"),
        ),
        _row(
            "equiformer-large",
            "EquiformerV2, 153 M weights, OMat24 + MPtrj + sAlex: the paper's large Equiformer (Figure 6)",
            source="EquiformerV2-153M-OMAT24-MP-sAlex",
        ),
    ),
    names=PackageNames(
        tested=Path(__file__).parent / "names.txt",
        shape=r"equiformerv2-.+|esen-30m-.+",
        package="fairchem.core.models",
        table="pretrained_models.json",
        read=_names,
        row=_row_of_name,
    ),
    environment=ENVIRONMENT,
    takes_own_weights=True,
)
