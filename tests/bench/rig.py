"""A throw-away test bed for side-by-side measurements of gateways.

    src ── dut ──┬── pa ──┬── sink
                 └── pb ──┘

Everything lives in new mount, network and PID namespaces whose first process is the benchmark itself: when it ends,
however it ends, everything has ended. The two providers are BIRD and tell the device under test the same N prefixes;
``sink`` owns every address behind them. A cut drops everything, silently, on the link between dut and pa.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from netctl.lab import namespaces
from netctl.probe.spec import Flow, ProbeReport, ProbeSpec

NODES = ("src", "dut", "pa", "pb", "sink")
LINKS = (
    ("src", "eth0", "10.9.0.1", "dut", "src", "10.9.0.2"),
    ("dut", "gw-pa", "10.0.1.1", "pa", "dut", "10.0.1.2"),
    ("dut", "gw-pb", "10.0.2.1", "pb", "dut", "10.0.2.2"),
    ("pa", "sink", "10.8.1.1", "sink", "pa", "10.8.1.2"),
    ("pb", "sink", "10.8.2.1", "sink", "pb", "10.8.2.2"),
)
WORLD = "16.0.0.0/4"
"""Where the benchmark's prefixes are taken from; the namespaces know no other network."""
ROUTE_DAEMON_DIR = Path("/run/bench")


def sh(*argv: str, check: bool = True) -> str:
    """Run a short command; its output."""
    errors = None if check else subprocess.DEVNULL
    return subprocess.run(argv, check=check, stdout=subprocess.PIPE, stderr=errors, text=True).stdout


def inside_new_namespaces(main: Callable[[], int]) -> int:
    """Run ``main`` as the first process of new namespaces and return its exit code."""
    namespaces.unshare_all(user=os.geteuid() != 0)
    child = os.fork()
    if child == 0:
        namespaces.die_with_parent()
        code = 1
        try:
            namespaces.mount(None, "/", None, namespaces.MS_REC | namespaces.MS_PRIVATE)
            namespaces.mount("proc", "/proc", "proc")
            namespaces.mount("tmpfs", "/run", "tmpfs")
            code = main()
        except KeyboardInterrupt:
            code = 130
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except Exception:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def build() -> None:
    """Namespaces, links, addresses and the settings that every router here needs; a folder for its programs."""
    ROUTE_DAEMON_DIR.mkdir()
    for node in NODES:
        sh("ip", "netns", "add", node)
        sh("ip", "-n", node, "link", "set", "lo", "up")
        settings = {"ip_forward": 1, "conf/all/rp_filter": 0, "conf/default/rp_filter": 0}
        settings |= {"fib_multipath_hash_policy": 1}
        script = ";".join(f"echo {value} > /proc/sys/net/ipv4/{key}" for key, value in settings.items())
        sh("ip", "netns", "exec", node, "sh", "-c", script)
    for left, left_if, left_ip, right, right_if, right_ip in LINKS:
        sh("ip", "link", "add", left_if, "netns", left, "type", "veth", "peer", "name", right_if, "netns", right)
        for node, interface, address in ((left, left_if, left_ip), (right, right_if, right_ip)):
            sh("ip", "-n", node, "address", "add", f"{address}/30", "dev", interface)
            sh("ip", "-n", node, "link", "set", interface, "up")
    sh("ip", "-n", "src", "route", "add", "default", "via", "10.9.0.2")
    sh("ip", "-n", "sink", "route", "add", "local", WORLD, "dev", "lo")
    sh("ip", "-n", "sink", "route", "add", "10.9.0.0/30", "via", "10.8.1.1")
    for provider, number in (("pa", 1), ("pb", 2)):
        sh("ip", "-n", provider, "route", "add", WORLD, "via", f"10.8.{number}.2")
        sh("ip", "-n", provider, "route", "add", "10.9.0.0/30", "via", f"10.0.{number}.1")


def cut(on: bool) -> None:
    """Drop everything on the link dut-pa in both directions, or stop doing so."""
    for node, interface in (("dut", "gw-pa"), ("pa", "dut")):
        verb = ("replace", "dev", interface, "root", "blackhole") if on else ("del", "dev", interface, "root")
        sh("tc", "-n", node, "qdisc", *verb)


def prefix(number: int) -> str:
    """The address part of the number-th /24 of the table."""
    return f"{16 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.0"


