"""A drill's result for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netctl.cli.output import Column, Format, View, emit_views

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netctl.drill.results import DrillResult, NameResult, RequestsResult
    from netctl.drill.summary import Group

_FLOW_COLUMNS = [
    Column("flow"),
    Column("direction", wide=True),
    Column("source", wide=True),
    Column("target", wide=True),
    Column("via"),
    Column("fault_ms", "outage ms", right=True),
    Column("return_ms", "at return ms", right=True),
    Column("lost", right=True),
    Column("loss_ms", wide=True, right=True),
    Column("duplicated", wide=True, right=True),
    Column("reordered", wide=True, right=True),
    Column("recovered_after_ms", "recovered after ms", right=True),
    Column("verdict"),
]
_GROUP_COLUMNS = [
    Column("direction"),
    Column("via"),
    Column("flows", right=True),
    Column("hit", right=True),
    Column("worst_ms", right=True),
    Column("median_ms", right=True),
    Column("return_ms", "at return ms", right=True),
    Column("lost", right=True),
    Column("verdict"),
]
_NAME_COLUMNS = [
    Column("name"),
    Column("cloud", "asked in"),
    Column("client", wide=True),
    Column("server", wide=True),
    Column("asked", wide=True, right=True),
    Column("gone_ms", "out after ms", right=True),
    Column("gone_limit_ms", "at most", right=True),
    Column("back_ms", "back after ms", right=True),
    Column("outage_ms", right=True),
    Column("answers", "answer before → during"),
    Column("after", wide=True),
    Column("failures", wide=True),
    Column("verdict"),
]
_OF_THE_DEAD = {"gone_ms", "gone_limit_ms", "back_ms", "failed_after"}
"""Columns that mean nothing where no address died."""
_REQUEST_COLUMNS = [
    Column("name", "requests to"),
    Column("client", "from"),
    Column("sent", right=True),
    Column("failed", right=True),
    Column("failed_after", "after that", right=True),
    Column("last_failure_ms", "last failed at ms", right=True),
    Column("stretch_ms", "in a row ms", right=True),
    Column("slowest_ms", wide=True, right=True),
    Column("failures", wide=True),
    Column("answered", "answered before → during → after in"),
    Column("verdict"),
]
_RESULT_COLUMNS = [
    Column("id"),
    Column("verdict"),
    Column("options"),
    Column("worst_ms", right=True),
    Column("objective_ms", wide=True, right=True),
    Column("duration_s", right=True),
    Column("reason"),
]


def show_result(result: DrillResult, output: Format) -> None:
    """One drill: its flows, what came of them by direction and provider, in wide its phases, the verdict."""
    from netctl.drill.summary import by_provider

    groups = by_provider(result.flows)
    named = [{**_plain(group), "direction": _words(group.direction)} for group in groups]
    phases = [
        {"phase": p.phase, "at_s": round(p.at_ms / 1000, 2), "took_s": round(p.took_ms / 1000, 2)}
        for p in result.phases
    ]
    flows = result.flows if output is Format.wide else _flow_rows(result, groups)
    views = [
        View(flows, _FLOW_COLUMNS) if result.flows else None,
        View(named, _GROUP_COLUMNS) if groups else None,
        View([_name_row(name) for name in result.names], _columns(result, _NAME_COLUMNS)) if result.names else None,
        View([_request_row(one) for one in result.requests], _columns(result, _REQUEST_COLUMNS))
        if result.requests
        else None,
        View(phases, ["phase", Column("at_s", right=True), Column("took_s", right=True)])
        if output is Format.wide and result.verdict != "refused"
        else None,
        View([], [], note="\n".join([*result.notes, *_control(result), _summary(result)])),
    ]
    emit_views(result, [view for view in views if view is not None], output)


def show_results(results: Sequence[DrillResult], output: Format) -> None:
    """Each drill in one line."""
    rows = [
        {
            "id": result.id,
            "verdict": result.verdict,
            "options": _options(result.options),
            "worst_ms": _worst_ms(result),
            "objective_ms": result.objective_ms,
            "duration_s": result.duration_s,
            "reason": result.reason,
        }
        for result in results
    ]
    emit_views(results, [View(rows, _RESULT_COLUMNS)], output)


def _flow_rows(result: DrillResult, groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Each flow that was interrupted; of those that were not, one line for each direction and provider."""
    from netctl.drill.summary import touched

    rows = [_plain(flow) for flow in result.flows if touched(flow)]
    for group in groups:
        if untouched := group.flows - group.hit:
            name = f"{group.direction}: {untouched} {'others' if group.hit else 'flows'}"
            nothing = {"fault_ms": 0.0, "return_ms": 0.0, "lost": 0}
            rows.append({"flow": name, "via": group.via, **nothing, "verdict": "passed"})
    return rows


