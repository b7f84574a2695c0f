"""Asks one name server one question, as a client does: UDP, then TCP when the answer is truncated."""

from __future__ import annotations

from dataclasses import dataclass

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from netctl.model.errors import UsageError

NO_ANSWER = "no answer"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a name server said. ``rcode`` is NOERROR, NXDOMAIN, SERVFAIL, REFUSED, … or ``no answer``.

    ``data`` are the records of the type that was asked for, as text, sorted: addresses for A and AAAA. ``ttl_s`` is
    their TTL; of a negative answer how long it may be kept (RFC 2308); else None. ``detail``: why there is no answer.
    """

    rcode: str
    data: tuple[str, ...] = ()
    ttl_s: int | None = None
    authoritative: bool = False
    over_tcp: bool = False
    detail: str = ""


async def ask(server: str, name: str, kind: str = "A", timeout_s: float = 1.0, port: int = 53) -> Answer:
    """Ask ``server`` (an address) for ``name``; the whole is bounded by ``timeout_s``.

    Raises UsageError for what is no name or no record type. That nobody answers is an Answer, not an error.
    """
    query = _query(name, kind)
    try:
        reply, over_tcp = await dns.asyncquery.udp_with_fallback(query, server, timeout=timeout_s, port=port)
    except dns.exception.Timeout:
        return Answer(NO_ANSWER, detail=f"nothing within {timeout_s:g} s")
    except OSError as error:
        return Answer(NO_ANSWER, detail=error.strerror or str(error))
    except (dns.exception.DNSException, EOFError) as error:
        return Answer(NO_ANSWER, detail=f"not understood: {error or type(error).__name__}")
    return _answer(query, reply, over_tcp)


def _query(name: str, kind: str) -> dns.message.QueryMessage:
    try:
        return dns.message.make_query(dns.name.from_text(name), dns.rdatatype.from_text(kind), use_edns=0, payload=1232)
    except (dns.exception.DNSException, ValueError) as error:
        raise UsageError(f"{name!r} ({kind}) cannot be asked for: {error}", "a host name and A, AAAA or SRV") from None


def _answer(query: dns.message.Message, reply: dns.message.Message, over_tcp: bool) -> Answer:
    wanted = query.question[0].rdtype
    found = [rrset for rrset in reply.answer if rrset.rdtype == wanted]
    ttls = [rrset.ttl for rrset in found]
    if not found:
        ttls = [min(r.ttl, r[0].minimum) for r in reply.authority if r.rdtype == dns.rdatatype.SOA]
    return Answer(
        dns.rcode.to_text(reply.rcode()),
        tuple(sorted(record.to_text() for rrset in found for record in rrset)),
        min(ttls, default=None),
        bool(reply.flags & dns.flags.AA),
        over_tcp,
    )
