"""States, diagnostics and counters as the socket's messages show them."""

from __future__ import annotations

from collections.abc import Mapping

from netctl.bfd.session import Session, Sessions, State
from netctl.ipc.messages import BfdState

STATES: dict[State, BfdState] = {
    State.ADMIN_DOWN: "admin_down",
    State.DOWN: "down",
    State.INIT: "init",
    State.UP: "up",
}
DIAGNOSTICS = (
    "no diagnostic",
    "control detection time expired",
    "echo function failed",
    "neighbor signaled session down",
    "forwarding plane reset",
    "path down",
    "concatenated path down",
    "administratively down",
    "reverse concatenated path down",
)
"""RFC 5880 4.1, Diag."""


def counters(sessions: Sessions, each: list[Session], own: Mapping[str, int]) -> dict[str, float]:
    """All counters by name, with labels in braces."""
    values: dict[str, float] = {f"bfd_discarded{{reason={reason}}}": n for reason, n in sessions.discarded.items()}
    values["bfd_own_gaps"] = sessions.own_gaps
    for session in each:
        values[f"bfd_received{{peer={session.name}}}"] = session.received
        values[f"bfd_sent{{peer={session.name}}}"] = session.sent
        values[f"bfd_downs{{peer={session.name}}}"] = session.downs
    values.update(own)
    return values
