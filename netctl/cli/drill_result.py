"""A drill's result for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netctl.cli.output import Column, Format, View, emit_views

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netctl.drill.results import DrillResult
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
    """One drill: its flows, what came of them by direction and provider, its phases, the verdict."""
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
        View(phases, ["phase", Column("at_s", right=True), Column("took_s", right=True)]),
        View([], [], note="\n".join([*result.notes, _summary(result)])),
    ]
    emit_views(result, [view for view in views if view is not None], output)


def show_results(results: Sequence[DrillResult], output: Format) -> None:
    """Each drill in one line."""
    rows = [
        {
            "id": result.id,
            "verdict": result.verdict,
            "options": _options(result.options),
            "worst_ms": max(result.worst_ms.values(), default=None),
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


def _summary(result: DrillResult) -> str:
    worst = max(result.worst_ms.values(), default=None)
    options = f" ({_options(result.options)})" if result.options else ""
    words = f"{result.drill}{options} in lab {result.lab}: {result.verdict.replace('_', ' ')}"
    if worst is not None:
        words += f"; worst outage {worst:g} ms"
    measured = [f"objective {result.objective_ms:g} ms"] if worst is not None and result.objective_ms else []
    if result.probe is not None:
        measured.append(f"resolution {result.probe.interval_ms:g} ms")
    if measured:
        words += f" ({', '.join(measured)})"
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
