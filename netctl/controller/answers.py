"""Answers to what the command line asks over the controller's socket."""

from __future__ import annotations

from collections.abc import Sequence

from netctl.controller.decide import Controller
from netctl.controller.events import Effect
from netctl.controller.explain import explain
from netctl.controller.views import holds, samples, status
from netctl.ipc.io import Server
from netctl.ipc.messages import Reply, Request
from netctl.model.clock import Clock
from netctl.model.errors import UsageError
from netctl.telemetry.metrics import render

VERBS = ("status", "holds", "approve", "explain", "metrics")


class Answers:
    """Knows everything that may be shown. Only ``approve`` changes something, and says by effects what follows."""

    def __init__(self, controller: Controller, clock: Clock, pid: int, servers: Sequence[Server]) -> None:
        self._controller = controller
        self._clock = clock
        self._pid = pid
        self._servers = servers

    def answer(self, request: Request) -> tuple[Reply, list[Effect]]:
        """Raises UsageError for other verbs and unknown services or holds, RefusedError where another one leads."""
        now_ns = self._clock.monotonic_ns()
        match request.verb:
            case "status":
                body = status(self._controller, now_ns)
                return Reply(body | {"pid": self._pid, "clients_refused": self._refused()}), []
            case "holds":
                return Reply({"holds": holds(self._controller)}), []
            case "approve":
                hold, effects = self._controller.approve(request.argument, now_ns)
                return Reply({"approved": hold}), effects
            case "explain":
                return Reply(explain(self._controller, request.argument)), []
            case "metrics":
                return Reply({"text": self.metrics()}), []
        raise UsageError(f"the controller does not know {request.verb!r}", f"it knows {', '.join(VERBS)}")

    def metrics(self) -> str:
        return render(samples(self._controller, self._clock.monotonic_ns()))

    def _refused(self) -> dict[str, int]:
        """Clients and checkers that did not speak as they should, by reason."""
        counts: dict[str, int] = {}
        for server in self._servers:
            for reason, number in server.refused.items():
                counts[reason] = counts.get(reason, 0) + number
        return counts