def _columns(result: DrillResult, columns: Sequence[Column]) -> list[Column]:
    died = any(one.failed_after is not None for one in result.requests)
    return [column for column in columns if died or column.key not in _OF_THE_DEAD]


def _name_row(name: NameResult) -> dict[str, Any]:
    answers = " → ".join(_addresses(part) for part in (name.before, name.during))
    return {**_plain(name), "answers": answers, "after": _addresses(name.after), "failures": _counts(name.failures)}


def _request_row(one: RequestsResult) -> dict[str, Any]:
    answered = " → ".join(" and ".join(part) or "none" for part in (one.before, one.during, one.after))
    return {**_plain(one), "answered": answered, "failures": _counts(one.failures)}


def _addresses(found: Sequence[str]) -> str:
    return ", ".join(found) or "none"


def _counts(found: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in found.items())


def _control(result: DrillResult) -> list[str]:
    """What the controllers did, a line each."""
    control = result.control
    if control is None:
        return []
    lines = [
        f"cluster {cluster}: {control.led_before.get(cluster, 'nobody')} led it, "
        + ("nobody else since" if led_ms is None else f"another one after {led_ms:g} ms")
        + f", now {control.led_after.get(cluster, 'nobody')}"
        for cluster, led_ms in control.led_again_ms.items()
    ]
    lines += [f"hold of {service}: {reason}" for service, reason in control.holds.items()]
    if control.holds:
        lines.append(f"holds left: {', '.join(control.holds_left) or 'none'}")
    return lines


def _worst_ms(result: DrillResult) -> float | None:
    """The worst outage of a flow; where no flow was measured: when the last dead address or failure was seen."""
    gone = [name.gone_ms for name in result.names if name.gone_ms is not None and not result.worst_ms]
    failing = [one.stretch_ms for one in result.requests if not result.worst_ms]
    return max([*result.worst_ms.values(), *gone, *failing], default=None)


def _by_name(result: DrillResult) -> list[str]:
    """Names and requests in words."""
    gone = [(name.gone_limit_ms, name.gone_ms) for name in result.names if name.gone_ms is not None]
    own = [gone_ms for limit_ms, gone_ms in gone if limit_ms == result.objective_ms]
    far = [gone_ms for limit_ms, gone_ms in gone if limit_ms != result.objective_ms]
    words = [f"out of the answers after {max(own):g} ms"] if own else []
    words += [f"of those that other clouds keep for a second after {max(far):g} ms"] if far else []
    failed, sent = sum(one.failed for one in result.requests), sum(one.sent for one in result.requests)
    after = sum(one.failed_after or 0 for one in result.requests)
    if sent:
        told = f"{failed or 'none'} of {sent} requests by name failed"
        words.append(told + (f", {after or 'none'} after that" if failed and gone else ""))
    return words


def _summary(result: DrillResult) -> str:
    worst = max(result.worst_ms.values(), default=None)
    options = f" ({_options(result.options)})" if result.options else ""
    words = f"{result.drill}{options} in lab {result.lab}: {result.verdict.replace('_', ' ')}"
    if worst is not None:
        words += f"; worst outage {worst:g} ms"
    named = f"; {', '.join(told)}" if (told := _by_name(result)) else ""
    if worst is None:
        words, named = words + named, ""
    probe = result.probe or result.names_probe
    measured = [f"objective {result.objective_ms:g} ms"] if probe is not None and result.objective_ms else []
    if probe is not None:
        measured.append(f"resolution {probe.interval_ms:g} ms")
    if measured:
        words += f" ({', '.join(measured)})"
    words += named
    if result.reason:
        words += f"; {result.reason}"
    return words + (f"\n  hint: {result.hint}" if result.hint and result.verdict != "passed" else "")


def _options(options: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items())


def _words(direction: str) -> str:
    return direction.replace("_", " ")


def _plain(row: Any) -> dict[str, Any]:
    import msgspec

    return msgspec.structs.asdict(row)
