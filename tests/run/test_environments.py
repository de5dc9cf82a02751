"""Isolated environments: the table, pip settings translated for uv, and builds that survive concurrency and kills."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from ncbench.errors import IsolatedEnvironmentError, UsageError
from ncbench.models.registry import models
from ncbench.run.environments import build, health, pins, places, table
from ncbench.run.environments.disk import readable, usage
from ncbench.run.environments.pip_settings import parse_config_list, uv_environment

ROOT = Path(__file__).resolve().parents[2]
MAKE = ROOT / "tests" / "helpers" / "make_environment.py"


def test_every_environment_of_a_model_is_in_the_table():
    assert {row.environment for row in models()} - {""} <= set(table.environments())


def test_environments_contain_the_imports_of_ncbench():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {one for one in project["dependencies"] if not one.startswith("uv")}
    assert declared == {one for one in table.BASE if not one.startswith(("vesin", "ipi"))}
    for name, spec in table.environments().items():
        # A name becomes part of a folder's name and of a pattern.
        assert re.fullmatch(r"[a-z0-9]+", name)
        assert set(table.BASE) <= set(spec.requirements)


@pytest.mark.parametrize("name", table.environments())
def test_pins_are_exact_versions_and_include_the_family(name):
    spec = table.get(name)
    lines = [line for line in spec.constraints.splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line)] == []
    pins = table.pinned(spec.constraints)
    wanted = {re.match(r"[A-Za-z0-9-]+", one)[0].lower() for one in spec.requirements}
    assert wanted <= set(pins)
    if name == "mace":
        assert pins["e3nn"] == "0.4.4"


def test_an_unknown_environment_is_named():
    with pytest.raises(UsageError, match="Did you mean 'mace'"):
        table.get("mase")


def test_the_digest_follows_what_is_installed():
    spec = table.get("mace")
    commented = replace(spec, pins="# a remark\n" + spec.constraints)
    assert commented.digest == spec.digest
    newer = replace(spec, pins=spec.constraints.replace("e3nn==0.4.4", "e3nn==0.4.5"))
    others = [newer, replace(spec, requirements=(*spec.requirements, "x")), replace(spec, overrides=("y",))]
    assert len({spec.digest, *(other.digest for other in others)}) == 4


def test_a_version_of_python_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv(places.ROOT_VARIABLE, str(tmp_path))
    monkeypatch.setattr(build, "uv_program", lambda: "uv")

    def nothing_found(_command, _environment, spec, _log, _say):
        raise IsolatedEnvironmentError(f"The environment '{spec.name}' could not be created: no interpreter found.")

    monkeypatch.setattr(build, "_do", nothing_found)
    newest = replace(table.get("orb07"), python=((9, 9), None))
    with pytest.raises(
        IsolatedEnvironmentError, match=r"needs Python >=9\.9; uv found none .*env create orb07 --python"
    ):
        build.create(newest)
    # Where this Python would do, the installer's own reason is the answer.
    with pytest.raises(IsolatedEnvironmentError, match="no interpreter found"):
        build.create(replace(newest, python=((3, 11), None)))


def test_python_ranges():
    spec = table.get("equiformer")
    assert spec.python_range == ">=3.11,<3.13"
    assert [spec.takes_python(version) for version in [(3, 10), (3, 11), (3, 12), (3, 13)]] == [
        False,
        True,
        True,
        False,
    ]
    assert table.get("mace").takes_python((3, 14))


def test_pip_settings_are_translated_for_uv(tmp_path):
    listed = [
        ":env:.find-links='/a /b'",
        "global.cert='/etc/ca.pem'",
        "global.extra-index-url='file:///one\\nfile:///two'",
        "global.find-links='/c'",
        "global.index-url='https://user:secret@example.org/x'",
        "install.proxy='proxy.example.org:3128'",
        "list.format='columns'",
        "nonsense",
    ]
    settings = parse_config_list(listed)
    assert settings["find-links"] == "/a /b"
    message = uv_environment({"PATH": "/bin"}, settings)
    assert message == {
        "PATH": "/bin",
        "UV_FIND_LINKS": "/a,/b",
        "UV_DEFAULT_INDEX": "https://user:secret@example.org/x",
        "UV_INDEX": "file:///one file:///two",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "SSL_CERT_FILE": "/etc/ca.pem",
        "HTTP_PROXY": "http://proxy.example.org:3128",
        "HTTPS_PROXY": "http://proxy.example.org:3128",
        "ALL_PROXY": "http://proxy.example.org:3128",
    }
    assert "SSL_CERT_DIR" in uv_environment({}, {"cert": str(tmp_path)})


def test_own_uv_settings_take_precedence():
    own = {"UV_FIND_LINKS": "/mine", "UV_INDEX_URL": "https://mine", "https_proxy": "http://mine"}
    message = uv_environment(own, {"find-links": "/pip", "index-url": "https://pip", "proxy": "http://pip"})
    assert message == {**own, "HTTP_PROXY": "http://pip", "ALL_PROXY": "http://pip"}
    assert "UV_NO_INDEX" not in uv_environment({}, {"no-index": "0"})
    assert uv_environment({}, {"no-index": "1"})["UV_NO_INDEX"] == "1"


def test_disk_usage_separates_shared_files(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "own").write_bytes(bytes(100_000))
    (tmp_path / "elsewhere").write_bytes(bytes(300_000))
    (tmp_path / "own").rename(tmp_path / "in" / "own")
    (tmp_path / "in" / "linked").hardlink_to(tmp_path / "elsewhere")
    own, shared = usage(tmp_path / "in")
    # Whole blocks of 4 kB.
    assert 100_000 <= own <= 104_096
    assert 300_000 <= shared <= 304_096
    assert (readable(1_327_464_448), readable(93_114_368), readable(0)) == ("1.3 GB", "93 MB", "0 kB")


def test_an_environment_is_made_once_from_the_users_find_links(tiny_environment):
    spec, made = tiny_environment, places.find(tiny_environment)
    assert made.mark["families"] == ["tinyfamily"]
    assert made.mark["versions"] == {"tinyfamily": "1.0"}
    # Springs of 5 eV/Å² by (0.1, 0.1, 0.1) Å, and a swirl of 1 % of that in x and y: −0.5 − 0.005.
    assert made.mark["forces"]["tiny-solenoidal"] == pytest.approx(0.505, rel=1e-12)
    message: list[str] = []
    assert build.create(spec, say=message.append).mark == made.mark
    assert message == []
    assert health.check(spec, made.python)["versions"] == {"tinyfamily": "1.0"}


def test_concurrent_builds_survive_a_kill_of_the_first(tiny_home):
    command = [sys.executable, str(MAKE)]
    first = subprocess.Popen([*command, "stall"], stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline()
    leftover = wait_for(lambda: list(places.root().glob(".tinyfamily.*.building")))
    second = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert "waiting" in second.stdout.readline()
    assert places.state(tiny_home) == "missing"
    first.kill()
    third = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    reported = [process.communicate(timeout=120)[0] for process in (second, third)]
    first.communicate()
    assert [process.returncode for process in (second, third)] == [0, 0]
    assert sum("checking it" in text for text in reported) == 1
    assert not leftover[0].exists()
    assert places.state(tiny_home) == "ready"
    assert sorted(entry.name for entry in places.root().iterdir() if not entry.name.endswith((".lock", ".log"))) == [
        places.folder(tiny_home).name
    ]


def wait_for(look, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not (result := look()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return result


def test_a_failed_installation_is_reported_and_leaves_no_files(tiny_home):
    spec = replace(tiny_home, requirements=("nosuchfamily",))
    with pytest.raises(IsolatedEnvironmentError, match=r"nosuchfamily.*See .*tinyfamily\.log"):
        build.create(spec)
    assert places.state(spec) == "missing"
    assert not list(places.root().glob(".*.building"))


def test_the_health_check_detects_a_wrong_version(tiny_environment):
    spec = replace(tiny_environment, pins="tinyfamily==2.0")
    with pytest.raises(IsolatedEnvironmentError, match=r"tinyfamily 1\.0 in place of 2\.0"):
        health.check(spec, places.find(tiny_environment).python)


def test_changed_pins_make_an_environment_outdated_and_removable(tiny_environment, tmp_path, monkeypatch):
    made = places.find(tiny_environment)
    monkeypatch.setenv(places.ROOT_VARIABLE, str(tmp_path))
    copy = tmp_path / made.folder.name
    (copy / "bin").mkdir(parents=True)
    (copy / "bin" / "python").symlink_to(sys.executable)
    (copy / places.MARK).write_text(json.dumps(made.mark))
    assert places.state(tiny_environment) == "ready"
    newer = replace(tiny_environment, pins="tinyfamily==1.0\nother==1\n")
    assert places.state(newer) == "outdated"
    assert build.remove("tinyfamily", outdated_only=True) == []
    (copy / "bin" / "python").unlink()
    assert places.state(tiny_environment) == "broken"
    assert [one.folder for one in build.remove("tinyfamily")] == [copy]
    assert places.state(tiny_environment) == "missing"
    assert not copy.exists()


@pytest.mark.slow
def test_venv_and_pip_are_used_without_uv(tiny_home, monkeypatch):
    monkeypatch.setattr(build, "uv_program", lambda: None)
    made = build.create(tiny_home)
    assert made.mark["versions"] == {"tinyfamily": "1.0"}
    with pytest.raises(IsolatedEnvironmentError, match="Only uv can create"):
        build.create(replace(tiny_home, overrides=("x",)))


def test_pins_of_an_unknown_environment_are_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert pins.main(["mac"]) == UsageError.exit_code
    assert capsys.readouterr().err == "error: There is no environment 'mac'. Did you mean 'mace'?\n"
