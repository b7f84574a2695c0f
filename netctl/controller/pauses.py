"""When to try again: a whole cluster that does not answer, and a single service whose write was refused."""

from __future__ import annotations

from netctl.model.clock import MS, SECOND
from netctl.model.kube import (
    BusyError,
    DeniedError,
    InvalidError,
    KubeError,
    UnreachableError,
)

FIRST_NS = 50 * MS
REFUSED_NS = 30 * SECOND
"""What the API server refuses for what it is, is sent again so late (or when something about it changes)."""
_CAP_NS = {UnreachableError: SECOND, BusyError: SECOND, DeniedError: 5 * SECOND}
"""How long a cluster rests at most. Short where it may be back at any moment: names must not wait for us."""


class Pause:
    """A cluster's rest after errors that concern all writes; doubled each time, ended by the first success."""

    def __init__(self) -> None:
        self.until_ns = 0
        self.reason = ""
        self._failures = 0

    def failed(self, error: KubeError, now_ns: int) -> None:
        self.reason = str(error)
        if isinstance(error, BusyError) and error.retry_after_s > 0:
            self.until_ns = max(self.until_ns, now_ns + int(error.retry_after_s * SECOND))
        if now_ns < self.until_ns:
            return  # several requests that were under way together fail together: that is one failure
        cap_ns = next((cap for kind, cap in _CAP_NS.items() if isinstance(error, kind)), SECOND)
        self.until_ns = now_ns + min(FIRST_NS << min(self._failures, 16), cap_ns)
        self._failures += 1

    def succeeded(self) -> None:
        self.until_ns = self._failures = 0
        self.reason = ""


class Retries:
    """A service's own back-off: conflicts that do not end, refusals."""

    def __init__(self) -> None:
        self._attempts: dict[str, int] = {}

    def failed(self, service: str, error: KubeError) -> int:
        """How long to wait, in nanoseconds. The first two conflicts cost nothing: the object is read again and done."""
        attempts = self._attempts[service] = self._attempts.get(service, 0) + 1
        if isinstance(error, InvalidError):
            return REFUSED_NS
        if isinstance(error, DeniedError):
            return min(SECOND << min(attempts - 1, 10), REFUSED_NS)
        return 0 if attempts <= 2 else min(FIRST_NS << min(attempts - 3, 16), REFUSED_NS)

    def succeeded(self, service: str) -> None:
        self._attempts.pop(service, None)
