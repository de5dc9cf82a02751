"""Model names as typed by users and as listed by packages, installed or not."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ncbench.errors import UsageError, WeightsError
from ncbench.models import registry
from ncbench.models.family import built_in
from ncbench.models.registry import find, parse_spec
from ncbench.models.row import BOTH
from ncbench.models.weights_files import in_hub_cache
from ncbench.types import ForceMode

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("eqv2", "equiformer"),
        ("esen", "esen-sm-conserving-all-omol"),
        ("orb-v3", "orb-v3-conservative-inf-omat"),
        ("mace-mh", "mace-mh-1"),
        ("mace-mp", "mace-mp-0-medium"),
        ("mace-omol", "mace-omol-0"),
        ("pet-omat", "pet-omat-s"),
        ("pet-oam", "pet-oam-l"),
        ("uma", "uma-s-1p2p1"),
        ("uma-s", "uma-s-1p2p1"),
        ("uma-m", "uma-m-1p1"),
        ("CHGNet", "chgnet-0.3.0"),
    ],
)
def test_short_names(typed, meant):
    assert find(typed).name == meant


@pytest.mark.parametrize("name", ["orb-v1", "orb-d3-v1", "orb-v1-mptraj-only"])
def test_error_of_withdrawn_models_names_replacements(name):
    with pytest.raises(UsageError, match=r"no model .* any more") as caught:
        find(name)
    assert "use orb-v2" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("equiformerv2-dens-31m-mp", "EquiformerV2-DeNS-31M-MP"),
        ("esen-30m-oam", "eSEN-30M-OAM"),
        ("pet-omat-xl", "pet-omat-xl"),
        ("pet-mad-s-v1.0.2", "pet-mad-s-v1.0.2"),
        ("mace-matpes-r2scan-0", "mp:matpes-r2scan-0"),
        ("mace-polar-1-m", "polar:polar-1-m"),
        ("sevennet-omni-i12", "sevennet-omni-i12"),
        ("7net-omni-i12", "sevennet-omni-i12"),
        ("7net-0_11July2024", "sevennet-0"),
        ("7net-0_22may2024", "sevennet-0_22may2024"),
        ("allscaip-md-direct-all-omol", "allscaip-md-direct-all-omol"),
    ],
)
def test_listed_names_reach_the_packages_in_their_own_spelling(name, source):
    assert find(name).source == source


def test_every_listed_name_is_found_in_its_family():
    listed = {name: one.name for one in built_in().values() if one.names for name in one.names.from_tested_version()}
    assert len(listed) > 100
    assert {name: find(name).family for name in listed} == listed


def test_a_name_without_a_mode_allows_both_modes():
    assert find("esen-sm-full-odac25").modes == BOTH
    assert parse_spec("esen-sm-full-odac25").mode is None
    assert parse_spec("esen-sm-full-odac25:direct").mode is ForceMode.DIRECT
    assert find("esen-md-direct-all-oc25").modes == (ForceMode.DIRECT,)
    assert find("uma-s-1p2p1-ft-r2scan").modes == (ForceMode.CONSERVATIVE,)


def test_list_all_shows_every_name_once_under_its_family():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "ncbench", "models", "list", "--all"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True, env=environment)
    rows = json.loads(done.stdout)
    names = [row["model"] for row in rows]
    assert len(names) == len(set(names))
    for name in ("pet-omol-l", "mace-mh-0", "sevennet-omni-i8", "orb-v3-direct-omol", "esen-sm-filtered-odac25"):
        assert name in names
    families = [row["family"] for row in rows]
    # One block per family.
    assert len([1 for a, b in itertools.pairwise(families) if a != b]) == len(set(families)) - 1


def test_no_suggestion_for_a_name_unlike_all_others():
    with pytest.raises(UsageError) as caught:
        find("gracie-9000")
    assert "Did you mean" not in str(caught.value.hint)
    registry.forget()


def test_files_in_the_hub_s_cache_are_found_without_network(tmp_path):
    def found(pattern):
        return [path.name for path in in_hub_cache("lab/weights", pattern, cache=tmp_path)]

    assert found("models/a-*.ckpt") == []
    snapshots = tmp_path / "models--lab--weights" / "snapshots"
    for age, (revision, files) in enumerate({"old": ["a-v1.ckpt"], "new": ["a-v2.ckpt", "b-v3.ckpt"]}.items()):
        (snapshots / revision / "models").mkdir(parents=True)
        for file in files:
            (snapshots / revision / "models" / file).write_bytes(b"x")
        os.utime(snapshots / revision, (age, age))
    assert found("models/a-*.ckpt") == ["a-v2.ckpt"]
    # Files missing in the newest snapshot may be in an older one.
    assert found("models/a-v1.ckpt") == ["a-v1.ckpt"]


@pytest.mark.models("upet")
@pytest.mark.slow
def test_a_pet_in_the_hub_s_cache_is_used_without_network(tmp_path, monkeypatch):
    from huggingface_hub import constants

    from ncbench.models.families.upet import adapter

    def no_network(*_arguments):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(adapter.library, "_resolve_and_download_checkpoint", no_network)
    folder = tmp_path / "models--lab-cosmo--upet" / "snapshots" / "revision" / "models"
    folder.mkdir(parents=True)
    for version in ("1.5.0", "1.10.0", "1.6.0"):
        with zipfile.ZipFile(folder / f"pet-mad-s-v{version}.ckpt", "w") as archive:
            archive.writestr("data.pkl", b"x")
    assert adapter._weights(find("pet-mad")).name == "pet-mad-s-v1.10.0.ckpt"
    assert adapter._weights(find("pet-mad-s-v1.5.0")).name == "pet-mad-s-v1.5.0.ckpt"
    with pytest.raises(
        WeightsError, match=r"pet-omat-s-v….ckpt from https://huggingface.co/lab-cosmo/upet/tree/main/models"
    ):
        adapter._weights(find("pet-omat"))
