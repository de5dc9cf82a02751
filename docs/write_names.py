"""Write the names that the families' packages list into ``ncbench/models/families/*/names.txt``.

``python docs/write_names.py`` reads the packages importable here and those of the isolated environments that are made
(``ncbench env create NAME``); families whose package is in neither keep their file.
"""

from __future__ import annotations

from pathlib import Path

from ncbench.models.environment import pinned
from ncbench.models.family import Family, built_in
from ncbench.run.environments import places


def names_of(family: Family) -> list[str]:
    """Names in the package's own table, in the family's environment where that is made, else here; empty where it is in neither."""
    if family.names is None or family.environment is None:
        return []
    made = places.find(family.environment)
    folders = [] if made is None else sorted((made.folder / "lib").glob("python*/site-packages"))
    for folder in folders:
        if names := family.names.from_package(folder):
            return names
    return family.names.from_package() or []


def main() -> None:
    """Write every file whose names can be read, and print what was written."""
    for family in built_in().values():
        names = names_of(family)
        if family.names is None or family.names.tested is None or not names or family.environment is None:
            continue
        pins = pinned(family.environment.constraints)
        versions = [f"{name}=={pins[name]}" for name in pins if name.replace("-", "_").startswith(_top(family))]
        heading = f"# Names in the list of {' '.join(versions) or family.names.package}, by docs/write_names.py.\n"
        family.names.tested.write_text(heading + "\n".join(dict.fromkeys(names)) + "\n", encoding="utf-8")
        print(f"{family.names.tested.relative_to(Path.cwd())}: {len(names)} names")


def _top(family: Family) -> str:
    assert family.names is not None
    return family.names.package.partition(".")[0]


if __name__ == "__main__":
    main()
