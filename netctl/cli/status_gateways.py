"""What ``netctl status`` shows of gateways."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from netctl.cli.output import Column, View


def gateway_views(gateways: list[dict[str, Any]], now: float) -> Iterator[View]:
    """The tables of gateways, first what matters most. ``now``: seconds since the epoch."""
    if not gateways:
        return
    gateways = [{**g, "gateway": g["label"] or g["gateway"]} for g in gateways]
    rows = [{**g, "state": _state(g)} for g in gateways]
    yield View(
        rows,
        [
            Column("gateway"),
            Column("state"),
            Column("fib.routes", "routes", right=True),
            Column("fib.groups", "groups", right=True),
            Column("fib.pending", "pending", right=True),
            Column("liveness.connected", "liveness"),
            Column("pid", wide=True),
            Column("fib.operations", "kernel ops", wide=True),
            Column("socket", wide=True),
            Column("error"),
        ],
    )
    gone = [
        {**g, "runs": ", ".join(f"{name} (pid {pid})" for name, pid in g["still_running"].items()) or "nothing"}
        for g in gateways
        if not g["answers"]
    ]
    if gone:
        columns = [Column("runs", "still runs"), Column("start_again", "starts the agent again")]
        yield View(gone, ["gateway", *columns])
    peers = [
        {**p, "gateway": g["gateway"], "points": _points(p), "reason": _reason(p, now)}
        for g in gateways
        for p in g["peers"]
    ]
    if peers:
        yield View(peers, _peer_columns())
    yield from _detail_views(gateways)


def _peer_columns() -> list[Column]:
    return [
        Column("gateway"),
        Column("name", "peer"),
        Column("kind"),
        Column("bgp"),
        Column("routes", right=True),
        Column("stale", right=True),
        Column("bfd"),
        Column("points", "member"),
        Column("member_for_s", "for s", wide=True, right=True),
        Column("speaker", wide=True),
        Column("bgp_sessions", "sessions", wide=True, right=True),
        Column("bfd_detection_ms", "detection ms", wide=True, right=True),
        Column("bfd_downs", "downs", wide=True, right=True),
        Column("decision_us", "decision us", wide=True, right=True),
        Column("reason"),
    ]


def _detail_views(gateways: list[dict[str, Any]]) -> Iterator[View]:
    silent = [
        {**child, "gateway": g["gateway"], "child": name}
        for g in gateways
        for name, child in g.get("children", {}).items()
        if child.get("silent_s")
    ]
    if silent:
        yield View(silent, ["gateway", "child", Column("pid", right=True), "state", "log"])
    checks = [{**c, "gateway": g["gateway"]} for g in gateways for c in g.get("checks", ())]
    if checks:
        yield View(checks, ["gateway", Column("name", "check"), "verdict", "detail"])
    announced = [
        {
            **a,
            "gateway": g["gateway"],
            "when": [f"{c}={m}" for c, m in a["when"].items()],
        }
        for g in gateways
        for a in g.get("announcements", ())
    ]
    if announced:
        yield View(
            announced, ["gateway", Column("prefix", "announces"), "announced_to", Column("to", wide=True), "when"]
        )
    refused = [
        {"gateway": g["gateway"], "reason": reason, "times": times}
        for g in gateways
        for reason, times in g.get("fib", {}).get("refused_total", {}).items()
    ]
    if refused:
        yield View(refused, ["gateway", Column("reason", "kernel refused"), Column("times", right=True)])
    discarded = [{**d, "gateway": g["gateway"]} for g in gateways for d in g.get("discarded", ())]
    if discarded:
        yield View(discarded, ["gateway", Column("by", "discarded by"), "what", Column("times", right=True)])


def _state(gateway: dict[str, Any]) -> str:
    if not gateway["answers"]:
        return "gone"
    return "ok" if gateway["steady"] else "unsteady"


def _points(peer: dict[str, Any]) -> str:
    return f"at {peer['member_at']}" if peer["member"] == "away" else str(peer["member"])


def _reason(peer: dict[str, Any], now: float) -> str:
    """Why BFD is down and since when, then the BGP session's words. ``now``: seconds since the epoch."""
    said = []
    if peer["bfd"] == "down":
        why = "not up yet" if not peer["bfd_ups"] else peer["bfd_diagnostic"] or "down"
        since = peer["bfd_since"]
        said.append(f"BFD: {why}" + (f", {ago(max(0.0, now - since))}" if since else ""))
    if peer["bgp_reason"]:
        said.append(f"BGP: {peer['bgp_reason']}" if said else peer["bgp_reason"])
    return "; ".join(said)


def ago(seconds: float) -> str:
    """How long ago, in words."""
    if seconds < 60:
        return f"{seconds:.1f} s ago"
    minutes = round(seconds / 60)
    return f"{minutes} min ago" if minutes < 120 else f"{minutes / 60:.0f} h ago"
