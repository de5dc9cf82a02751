"""A folder of wheels for a machine that has PyTorch and the usual scientific packages, but no package index.

    python benchmarks/gpu/wheels.py FOLDER                # for Python 3.12 on x86-64 Linux, with SevenNet-0
    python benchmarks/gpu/wheels.py FOLDER --only-pet     # without SevenNet
    python benchmarks/gpu/wheels.py FOLDER --families     # MACE and ORB for the stage 'published', in a folder of their own: e3nn 0.4

Versions are those of ``constraints.txt``, and of the files of that name beside the adapters of MACE and ORB. Weights of SevenNet other than those of SevenNet-0 are left out, so that everything fits into 32 MB.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PET = (
    "ase",
    "ctypes-dlpack",
    "metatensor-core",
    "metatensor-operations",
    "metatensor-torch",
    "metatomic-ase",
    "metatomic-torch",
    "platformdirs",
    "pooch",
    "vesin",
    "wigners",
)
"""What ncbench and ``pet-m`` need besides numpy, scipy, pandas, pyarrow, matplotlib, jinja2, filelock, rich, typer, pytest and torch."""
SEVENNET = ("braceexpand", "matscipy", "sevenn")
"""What SevenNet-0 needs besides e3nn and torch-geometric."""
TORCH_SIM = (
    "torch-sim-atomistic==0.6.2",
    "metatomic-torchsim==0.1.7",
    "tables==3.11.1",
    "blosc2==4.14.1",
    "ndindex==1.10.1",
    "numexpr==2.14.2",
)
"""What torch-sim needs besides h5py, pydantic, msgpack and httpx; it searches neighbours without nvalchemi-toolkit-ops, which is 0.2 GB with Warp."""
BASIS = ("ase", "platformdirs", "pooch", "vesin")
"""What ncbench needs besides the packages named above."""
MACE = (
    "configargparse",
    "e3nn",
    "gitdb",
    "gitpython",
    "lmdb",
    "mace-torch",
    "matscipy",
    "orjson",
    "prettytable",
    "smmap",
    "torch-ema",
    "wcwidth",
)
MACE_SOURCES = ("python-hostlist",)
"""Pure Python, without a wheel on the index."""
ORB = ("dm-tree", "orb-models")
"""orb-models 0.5: version 0.7 needs Warp, 140 MB. Without cached-path, whose requirements are 40 MB and which only downloads."""
GLIBC = ("28", "27", "24", "17")
LEFT_OUT = ("SevenNet_0__22May2024/", "SevenNet_MF_0/", "SevenNet_l3i5/", "pair_d3", "pair_e3gnn/")
"""Parts of the paths of files that SevenNet-0 does without."""


def pinned(names: tuple[str, ...], family: str = "") -> list[str]:
    """The packages with their versions in ``constraints.txt``, of the project or of a family of models."""
    folder = ROOT / "ncbench" / "models" / "families" / family if family else ROOT
    lines = (folder / "constraints.txt").read_text(encoding="utf-8").splitlines()
    versions = dict(line.split("==", 1) for line in lines if "==" in line and not line.startswith("#"))
    return [f"{name}=={versions[name]}" for name in names]


def download(packages: list[str], folder: Path, python: str) -> None:
    """The wheels of the packages, without what they require."""
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in GLIBC] + ["manylinux2014_x86_64"]
    flags = [part for name in platforms for part in ("--platform", name)]
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--only-binary=:all:",
        "--implementation",
        "cp",
    ]
    subprocess.run([*command, "--python-version", python, *flags, "-d", str(folder), *packages], check=True)


def build(packages: list[str], folder: Path) -> None:
    """Wheels of packages that are there as sources alone."""
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", str(folder), *packages]
    subprocess.run(command, check=True)


def trim(wheel: Path) -> None:
    """Leave out what SevenNet-0 does not need."""
    small = wheel.with_suffix(".small")
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(small, "w", zipfile.ZIP_DEFLATED) as new:
        for item in old.infolist():
            if not any(part in item.filename for part in LEFT_OUT):
                new.writestr(item, old.read(item))
    small.replace(wheel)


def main() -> None:
    """Fill the folder and report its size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default="3.12", help="version of the interpreter there")
    parser.add_argument("--torch-sim", action="store_true", help="also torch-sim, for the stage of this name")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--only-pet", action="store_true", help="without SevenNet")
    which.add_argument("--families", action="store_true", help="MACE and ORB instead of PET and SevenNet")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    if asked.families:
        packages = pinned(BASIS) + pinned(MACE, "mace") + pinned(ORB, "orb")
        build(pinned(MACE_SOURCES, "mace"), asked.folder)
    else:
        packages = pinned(PET if asked.only_pet else PET + SEVENNET)
    packages += TORCH_SIM if asked.torch_sim else ()
    download(packages, asked.folder, asked.python)
    for wheel in asked.folder.glob("sevenn-*.whl"):
        trim(wheel)
    size = sum(wheel.stat().st_size for wheel in asked.folder.glob("*.whl"))
    print(f"{asked.folder}: {len(list(asked.folder.glob('*.whl')))} wheels, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
