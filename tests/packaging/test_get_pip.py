"""``tools/get_pip.py``: pip for a Python without ensurepip, from an index on this machine."""

from __future__ import annotations

import base64
import ensurepip
import hashlib
import importlib.util
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "get_pip.py"
WHEELS = sysconfig.get_config_var("WHEEL_PKG_DIR") or Path(ensurepip.__file__).parent / "_bundled"
WHEEL = next(Path(WHEELS).glob("pip-*.whl"))
RUN = (
    "import importlib.util, sys\n"
    "spec = importlib.util.spec_from_file_location('get_pip', sys.argv[1])\n"
    "tool = importlib.util.module_from_spec(spec); spec.loader.exec_module(tool)\n"
    "tool.WHEEL, tool.SHA256 = sys.argv[2:4]\n"
    "sys.exit(tool.main())\n"
)


class Index:
    """A package index that asks for a password."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self.asked))
        self.address = f"http://user:p%40ss@127.0.0.1:{self.server.server_address[1]}/simple"


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, asked: list[str], *args: object) -> None:
        self.asked = asked
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        allowed = self.headers.get("Authorization") == "Basic " + base64.b64encode(b"user:p@ss").decode()
        page = f'<a href="../../files/other-1.whl">o</a><a href="../../files/{WHEEL.name}#sha256=0">pip</a>'.encode()
        body = {"/simple/pip/": page, f"/files/{WHEEL.name}": WHEEL.read_bytes()}.get(self.path)
        self.send_response(401 if not allowed else 200 if body else 404)
        self.end_headers()
        self.wfile.write(body if body and allowed else b"")

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def index() -> Iterator[Index]:
    """An index that serves this Python's own pip."""
    index = Index()
    thread = threading.Thread(target=index.server.serve_forever, daemon=True)
    thread.start()
    yield index
    index.server.shutdown()
    index.server.server_close()
    thread.join()


def run(folder: Path, sha256: str, **variables: str) -> tuple[subprocess.CompletedProcess[str], Path]:
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    done = subprocess.run(
        [str(venv / "bin" / "python"), "-c", RUN, str(TOOL), WHEEL.name, sha256],
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return done, venv


def digest() -> str:
    return hashlib.sha256(WHEEL.read_bytes()).hexdigest()


def test_pip_is_installed_from_the_index_that_pip_is_configured_for(index: Index, tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {index.address}\n")
    done, venv = run(tmp_path, digest(), PIP_CONFIG_FILE=str(tmp_path / "pip.conf"))
    assert (done.returncode, done.stderr) == (0, "")
    assert index.asked == ["/simple/pip/", f"/files/{WHEEL.name}"]
    subprocess.run([str(venv / "bin" / "pip"), "--version"], check=True, capture_output=True)


def test_a_wheel_with_another_hash_is_never_run(index: Index, tmp_path: Path) -> None:
    done, venv = run(tmp_path, "0" * 64, PIP_INDEX_URL=index.address)
    assert done.returncode == 1
    assert "is not the expected one; it was not used" in done.stderr
    assert not (venv / "bin" / "pip").exists()


def test_an_index_that_refuses_is_one_line_that_shows_no_password(index: Index, tmp_path: Path) -> None:
    done, _ = run(tmp_path, digest(), PIP_INDEX_URL=index.address.replace("p%40ss", "secret"))
    assert done.returncode == 1
    assert done.stderr.startswith("netctl: pip cannot be had from the package index: HTTP Error 401")
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_the_pinned_wheel_is_named_with_a_whole_hash() -> None:
    spec = importlib.util.spec_from_file_location("netctl_tool_get_pip", TOOL)
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert len(bytes.fromhex(tool.SHA256)) == 32
    if WHEEL.name == tool.WHEEL:
        assert digest() == tool.SHA256
