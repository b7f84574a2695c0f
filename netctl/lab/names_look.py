"""``python -m netctl.lab.names_look API DNS NAME…``: is the API server at that address ready, and what does the name
server say? Run on a node; prints JSON as ``names_steady.CloudLook`` takes it. An address ``-`` is not asked."""

from __future__ import annotations

import http.client
import json
import ssl
import sys

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

_WITHIN_S = 1.0
_KUBE_PORT = 6443


def api_state(address: str) -> str:
    """``ok``, or what is wrong. Whether it is up is no secret, so its certificate is not asked for here."""
    if address == "-":
        return "ok"
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    link = http.client.HTTPSConnection(address, _KUBE_PORT, timeout=_WITHIN_S, context=context)
    try:
        link.request("GET", "/readyz")
        answer = link.getresponse()
        return "ok" if answer.status == http.HTTPStatus.OK else f"not ready (HTTP {answer.status})"
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        link.close()


def resolve(server: str, name: str) -> tuple[list[str], str]:
    """(addresses, what is wrong)."""
    try:
        answer = dns.query.udp(dns.message.make_query(name, "A"), server, timeout=_WITHIN_S)
    except (OSError, dns.exception.DNSException) as error:
        return [], str(error) or type(error).__name__
    found = sorted(item.address for rrset in answer.answer if rrset.rdtype == dns.rdatatype.A for item in rrset)
    return found, "" if found else dns.rcode.to_text(answer.rcode())


def main(argv: list[str]) -> None:
    api, server, *names = argv
    heard = {name: resolve(server, name) for name in names}
    found = {
        "api": api_state(api),
        "answers": {name: addresses for name, (addresses, _) in heard.items() if addresses},
        "errors": {name: error for name, (_, error) in heard.items() if error},
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
