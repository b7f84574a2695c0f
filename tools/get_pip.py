"""Installs a pinned pip into the virtual environment whose Python runs this, with nothing but the standard library.

For Pythons without ensurepip. The package index is the one that pip is configured with: PIP_INDEX_URL, or the
``index-url`` of the first pip configuration file that has it; none is assumed. The wheel is checked against the hash
below.
"""

from __future__ import annotations

import base64
import configparser
import hashlib
import os
import ssl
import subprocess
import sys
import tempfile
import urllib.request
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit, urlunsplit

WHEEL = "pip-23.2.1-py3-none-any.whl"
SHA256 = "7ccf472345f20d35bdc9d1841ff5f313260c2c33fe417f48c30ac46cccabf5be"


def main() -> int:
    """0: pip is installed; 1: it could not be had (one line on stderr says why)."""
    try:
        index = setting("index-url", "")
        if not index:
            raise LookupError("no index is configured (PIP_INDEX_URL, or index-url in pip.conf)")
        wheel = fetch(find_wheel(index))
    except (OSError, ValueError, LookupError) as error:
        sys.stderr.write(f"netctl: pip cannot be had from the package index: {error}\n")
        sys.stderr.write("  hint: install Python's ensurepip (Debian, as root: apt-get install python3-venv)\n")
        return 1
    if hashlib.sha256(wheel).hexdigest() != SHA256:
        sys.stderr.write(f"netctl: the package index gave a {WHEEL} that is not the expected one; it was not used\n")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / WHEEL
        path.write_bytes(wheel)
        command = [sys.executable, str(path / "pip"), "install", "-q", "--no-index", "--no-deps", str(path)]
        return subprocess.run(command, check=False).returncode


def setting(name: str, default: str) -> str:
    """A setting of pip's: from its environment variable, or its configuration files."""
    value = os.environ.get("PIP_" + name.upper().replace("-", "_"))
    if value:
        return value
    home = Path(os.environ.get("HOME") or "/")
    files = [home / ".config/pip/pip.conf", home / ".pip/pip.conf", Path("/etc/pip.conf")]
    if config := os.environ.get("PIP_CONFIG_FILE"):
        files.insert(0, Path(config))
    for file in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(file)
        except (configparser.Error, UnicodeDecodeError):
            continue
        for section in ("install", "global"):
            if parser.has_option(section, name):
                return parser.get(section, name).strip()
    return default


def find_wheel(index: str) -> str:
    """The address of the wheel, from the index's page of the project pip (PEP 503)."""
    page = f"{index.rstrip('/')}/pip/"
    links = _Links()
    links.feed(fetch(page).decode("utf-8", "replace"))
    for link in links.found:
        address = urldefrag(urljoin(page, link)).url
        if unquote(urlsplit(address).path).endswith("/" + WHEEL):
            return address
    raise LookupError(f"it has no {WHEEL}")


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def fetch(address: str) -> bytes:
    """What is at an address (http or https). Raises OSError or ValueError, without naming a password."""
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"}:
        raise ValueError("its address is neither http nor https")
    user, at, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(urlunsplit(parts._replace(netloc=host)))  # noqa: S310  (checked above)
    request.add_header("Accept", "text/html, */*;q=0.1")
    if at:
        request.add_header("Authorization", "Basic " + base64.b64encode(unquote(user).encode()).decode())
    certificates = setting("cert", "") or None
    with urllib.request.urlopen(request, timeout=60, context=ssl.create_default_context(cafile=certificates)) as answer:  # noqa: S310
        data: bytes = answer.read()
    return data


if __name__ == "__main__":
    sys.exit(main())
