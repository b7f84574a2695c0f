"""Which children run, and that there are never two of one."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Any

import pytest

from netctl.agent.children import changed_children, children_of, decode_gateway, encode_gateway
from netctl.model.clock import SECOND
from netctl.model.errors import EnvironmentLackError
from netctl.model.gateway import BfdSettings, Gateway
from tests.agent.machine import GATEWAY, PA, PB, Machine


def names(before: Gateway, after: Gateway) -> list[str]:
    return [child.name for child in changed_children(before, after)]


def test_liveness_comes_first_and_each_peer_has_a_speaker() -> None:
    assert [child.name for child in children_of(GATEWAY)] == ["liveness", "speaker-pa", "speaker-pb"]
    assert children_of(GATEWAY)[2].argv[1:] == ("-m", "netctl.speaker", "/run/netctl/ga1/gateway.json", "pb")


@pytest.mark.parametrize(
    ("change", "restarted"),
    [
        ({}, []),
        ({"weight": 5}, []),
        ({"hold_time_s": 30}, ["speaker-pb"]),
        ({"asn": 65003}, ["speaker-pb"]),
        ({"bfd": BfdSettings(100, 3)}, ["liveness"]),
        ({"address": "10.0.2.3"}, ["liveness", "speaker-pb"]),
    ],
)
def test_a_changed_peer_restarts_only_what_depends_on_the_change(change: dict[str, Any], restarted: list[str]) -> None:
    assert names(GATEWAY, replace(GATEWAY, peers=(PA, replace(PB, **change)))) == restarted


def test_a_removed_peer_ends_its_speaker_and_a_new_asn_restarts_all_speakers() -> None:
    assert names(GATEWAY, replace(GATEWAY, peers=(PA,))) == ["liveness", "speaker-pb"]
    assert names(GATEWAY, replace(GATEWAY, asn=65101)) == ["speaker-pa", "speaker-pb"]


def test_the_gateway_file_for_children_reads_back_and_a_torn_one_counts_as_none() -> None:
    content = encode_gateway(GATEWAY)
    assert decode_gateway(content) == GATEWAY
    assert decode_gateway(content[:-10]) is None
    assert decode_gateway(None) is None


def test_a_living_child_is_found_again_by_a_new_agent_and_not_started_twice() -> None:
    machine = Machine()
    machine.supervisor().ensure()
    machine.supervisor().ensure()
    assert machine.started == ["speaker-pa"]


def test_a_dead_child_is_started_again_with_growing_pauses() -> None:
    machine = Machine()
    supervisor = machine.supervisor()
    supervisor.answered()
    for _ in range(200):
        supervisor.ensure()
        machine.living.clear()
        machine.clock.advance(SECOND // 10)
    assert 4 <= len(machine.started) <= 8  # 20 s of dying at once
    assert supervisor.last_exit == "netctl: port taken"


def test_a_liveness_that_never_answers_and_dies_twice_is_an_error_with_its_own_words() -> None:
    machine = Machine()
    supervisor = machine.supervisor(0)

    def live_and_die() -> None:
        for _ in range(100):
            supervisor.ensure()
            machine.living.clear()
            machine.clock.advance(SECOND // 10)

    with pytest.raises(EnvironmentLackError, match="liveness does not start: netctl: port taken"):
        live_and_die()
    assert len(machine.started) == 2


def test_a_child_that_lives_but_stays_silent_is_killed_after_a_while() -> None:
    machine = Machine()
    supervisor = machine.supervisor()
    supervisor.ensure()
    for _ in range(19):
        machine.clock.advance(SECOND)
        supervisor.ensure()
    assert machine.signals == []
    machine.clock.advance(2 * SECOND)
    supervisor.ensure()
    assert machine.signals == [(101, signal.SIGKILL)]


def test_after_an_agent_died_between_starting_and_writing_the_pid_the_next_waits_for_an_answer_first() -> None:
    machine = Machine()
    machine.die_in_start = True
    with pytest.raises(KeyboardInterrupt):
        machine.supervisor().ensure()
    machine.die_in_start = False
    supervisor = machine.supervisor()
    supervisor.ensure()
    assert machine.started == []
    machine.clock.advance(4 * SECOND)
    supervisor.ensure()
    assert machine.started == ["speaker-pa"]
