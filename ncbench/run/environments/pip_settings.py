"""pip's network settings translated to uv's: find-links, indexes, proxy, certificates.

None of them is written to a file: the address of an index may hold a password.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

TIMEOUT_S = 60.0


def _joined(separator: str) -> Callable[[str], str]:
    return lambda value: separator.join(value.split())


def _first(value: str) -> str:
    return value.split(maxsplit=1)[0]


_RENAMED: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "find-links": ("UV_FIND_LINKS", _joined(",")),
    "index-url": ("UV_DEFAULT_INDEX", _first),
    "extra-index-url": ("UV_INDEX", _joined(" ")),
    "no-index": ("UV_NO_INDEX", str.strip),
    "trusted-host": ("UV_INSECURE_HOST", _joined(" ")),
    "client-cert": ("SSL_CLIENT_CERT", str.strip),
    "keyring-provider": ("UV_KEYRING_PROVIDER", str.strip),
    "timeout": ("UV_HTTP_TIMEOUT", str.strip),
    "default-timeout": ("UV_HTTP_TIMEOUT", str.strip),
}
"""pip's name → uv's variable and how its value is written."""

_SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "UV_DEFAULT_INDEX": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "UV_INDEX": ("UV_INDEX", "UV_EXTRA_INDEX_URL"),
}
"""Variables that say the same: where the user set one, pip's word is not needed."""


def uv_environment(environment: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """``environment`` with pip's ``settings`` added in uv's words; what the user told uv itself stands.

    pip takes the best version from all its indexes, and uv by default the first index that knows a package: with several, uv
    is told to do as pip does.
    """
    said: dict[str, str] = {}
    for name, value in settings.items():
        if value.strip() and name in _RENAMED:
            variable, written = _RENAMED[name]
            said[variable] = written(value)
    if said.get("UV_NO_INDEX", "true").lower() in ("0", "false", "no", "off"):
        del said["UV_NO_INDEX"]
    if "UV_INDEX" in said:
        said["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if cert := settings.get("cert", "").strip():
        said["SSL_CERT_DIR" if Path(cert).is_dir() else "SSL_CERT_FILE"] = cert
    if proxy := settings.get("proxy", "").strip():
        address = proxy if "://" in proxy else f"http://{proxy}"
        said |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), address)
    names = {name.upper() for name in environment}
    new = {name: value for name, value in said.items() if names.isdisjoint(_SYNONYMS.get(name, (name,)))}
    return {**environment, **new}


def pip_settings(python: str = sys.executable) -> dict[str, str]:
    """pip's settings by their long names, those of ``pip install`` before general ones and variables before files.

    Without a pip beside this Python, the variables alone.
    """
    try:
        done = subprocess.run(  # noqa: S603 - this Python
            [python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True, timeout=TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError):
        lines = []
    else:
        lines = done.stdout.splitlines()
    found = parse_config_list(lines)
    return found | {
        name.removeprefix("PIP_").replace("_", "-").lower(): value
        for name, value in os.environ.items()
        if name.startswith("PIP_")
    }


def parse_config_list(lines: list[str]) -> dict[str, str]:
    """The output of ``pip config list``: lines ``section.name='value'``."""
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in lines:
        key, equals, text = line.partition("=")
        section, dot, name = key.strip().partition(".")
        if not (equals and dot and section in found):
            continue
        try:
            value = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError):
            value = text.strip()
        found[section][name.lower().replace("_", "-")] = str(value)
    return {**found["global"], **found["install"], **found[":env:"]}
