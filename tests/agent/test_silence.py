"""A child that is connected and says nothing: shown, accused, ended; and who must not be accused."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from typing import Any

import pytest

from netctl.agent.children import PidRecord, children_of, encode_pid
from netctl.agent.children.shell import Supervisor
from netctl.agent.children.silence import Silence
from netctl.agent.shell import AgentShell
from netctl.agent.views import child_view
from netctl.ipc.messages import ALIVE_S
from netctl.model.clock import SECOND
from netctl.model.gateway import relay_pid_file
from netctl.model.ports import ProcessId
from netctl.sim.gateway import Programs
from netctl.sim.run import simulate
from netctl.sim.schedule import Fault, Schedule
from tests.agent.machine import GATEWAY, Machine

Said = list[tuple[str, dict[str, Any]]]


def connected(machine: Machine, said: Said, index: int = 1) -> Supervisor:
    """A running child that has said Hello with its promise."""

    def log(_level: str, event: str, **fields: Any) -> None:
        said.append((event, fields))

    supervisor = Supervisor(children_of(GATEWAY)[index], machine.ports, log, lambda _: "")
    supervisor.ensure()
    supervisor.answered()
    supervisor.silence.connected(ALIVE_S, machine.clock.monotonic_ns())
    said.clear()
    return supervisor


def with_relay(machine: Machine) -> ProcessId:
    relay = ProcessId(200, 7)
    machine.documents[relay_pid_file("pa")] = encode_pid(PidRecord(relay.pid, relay.started))
    machine.living.add(relay)
    return relay


def test_silence_is_shown_after_five_seconds_and_accused_after_twenty() -> None:
    machine, said = Machine(), Said()
    supervisor = connected(machine, said)
    seen = []
    for _ in range(21):
        machine.clock.advance(SECOND)
        supervisor.judge_silence(kill=True)
        seen.append(child_view(supervisor)["state"])
    assert seen[4:7] == ["runs", "silent for 6 s", "silent for 7 s"]
    assert [(event, fields["silent_s"]) for event, fields in said] == [("child is stuck", 21.0)]


def test_a_stuck_speaker_is_ended_with_its_relay_and_each_by_pid_and_start_time() -> None:
    machine, said = Machine(), Said()
    supervisor = connected(machine, said)
    with_relay(machine)
    machine.clock.advance(21 * SECOND)
    supervisor.judge_silence(kill=True)
    assert machine.signals == [(101, signal.SIGKILL), (200, signal.SIGKILL)]
    assert said[0][1]["action"] == "killed"


def test_a_relay_whose_pid_now_is_another_programs_is_left_alone() -> None:
    machine, said = Machine(), Said()
    supervisor = connected(machine, said)
    relay = with_relay(machine)
    machine.living.remove(relay)
    machine.living.add(ProcessId(relay.pid, relay.started + 1))
    machine.clock.advance(21 * SECOND)
    supervisor.judge_silence(kill=True)
    assert machine.signals == [(101, signal.SIGKILL)]


def test_without_standalone_it_is_only_said_once_and_so_is_that_it_speaks_again() -> None:
    machine, said = Machine(), Said()
    supervisor = connected(machine, said, 0)
    for _ in range(60):
        machine.clock.advance(SECOND)
        supervisor.judge_silence(kill=False)
    supervisor.silence.heard(machine.clock.monotonic_ns())
    supervisor.judge_silence(kill=False)
    assert [event for event, _ in said] == ["child is stuck", "child speaks again"]
    assert said[0][1]["action"] == "none: not standalone"
    assert machine.signals == []


def test_who_promised_nothing_is_never_accused() -> None:
    silence = Silence()
    silence.connected(0, 0)
    silence.heard(SECOND)
    assert silence.for_ns(1000 * SECOND) == 0
    assert silence.news(1000 * SECOND) is None


def test_time_in_which_the_agent_did_not_run_is_nobodys_silence() -> None:
    silence = Silence()
    silence.connected(ALIVE_S, 0)
    silence.slept(300 * SECOND)
    assert silence.news(310 * SECOND) is None
    assert silence.for_ns(310 * SECOND) == 10 * SECOND
    assert silence.news(321 * SECOND) == "stuck"


def test_an_agent_that_did_not_run_while_a_child_started_does_not_end_it() -> None:
    machine = Machine()
    supervisor = machine.supervisor()
    supervisor.ensure()
    machine.clock.advance(300 * SECOND)
    supervisor.slept(299 * SECOND)
    supervisor.ensure()
    assert machine.signals == []


def test_a_relay_that_outlived_its_exabgp_is_ended_before_a_new_speaker_is_started() -> None:
    machine = Machine()
    relay = with_relay(machine)
    machine.supervisor().ensure()
    assert machine.signals == [(relay.pid, signal.SIGKILL)]
    assert machine.started == ["speaker-pa"]


def play(*faults: Fault) -> tuple[list[str], Said]:
    """What ga1's agents said of children in a simulated run, and everything they said."""
    said = Said()

    def agent(gateway: Any, *rest: Any, log: Any, **more: Any) -> AgentShell:
        def heard(level: str, event: str, **fields: Any) -> None:
            if gateway.name == "ga1":
                said.append((event, {**fields, "at_s": round(asyncio.get_running_loop().time())}))
            log(level, event, **fields)

        return AgentShell(gateway, *rest, log=heard, **more)

    outcome = simulate(Schedule(1, 50, 3, faults), Programs(agent=agent))
    assert outcome.failure is None, outcome.failure
    return [event for event, fields in said if fields.get("child") == "liveness"], said


def test_a_liveness_that_is_stopped_is_ended_and_another_one_protects_before_it_would_have_woken() -> None:
    events, said = play(Fault("stop", "ga1/liveness", 1_000, 60_000))
    assert events == ["child started", "child is stuck", "child ended", "child started"]
    stuck = next(fields for event, fields in said if event == "child is stuck")
    assert stuck["action"] == "killed"
    assert 20 < stuck["silent_s"] < 23


@pytest.mark.parametrize(
    "faults",
    [
        [Fault("stop", "ga1/agent", 1_000, 60_000)],
        [Fault("stop", "ga1/liveness", 1_000, 15_000), Fault("stop", "ga1/agent", 3_000, 60_000)],
    ],
)
def test_an_agent_that_wakes_accuses_nobody(faults: Sequence[Fault]) -> None:
    events, said = play(*faults)
    assert "did not run" in [event for event, _ in said]
    assert events == ["child started"]


def test_a_living_child_that_does_not_answer_is_shown_and_then_ended_with_its_relay() -> None:
    machine = Machine()
    supervisor = machine.supervisor()
    supervisor.ensure()
    with_relay(machine)
    shown = []
    for _ in range(21):
        machine.clock.advance(SECOND)
        shown.append(supervisor.silent_s())
        supervisor.ensure()
    assert shown[4:6] == [0.0, 6.0]
    assert machine.signals == [(101, signal.SIGKILL), (200, signal.SIGKILL)]
