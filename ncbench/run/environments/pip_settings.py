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
"""pip's name → uv's variable and the function that converts its value."""

_SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "UV_DEFAULT_INDEX": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "UV_INDEX": ("UV_INDEX", "UV_EXTRA_INDEX_URL"),
}
"""Variables of equal meaning: if the user set one, pip's setting is not used."""


def uv_environment(environment: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """``environment`` with pip's ``settings`` translated to uv's variables; the user's own uv settings take precedence.

    pip takes the best version from all its indexes, but uv by default only looks at the first index that has a package: with several
    indexes, uv is configured to do as pip does.
    """
    translated: dict[str, str] = {}
    for name, value in settings.items():
        if value.strip() and name in _RENAMED:
            variable, written = _RENAMED[name]
            translated[variable] = written(value)
    if translated.get("UV_NO_INDEX", "true").lower() in ("0", "false", "no", "off"):
        del translated["UV_NO_INDEX"]
    if "UV_INDEX" in translated:
        translated["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if cert := settings.get("cert", "").strip():
        translated["SSL_CERT_DIR" if Path(cert).is_dir() else "SSL_CERT_FILE"] = cert
    if proxy := settings.get("proxy", "").strip():
        address = proxy if "://" in proxy else f"http://{proxy}"
        translated |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), address)
    names = {name.upper() for name in environment}
    new = {name: value for name, value in translated.items() if names.isdisjoint(_SYNONYMS.get(name, (name,)))}
    return {**environment, **new}


def pip_settings(python: str = sys.executable) -> dict[str, str]:
    """pip's settings by their long names, those of ``pip install`` before general ones and variables before files.

    If this Python has no pip, only the variables.
    """
    try:
        done = subprocess.run(  # noqa: S603 - this Python
            [python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True, timeout=TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError):
        lines = []
    else:
        lines = done.stdout.splitlines()
    settings = parse_config_list(lines)
    return settings | {
        name.removeprefix("PIP_").replace("_", "-").lower(): value
        for name, value in os.environ.items()
        if name.startswith("PIP_")
    }


def parse_config_list(lines: list[str]) -> dict[str, str]:
    """The output of ``pip config list``: lines ``section.name='value'``."""
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in lines:
        key, equals, text = line.partition("=")
        section, dot, name = key.strip().partition(".")
        if not (equals and dot and section in sections):
            continue
        try:
            value = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError):
            value = text.strip()
        sections[section][name.lower().replace("_", "-")] = str(value)
    return {**sections["global"], **sections["install"], **sections[":env:"]}
