"""Names that the families' packages know, so that next month's model needs no release of ncbench.

The packages' own tables are read as files: importing them would take torch and up to a quarter of a minute. Where a package is
not importable here (it lives in an isolated environment), a name of the family's shape is taken at its word, and the family's
loader, which runs there, has the last word.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from ncbench.models import rows
from ncbench.models.row import CONSERVATIVE, DIRECT, ModelRow


@dataclass(frozen=True)
class Family:
    """How a family's names look, where its package lists them, and the row that one of them gets."""

    shape: str
    """Pattern of the names that can be of this family."""
    package: str
    """Module whose folder holds the list."""
    table: str
    """File in that folder."""
    read: Callable[[str], list[str]]
    """The text of that file → the names, as they are typed after ``--model``."""
    row: Callable[[str], ModelRow]


def row_of(name: str) -> ModelRow | None:
    """The row of a name that only the family's package can know; ``None`` where no family can."""
    for family in FAMILIES:
        if re.fullmatch(family.shape, name):
            listed = _listed(family)
            exact = {known.lower(): known for known in listed or [name]}
            return family.row(exact[name]) if name in exact else None
    return None


def known_near(name: str) -> list[str]:
    """All names of the families whose names look like this one, for did-you-mean."""
    return [known for family in FAMILIES if re.fullmatch(family.shape, name) for known in _listed(family) or ()]


@cache
def _listed(family: Family) -> list[str] | None:
    """``None`` where the package is not here, or has moved its table: then nothing is known either way."""
    top, *rest = family.package.split(".")
    spec = find_spec(top)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = Path(folder, *rest) / family.table
        if path.is_file():
            try:
                return family.read(path.read_text(encoding="utf-8")) or None
            except (ValueError, KeyError, SyntaxError):
                return None
    return None


def dictionary_keys(source: str, variable: str) -> list[str]:
    """Text keys of the dictionary that Python source assigns to ``variable`` at its top level."""
    for node in ast.parse(source).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and target.id == variable and isinstance(value, ast.Dict):
            return [key.value for key in value.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
    return []


def _orb_names(source: str) -> list[str]:
    return [name for name in dictionary_keys(source, "ORB_PRETRAINED_MODELS") if not name.endswith("-v1")]


def _mace_names(source: str) -> list[str]:
    mp = [key.removeprefix("mace-") for key in dictionary_keys(source, "mace_mp_urls")]
    return [f"mace-{key}" for key in mp] + [f"mace-off23-{key}" for key in dictionary_keys(source, "mace_off_urls")]


def _mace_row(name: str) -> ModelRow:
    if name.startswith("mace-off23-"):
        return rows.mace(name, "MACE-OFF23", source=f"off:{name.removeprefix('mace-off23-')}", licence="ASL")
    key = name.removeprefix("mace-")
    # Half of the package's keys begin with the family's name, and half do not: mace-matpes-pbe-0, medium-0b3.
    return rows.mace(name, "as mace-torch knows it", source=f"mp:{key}", licence="as the package says")


def _sevennet_names(source: str) -> list[str]:
    found = re.findall(r"'(?:sevennet|7net)(-[\w-]+)'|f'\{n\}(-[\w-]+)'", source)
    return [f"sevennet{one or other}" for one, other in found]


def _fairchem_names(source: str) -> list[str]:
    return list(json.loads(source))


def _fairchem_row(name: str) -> ModelRow:
    return rows.fairchem(name, "as fairchem-core knows it", repository="facebook")


def _equiformer_names(source: str) -> list[str]:
    return [name for name in json.loads(source) if re.match(r"(EquiformerV2|eSEN)", name)]


def _equiformer_row(name: str) -> ModelRow:
    direct = name.lower().startswith("equiformer")
    modes = (DIRECT,) if direct else (CONSERVATIVE,)
    return rows.equiformer(name.lower(), "as fairchem-core 1 knows it", source=name, modes=modes)


FAMILIES = (
    Family(
        r"orb-.+|separate-d[34]-.+",
        "orb_models.forcefield",
        "pretrained.py",
        _orb_names,
        lambda name: rows.orb(name, "as orb-models knows it"),
    ),
    Family(r"mace-.+", "mace.calculators", "foundations_models.py", _mace_names, _mace_row),
    Family(
        r"(sevennet|7net)-.+",
        "sevenn",
        "util.py",
        _sevennet_names,
        lambda name: rows.sevennet(
            name.replace("7net", "sevennet"), "as sevenn knows it", modal="as the model says", download=True
        ),
    ),
    Family(
        r"equiformerv2-.+|esen-30m-.+",
        "fairchem.core.models",
        "pretrained_models.json",
        _equiformer_names,
        _equiformer_row,
    ),
    Family(
        r"(uma|esen|allscaip)-.+", "fairchem.core.calculate", "pretrained_models.json", _fairchem_names, _fairchem_row
    ),
    # upet's list is in its repository of weights, not in the package.
    Family(
        r"pet-[a-z0-9]+-(xs|s|m|l|xl)(-v?\d+\.\d+\.\d+)?",
        "upet",
        "",
        lambda _: [],
        lambda name: rows.upet(name, "as upet knows it"),
    ),
)
