"""The undo journal survives a round trip and is never trusted when damaged."""

from __future__ import annotations

import pytest

from netctl.fault.faults import (
    BgpReset,
    LinkCut,
    LinkEnd,
    LinksBefore,
    ProcessHold,
    ProcessKill,
    Qdisc,
    RegistryBefore,
    RegistryKey,
    RegistryWipe,
)
from netctl.fault.journal import DamagedJournalError, Journal, decode, encode

JOURNAL = Journal(
    id="provider-cut-1",
    drill="provider-cut",
    lab="lab",
    runner_pid=42,
    deadline_ns=10**12,
    created_wall=1.5,
    faults=(
        LinkCut((LinkEnd("/run/netns/ga1", "gw-pa"),)),
        ProcessKill("agent of ga1", 7, 99, "STOP"),
        BgpReset("ga1", "pa", "/run/netctl/ga1/agent.sock"),
        ProcessHold("a-vm1", "page", 8, 100, "/run/netctl/held/a-vm1/page"),
        RegistryWipe("/run/netns/mgmt", "10.1.9.10:2379", "/vm/"),
    ),
    before=(
        LinksBefore((Qdisc("tbf", 0x80010000, b"\x00\xff"),)),
        None,
        None,
        None,
        RegistryBefore(9, (RegistryKey(b"/vm/orders/\xff", b"\x00", 7587869),)),
    ),
)


def test_what_was_written_is_read() -> None:
    assert decode(encode(JOURNAL)) == JOURNAL


def test_a_journal_torn_at_any_byte_is_damaged() -> None:
    whole = encode(JOURNAL)
    for length in range(len(whole) - 1):  # without its last newline it is still whole
        with pytest.raises(DamagedJournalError):
            decode(whole[:length])


def test_any_changed_byte_is_noticed() -> None:
    whole = encode(JOURNAL)
    for at in range(len(whole) - 1):
        with pytest.raises(DamagedJournalError):
            decode(whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :])