def flows(prefixes: int, count: int) -> tuple[Flow, ...]:
    """Flows spread evenly over the whole table, its first and last prefix included."""
    return tuple(
        Flow(
            name=f"flow{n}",
            source_node="src",
            source="10.9.0.1",
            source_port=20_000 + n,
            target_node="sink",
            target=prefix(n * (prefixes - 1) // (count - 1)).removesuffix(".0") + ".7",
            target_port=30_000 + n,
        )
        for n in range(count)
    )


def start(node: str, name: str, argv: Sequence[str]) -> None:
    """Start a program in a node; what it says goes to NAME.log."""
    with (ROUTE_DAEMON_DIR / f"{name}.log").open("ab") as output:
        subprocess.Popen(["ip", "netns", "exec", node, *argv], stdout=output, stderr=output, stdin=subprocess.DEVNULL)


def provider(name: str, prefixes: int, interval_ms: int) -> None:
    """A BIRD that tells the device under test ``prefixes`` routes."""
    number = 1 if name == "pa" else 2
    sink = f"10.8.{number}.2"
    config = ROUTE_DAEMON_DIR / f"{name}.conf"
    with config.open("w") as file:
        file.write(
            f"router id 10.0.{number}.2;\nprotocol device {{}}\n"
            f'protocol bfd {{ interface "dut" {{ interval {interval_ms} ms; multiplier 3; }}; }}\n'
            f"protocol bgp dut {{ local 10.0.{number}.2 as {65000 + number}; neighbor 10.0.{number}.1 as 65100;\n"
            "  bfd on; hold time 90; connect delay time 1; connect retry time 1; error wait time 1,2;\n"
            "  ipv4 { import none; export all; next hop self; }; }\n"
            "protocol static { ipv4;\n"
        )
        file.writelines(f"route {prefix(n)}/24 via {sink};\n" for n in range(prefixes))
        file.write("}\n")
    argv = ["bird", "-f", "-c", str(config), "-s", f"/run/bench/{name}.ctl", "-P", f"/run/bench/{name}.pid"]
    start(name, name, argv)


def begin_anew() -> None:
    """End every program of this PID namespace but the benchmark itself, and begin with new nodes."""
    _end_all(signal.SIGTERM)
    try:
        wait_for(_alone, 5, "programs did not end")
    except TimeoutError:
        _end_all(signal.SIGKILL)
        wait_for(_alone, 30, "programs did not end when killed")
    for node in NODES:
        sh("ip", "netns", "del", node)
    shutil.rmtree(ROUTE_DAEMON_DIR)
    build()


def _end_all(number: signal.Signals) -> None:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            with suppress(ProcessLookupError):
                os.kill(int(entry.name), number)


def _alone() -> bool:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return sum(entry.name.isdecimal() for entry in Path("/proc").iterdir()) == 1


def wait_for(ready: Callable[[], bool], seconds: float, what: str) -> None:
    """Raises TimeoutError saying ``what`` did not come about."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.2)


def bfd_up() -> bool:
    """Whether both providers' BFD sessions are up: a cut before that measures the BGP hold time."""
    return all(
        " Up " in sh("birdc", "-s", f"/run/bench/{name}.ctl", "show", "bfd", "sessions", check=False)
        for name in ("pa", "pb")
    )


def measure(prefixes: int, count: int, interval_us: int, hold_s: float) -> ProbeReport:
    """Send flows, cut after they have run clean for half a second, repair after ``hold_s``; their report."""
    spec = ProbeSpec(flows=flows(prefixes, count), interval_us=interval_us)
    probe = subprocess.Popen([sys.executable, "-m", "netctl.probe", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert probe.stdin is not None
    assert probe.stdout is not None
    probe.stdin.write(msgspec.json.encode(spec) + b"\n")
    probe.stdin.flush()
    deadline = time.monotonic() + 20
    while json.loads(probe.stdout.readline())["clean_ms"] < 500:
        if time.monotonic() > deadline:
            raise TimeoutError("the flows do not all arrive before the cut")
    cut(True)
    try:
        time.sleep(hold_s)  # the length of the experiment, not a wait for something
        probe.stdin.close()
        lines = probe.stdout.read().splitlines()
        return msgspec.json.decode(lines[-1], type=ProbeReport)
    finally:
        cut(False)
        probe.wait()
