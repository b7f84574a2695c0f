"""What the names probe is told and what it answers, as msgspec structs (JSON on the wire; one document a line).

It prints ``netctl.probe.spec.Status`` five times a second (a lookup or visit that failed is one that is lost).
"""

from __future__ import annotations

from msgspec import Struct

SECOND_US = 1_000_000


class Lookup(Struct, frozen=True):
    """Ask ``server`` (an address) for the A records of ``host``, from ``node``'s network namespace."""

    name: str
    node: str
    server: str
    host: str
    port: int = 53


class Visit(Struct, frozen=True):
    """GET http://HOST:PORT/ from ``node``, ``host`` being resolved by ``server`` each time."""

    name: str
    node: str
    server: str
    host: str
    port: int = 80
    server_port: int = 53


class NamesSpec(Struct, frozen=True, tag="names"):
    """Each lookup and each visit begins anew every interval, until standard input ends; ``timeout_us`` bounds each."""

    lookups: tuple[Lookup, ...]
    visits: tuple[Visit, ...]
    lookup_interval_us: int = 20_000
    visit_interval_us: int = 20_000
    timeout_us: int = SECOND_US


class Answer(Struct, frozen=True):
    """How a lookup ended: the answer's ``rcode`` (NOERROR, NXDOMAIN, SERVFAIL, …), ``timeout``, ``refused`` (nobody
    listens there) or ``unreachable``."""

    rcode: str
    addresses: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        return self.rcode == "NOERROR" and bool(self.addresses)


class Ending(Struct, frozen=True):
    """How a visit ended. ``what``: ``ok``, else why it failed: ``timeout``, ``refused``, ``reset``, ``unreachable``,
    ``closed`` (in the middle of the answer), ``HTTP N``, or what the name server said (``NXDOMAIN``, ``no address``,
    ``no answer``).

    ``address``: the one that was chosen (empty: it did not come to that). ``who``, ``cloud``: as the page says.
    """

    what: str
    address: str = ""
    who: str = ""
    cloud: str = ""

    @property
    def ok(self) -> bool:
        return self.what == "ok"


class Series(Struct, frozen=True):
    """Three columns, a row for each lookup or visit, in the order in which they began.

    ``begun_us`` counts from the report's ``started_ns``; ``ended`` is an index into the table of endings beside it.
    """

    begun_us: tuple[int, ...]
    took_us: tuple[int, ...]
    ended: tuple[int, ...]


class LookupReport(Struct, frozen=True):
    name: str
    answers: tuple[Answer, ...]
    series: Series


class VisitReport(Struct, frozen=True):
    name: str
    endings: tuple[Ending, ...]
    series: Series


class NamesReport(Struct, frozen=True, tag="names_report"):
    """Printed once, last. Times are CLOCK_MONOTONIC nanoseconds."""

    started_ns: int
    ended_ns: int
    lookup_interval_us: int
    visit_interval_us: int
    lookups: tuple[LookupReport, ...]
    visits: tuple[VisitReport, ...]
    cpu_share: float = 0.0
