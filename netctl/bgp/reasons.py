"""NOTIFICATIONs and ExaBGP's own words for the end of a session, in plain words for people."""

from __future__ import annotations

from netctl.bgp.events import Notified
from netctl.model.gateway import Peer

_CEASE = {  # RFC 4486, RFC 8538, RFC 9003
    1: "too many prefixes",
    2: "administrative shutdown",
    3: "this neighbour was removed from its configuration",
    4: "administrative reset",
    5: "connection rejected",
    6: "its configuration changed",
    7: "connection collision",
    8: "out of resources",
    9: "hard reset",
    10: "BFD is down",
}
_OPEN_ERRORS = {  # RFC 4271 6.2, RFC 5492
    1: "BGP version not supported",
    2: "wrong AS",
    3: "bad router id (is it the same on both sides?)",
    4: "unsupported optional parameter",
    6: "unacceptable hold time",
    7: "unsupported capability",
    11: "role mismatch",
}
_CODES = {1: "message header error", 2: "OPEN refused", 3: "UPDATE error", 5: "state machine error", 6: "ceased"}


def explain(note: Notified, peer: Peer, own_asn: int, peer_says_asn: int | None) -> str:
    """One NOTIFICATION → a clause such as ``the peer says its AS is 65009, the file says 65001``."""
    ours = note.direction == "send"
    if note.code == 4:
        whose = f"nothing heard from the peer for {peer.hold_time_s} s" if ours else "the peer heard nothing from us"
        return f"hold timer expired: {whose}"
    if (note.code, note.subcode) == (2, 2):
        if ours:
            return f"the peer says its AS is {peer_says_asn}, the file says {peer.asn}"
        return f"the peer refused our AS {own_asn}: it expects another one"
    detail = _OPEN_ERRORS.get(note.subcode, "") if note.code == 2 else ""
    if note.code == 6:
        detail = _CEASE.get(note.subcode, "")
    words = _CODES.get(note.code, f"error {note.code}")
    text = f"{words}: {detail}" if detail else f"{words} (code {note.code}/{note.subcode})"
    said = _communication(note) if note.code == 6 and note.subcode in {2, 4} else ""
    return f"{'we' if ours else 'the peer'} sent NOTIFICATION, {text}{f' ({said})' if said else ''}"


def lost(exabgp_reason: str, peer: Peer, opened: bool) -> str:
    """The end of a session without a NOTIFICATION."""
    if exabgp_reason == "closing connection":
        if opened:
            return "the TCP connection was lost"
        # ExaBGP reports a refused connection as one that was made and lost, so the two cannot be told apart.
        return f"{peer.address} refused or closed TCP port 179: does BGP run there, with {peer.local} as its neighbour?"
    return exabgp_reason or "ended"


def no_connection(peer: Peer, answers_arp: bool | None) -> str:
    """Why there is no TCP connection, from what the kernel shows."""
    if answers_arp is False:
        return f"{peer.address} does not answer ARP on {peer.interface}: is it up, and is the cable in the right port?"
    return (
        f"{peer.address} does not answer on TCP port 179: is BGP up there, with {peer.local} as its neighbour, and no "
        "firewall between?"
    )


def _communication(note: Notified) -> str:
    """RFC 9003 shutdown communication: a length and that much UTF-8."""
    if not note.data or note.data[0] > len(note.data) - 1:
        return ""
    text = note.data[1 : 1 + note.data[0]].decode("utf-8", "replace")
    return "".join(c for c in text if c.isprintable())
