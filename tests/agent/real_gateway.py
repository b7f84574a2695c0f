"""What a real gateway does when programs and files of it are killed, stopped and changed: the program that tests run.

It is started as the first process of a PID namespace, so that everything in it ends with it, however it ends. It prints
one JSON object with what it saw.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from random import Random
from typing import Any

from netctl.agent.io import ask
from netctl.ipc.frames import encode
from netctl.ipc.messages import Hello, Request, Shutdown
from netctl.model.errors import NetctlError
from netctl.model.io import process_started
from tests.agent.rig import PROVIDERS, Rig, run, wait_for

PROGRAM_WORDS = {
    "liveness": "netctl.liveness",
    "exabgp-pa": "/exabgp-pa.conf",
    "exabgp-pb": "/exabgp-pb.conf",
    "relay": "netctl.speaker.relay",
}


def scenario_restart(rig: Rig) -> dict[str, Any]:
    rig.start_agent()
    began = time.monotonic()
    first = rig.steady()
    steady_s = time.monotonic() - began
    wait_for("the announcement", lambda: rig.announced_to("pa") and rig.announced_to("pb"))
    before = rig.kernel()
    rig.kill_agent()
    dead = rig.kernel()
    rig.start_agent()
    again = rig.steady()
    return {
        "steady_s": steady_s,
        "before": before,
        "same_while_dead": dead == before,
        "same_after": rig.kernel() == before,
        "operations_first": first["fib"]["operations"],
        "operations_again": again["fib"]["operations"],
        "pids_first": {name: child["pid"] for name, child in first["children"].items()},
        "pids_again": {name: child["pid"] for name, child in again["children"].items()},
        "still_announced": rig.announced_to("pa") and rig.announced_to("pb"),
    }


def scenario_stop(rig: Rig) -> dict[str, Any]:
    rig.start_agent()
    rig.steady()
    left = rig.kill_agent(signal.SIGTERM)
    kept = rig.kernel()
    rig.start_agent()
    status = rig.steady()
    stopped = subprocess.run(
        [
            sys.executable,
            "-m",
            "netctl.cli.main",
            "agent",
            "stop",
            "--config",
            str(rig.config),
            "--flush",
            "-o",
            "json",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert rig.agent is not None
    pids = [child["pid"] for child in status["children"].values()]
    wait_for("the end of the children", lambda: all(process_started(pid) is None for pid in pids))
    wait_for("the withdrawal", lambda: not (rig.announced_to("pa") or rig.announced_to("pb")))
    return {
        "term_code": left,
        "routes_kept": len(kept["routes"]),
        "stop_code": stopped.returncode,
        "stop": json.loads(stopped.stdout),
        "agent_code": rig.agent.wait(10),
        "kernel": rig.kernel(),
        "complaints": [
            f"{path.name}: {line}"
            for path in [*(rig.runtime / "log").glob("*.log"), rig.folder / "agent.log"]
            for line in path.read_text(errors="replace").splitlines()
            if "Traceback" in line or "Exception in" in line or "never retrieved" in line
        ],
    }


def scenario_speaker_kill(rig: Rig) -> dict[str, Any]:
    """kill -9 of one speaker: its routes stay, it is started again, in the end nothing has been written."""
    rig.start_agent()
    first = rig.steady()
    before = rig.kernel()
    victim = first["children"]["speaker-pa"]["pid"]
    os.kill(victim, signal.SIGKILL)
    wait_for("a new speaker", lambda: rig.status()["children"]["speaker-pa"]["pid"] not in {victim, None})
    during = rig.kernel()
    again = rig.steady()
    return {
        "before": before,
        "during": during,
        "same_after": rig.kernel() == before,
        "operations_first": first["fib"]["operations"],
        "operations_again": again["fib"]["operations"],
        "other_speaker_same": first["children"]["speaker-pb"]["pid"] == again["children"]["speaker-pb"]["pid"],
    }


def scenario_stopped_relay(rig: Rig) -> dict[str, Any]:
    """SIGSTOP of a relay, whose socket stays open, until there is another one; then one that outlives its ExaBGP."""
    rig.start_agent()
    first = rig.steady()
    before, old = rig.kernel(), first["children"]["speaker-pa"]["pid"]
    relay = rig.relay("pa")
    os.kill(relay, signal.SIGSTOP)
    began = time.monotonic()
    shown = wait_for("the silence to be shown", lambda: rig.silent("speaker-pa"))
    shown_s = time.monotonic() - began
    wait_for("a new speaker", lambda: rig.status()["children"]["speaker-pa"]["pid"] not in {old, None})
    replaced_s = time.monotonic() - began
    during = rig.kernel()
    second = rig.steady()
    orphan, parent = rig.relay("pa"), second["children"]["speaker-pa"]["pid"]
    os.kill(orphan, signal.SIGSTOP)
    os.kill(parent, signal.SIGKILL)
    rig.kill_agent()
    rig.start_agent()
    wait_for("a third speaker", lambda: rig.child("speaker-pa").get("pid") not in {parent, None})
    third = rig.steady()
    return {
        "shown": shown,
        "shown_s": shown_s,
        "replaced_s": replaced_s,
        "kept": [during["routes"] == before["routes"], rig.kernel()["routes"] == before["routes"]],
        "ended": [process_started(pid) is None for pid in (relay, orphan)],
        "other_speaker_same": first["children"]["speaker-pb"]["pid"] == third["children"]["speaker-pb"]["pid"],
        "programs": running_programs(),
    }


def scenario_kills(rig: Rig) -> dict[str, Any]:
    """kill -9 of the agent at seeded moments from its first on: in the end one of each program, and ECMP routes."""
    random = Random(20)
    for _ in range(20):
        rig.start_agent()
        time.sleep(random.uniform(0.0, 1.0))  # the moment itself is what is varied, nothing is waited for
        rig.kill_agent()
    rig.start_agent()
    rig.steady()
    return {"programs": running_programs(), "routes": rig.kernel()["routes"]}


def running_programs() -> dict[str, int]:
    """How many of each child run, by what its command line says."""
    found = dict.fromkeys(PROGRAM_WORDS, 0)
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        for name, word in PROGRAM_WORDS.items():
            found[name] += any(w.endswith(word) for w in words)
    return found


def scenario_taken_port(rig: Rig) -> dict[str, Any]:
    """Another program holds BFD's port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("0.0.0.0", 3784))
        argv = [sys.executable, "-m", "netctl.cli.main", "agent", "run", "--config", str(rig.config), "--standalone"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    said = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    return {"code": done.returncode, "said": said, "programs": running_programs()}


def scenario_metrics(rig: Rig) -> dict[str, Any]:
    with rig.config.open("a") as file:
        file.write("metrics_listen: 127.0.0.1:9473\n")
    rig.start_agent()
    rig.steady()
    with urllib.request.urlopen("http://127.0.0.1:9473/metrics", timeout=5) as answer:
        return {"type": answer.headers["Content-Type"], "text": answer.read().decode()}


def scenario_flap(rig: Rig) -> dict[str, Any]:
    """Every link loses its carrier (the kernel drops members, groups and routes without a word) and gets it back."""
    rig.start_agent()
    rig.steady()
    before = rig.kernel()
    for name in PROVIDERS:
        rig.far_link(name, "down")
    wait_for("the kernel to drop the routes", lambda: rig.kernel()["routes"] == [])
    for name in PROVIDERS:
        rig.far_link(name, "up")
    rig.steady()
    return {"before": before, "after": rig.kernel()}


def scenario_stopped_agent(rig: Rig) -> dict[str, Any]:
    """``stop`` while the agent cannot answer, then without any agent."""
    rig.start_agent()
    children = rig.steady()["children"]
    assert rig.agent is not None
    rig.agent.send_signal(signal.SIGSTOP)
    argv = [sys.executable, "-m", "netctl.cli.main", "agent", "stop", "--config", str(rig.config)]
    first = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    rig.kill_agent()
    second = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    wait_for("the end of the children", lambda: all(process_started(c["pid"]) is None for c in children.values()))
    return {"codes": [first.returncode, second.returncode], "said": first.stderr, "routes": rig.kernel()["routes"]}


def scenario_garbage(rig: Rig) -> dict[str, Any]:
    """Garbage at the agent's socket: too long, undecodable, cut off, an unknown verb, a message that is no request."""
    rig.start_agent()
    before = rig.steady()
    path = str(rig.runtime / "agent.sock")
    hello = encode(Hello("cli", "", 1))
    for data in (
        b"\xff" * 64,
        b"GET / HTTP/1.1\r\n\r\n",
        hello + b"\x00\x00\x00\x03abc",
        hello + encode(Shutdown("x")),
    ):
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(path)
            link.sendall(data)
            link.shutdown(socket.SHUT_WR)
            while link.recv(65536):
                pass
    try:
        ask(Path(path), Request("dance"))
        unknown = ""
    except NetctlError as error:
        unknown = error.message
    after = rig.steady()
    for peer in (*before["peers"], *after["peers"]):
        del peer["member_for_s"]  # a clock, not a state
    return {
        "refused": after["clients_refused"],
        "shown": after["discarded"],
        "metrics": ask(Path(path), Request("metrics")).body["text"],
        "unknown": unknown,
        "unchanged": before["fib"] == after["fib"] and before["peers"] == after["peers"],
    }


def scenario_changed(rig: Rig) -> dict[str, Any]:
    """The gateway file changes in one peer's hold time: that peer's speaker alone is another one afterwards."""
    rig.start_agent()
    first = rig.steady()
    rig.kill_agent(signal.SIGTERM)
    text = rig.config.read_text()
    place = text.rindex("hold_time_s: 9")
    rig.config.write_text(text[:place] + "hold_time_s: 12" + text[place + len("hold_time_s: 9") :])
    rig.start_agent()
    second = rig.steady()
    pids = [{name: child["pid"] for name, child in status["children"].items()} for status in (first, second)]
    return {"changed": sorted(name for name in pids[0] if pids[0][name] != pids[1][name])}


def scenario_second_agent(rig: Rig) -> dict[str, Any]:
    rig.start_agent()
    rig.steady()
    argv = [sys.executable, "-m", "netctl.cli.main", "agent", "run", "--config", str(rig.config), "--standalone"]
    second = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    return {"code": second.returncode, "stderr": second.stderr}


def scenario_drift(rig: Rig) -> dict[str, Any]:
    """Somebody deletes a route and then a whole group."""
    rig.start_agent()
    rig.steady()
    before = rig.kernel()
    run("ip", "route", "del", before["routes"][0]["dst"], "proto", "110")
    wait_for("the route", lambda: rig.kernel() == before)
    group = next(n["id"] for n in before["nexthops"] if "group" in n)
    run("ip", "nexthop", "del", "id", str(group))
    wait_for("the group", lambda: len(rig.kernel()["routes"]) == rig.prefixes)
    return {"routes": len(rig.kernel()["routes"]), "steady": bool(rig.steady())}


if __name__ == "__main__":
    made = Rig(Path(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps(globals()[f"scenario_{sys.argv[1]}"](made)))
