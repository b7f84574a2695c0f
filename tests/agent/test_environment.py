"""What is wrong with the machine or the file is said in one line, before anything is touched."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

from netctl.agent.io import check_environment, check_links, last_line, locked
from netctl.fib.fake import FakeKernel
from netctl.model.errors import EnvironmentLackError, UsageError
from netctl.model.gateway import Gateway, Peer
from netctl.model.prefix import parse_address

PA = Peer("pa", "provider", "gw-pa", "10.0.1.1", "10.0.1.2", 65001)


HOLDER = """
import sys
from netctl.agent.io import locked
from netctl.model.gateway import Gateway
with locked(Gateway("g", "a", 1, "1.1.1.1", {folder!r}, ())):
    print("held", flush=True)
    sys.stdin.read()
"""


def gateway(runtime: Path | str) -> Gateway:
    return Gateway("ga1", "a", 65100, "10.0.1.1", str(runtime), (PA,), source="ga1.yaml")


def test_a_missing_interface_is_named_with_those_that_are_there() -> None:
    kernel = FakeKernel()
    kernel.set_link("eth0", True)
    with pytest.raises(EnvironmentLackError, match="peer pa: there is no interface gw-pa") as caught:
        check_links(gateway("/run/x"), kernel)
    assert "eth0" in caught.value.hint


def test_a_local_address_that_is_not_on_the_interface_is_named_with_what_is_there() -> None:
    kernel = FakeKernel()
    kernel.set_link("gw-pa", True, (parse_address("10.9.9.9"),))
    with pytest.raises(
        EnvironmentLackError, match=r"gw-pa has not got the local address 10\.0\.1\.1; it has 10\.9\.9\.9"
    ):
        check_links(gateway("/run/x"), kernel)
    kernel.set_link("gw-pa", True, (parse_address("10.0.1.1"),))
    check_links(gateway("/run/x"), kernel)


def test_a_runtime_dir_too_long_for_a_socket_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too long"):
        check_environment(gateway(tmp_path / ("x" * 80)), standalone=False)


def test_a_runtime_dir_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentLackError, match=r"cannot make .*file/run"):
        check_environment(gateway(tmp_path / "file" / "run"), standalone=False)


def test_only_one_agent_for_a_runtime_dir_and_the_lock_goes_with_its_holder(tmp_path: Path) -> None:
    settings = gateway(tmp_path)
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HOLDER.format(folder=str(tmp_path)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(EnvironmentLackError, match=f"an agent .pid {holder.pid}. runs in"), locked(settings):
        pass
    holder.kill()
    holder.wait()
    with locked(settings):
        assert (tmp_path / "agent.lock").exists()


def test_a_childs_last_words_are_found_in_its_log_in_plain_or_json(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    assert last_line(str(log)) == ""
    log.write_text("started\nnetctl: UDP 10.0.1.1:3784 is taken by another program\n\n")
    assert last_line(str(log)) == "netctl: UDP 10.0.1.1:3784 is taken by another program"
    log.write_text(json.dumps({"event": "stopped", "level": "info"}) + "\n")
    assert last_line(str(log)) == "stopped"


@pytest.mark.root
def test_without_net_admin_the_agent_refuses_in_one_line_with_exit_code_3(tmp_path: Path) -> None:
    file = tmp_path / "ga1.yaml"
    file.write_text(
        f"version: 1\ngateway: ga1\ncloud: a\nasn: 65100\nrouter_id: 10.0.1.1\nruntime_dir: {tmp_path}/run\npeers:\n"
        "  - {name: pa, kind: provider, interface: gw-pa, local: 10.0.1.1, address: 10.0.1.2, asn: 65001}\n"
    )
    for drop, expected in (
        (["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"], "NET_ADMIN"),
        ([], "gw-pa"),
    ):
        argv = [*drop, sys.executable, "-m", "netctl.cli.main", "agent", "run", "--config", str(file), "--standalone"]
        done = subprocess.run(["unshare", "-n", *argv], capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 3, done.stderr
        assert expected in done.stderr
        assert "Traceback" not in done.stderr
        assert len(done.stderr.strip().splitlines()) == 2


@pytest.mark.parametrize(
    "program",
    [
        "from netctl.telemetry.io import configure_logging; log = configure_logging('agent', 'ga1').info",
        "from netctl.liveness.__main__ import log as write; log = lambda event: write(event, {})",
    ],
)
def test_a_log_that_cannot_be_written_stops_nobody(program: str) -> None:
    code = f"{program}\nfor n in range(2000): log('x' * 100)\nprint('goes on', flush=True)"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=full, text=True, check=False, timeout=30
        )
    assert done.stdout == "goes on\n"


def test_the_lock_is_taken_on_a_full_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("netctl.agent.io.os.pwrite", full)
    with locked(gateway(tmp_path)), pytest.raises(EnvironmentLackError, match="runs in"), locked(gateway(tmp_path)):
        pass
