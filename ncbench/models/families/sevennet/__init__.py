"""SevenNet, of sevenn."""

from __future__ import annotations

import re
from pathlib import Path

from ncbench.models.environment import BASE, EnvironmentSpec
from ncbench.models.family import Family
from ncbench.models.package_names import PackageNames
from ncbench.models.row import CONSERVATIVE, ModelRow, first_match

_SEVENNET = "Park, Kim, Hwang, Han, J. Chem. Theory Comput. 20, 4857 (2024)"
_TRAINING = {
    "mf-ompa": "OMat24, MPtrj and sAlex, one task each",
    "mf-0": "Materials Project (PBE and r2SCAN), one task each",
    "omni": "several sets, one per task",
    "omat": "OMat24",
    "-0|l3i5": "MPtrj",
}
"""Part of a name → training data."""


_SIZES_MB = {"sevennet-0": 10.3, "sevennet-0-22may2024": 10.3, "sevennet-mf-0": 10.3, "sevennet-l3i5": 14.3}
"""Files in sevenn 0.13, 10⁶ bytes."""


def _row(
    name: str,
    summary: str,
    *,
    source: str = "",
    aliases: tuple[str, ...] = (),
    modal: str = "",
    needed: str = "",
    download: bool = False,
) -> ModelRow:
    """A SevenNet, by the key of ``sevenn.util.pretrained_name_to_path``; ``modal`` lists its tasks, of which ``needed`` is one."""
    return ModelRow(
        name=name,
        aliases=(*aliases, *(_short(one) for one in (name, *aliases) if _short(one) not in aliases)),
        family="sevennet",
        modes=(CONSERVATIVE,),
        summary=summary,
        extra="sevennet",
        package="sevenn",
        environment=ENVIRONMENT.name,
        weights="download" if download else "in package",
        source=source or name,
        weights_MB=_SIZES_MB.get(name, 0.0),
        training=first_match(_TRAINING, name),
        elements="89 elements",
        licence="GPL-3.0 (package)",
        citation=_SEVENNET,
        options={"modal": f"task of a multi-task model: {modal}"} if modal else {},
        needed={"modal": needed} if needed else {},
    )


def _short(name: str) -> str:
    """The other spelling in the package."""
    return name.lower().replace("sevennet", "7net")


def _names(source: str) -> list[str]:
    suffixes = re.findall(r"'(?:sevennet|7net)(-[\w-]+)'|f'\{n\}(-[\w-]+)'", source)
    return [f"sevennet{one or other}" for one, other in suffixes]


ENVIRONMENT = EnvironmentSpec(
    name="sevennet",
    summary="sevenn",
    requirements=(*BASE, "sevenn==0.13.*"),
    pins=Path(__file__).parent / "constraints.txt",
    disk_MB=1480,
)
FAMILY = Family(
    name="sevennet",
    adapter=f"{__name__}.adapter",
    summary="SevenNet (sevenn)",
    tried="released weights",
    rows=(
        _row(
            "sevennet-0",
            "SevenNet-0 (11Jul2024), the paper's SevenNet",
            aliases=("sevennet", "sevennet-0_11jul2024", "sevennet-0_11july2024"),
        ),
        _row(
            "sevennet-0-22may2024",
            "SevenNet-0, first release",
            source="sevennet-0_22may2024",
            aliases=("sevennet-0_22may2024",),
        ),
        _row("sevennet-l3i5", "SevenNet with l = 3 and five interactions"),
        _row("sevennet-mf-0", "SevenNet of two fidelities", modal="PBE or R2SCAN", needed="PBE"),
        _row(
            "sevennet-mf-ompa",
            "SevenNet trained on OMat24 and MPtrj + sAlex",
            modal="mpa or omat24",
            needed="mpa",
            download=True,
        ),
        _row("sevennet-omat", "SevenNet trained on OMat24", download=True),
        _row(
            "sevennet-omni",
            "SevenNet of many fidelities",
            modal="mpa, omat24, omol25_low, …",
            needed="mpa",
            download=True,
        ),
    ),
    names=PackageNames(
        tested=Path(__file__).parent / "names.txt",
        shape=r"(sevennet|7net)-.+",
        package="sevenn",
        table="util.py",
        read=_names,
        stem=lambda name: name.lower().replace("7net", "sevennet"),
        row=lambda name: _row(
            name.replace("7net", "sevennet"),
            "as named in sevenn",
            modal="mpa, omat24, omol25_low, …" if "omni" in name else "set by the model",
            needed="mpa" if "omni" in name else "",
            download=True,
        ),
    ),
    environment=ENVIRONMENT,
    takes_own_weights=True,
)
