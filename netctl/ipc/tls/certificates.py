"""Addresses, the role in a certificate, and what went wrong with one, in words; no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from netctl.model.controller import TlsSettings

WELCOME = b"netctl 1\n"
"""What the listening end sends when it has accepted the other's certificate."""
REFUSED = b"refused "
"""What it sends else, with the reason and a newline."""
LONGEST_LINE = 256


def split_address(address: str) -> tuple[str, int]:
    """``HOST:PORT`` or ``[IPV6]:PORT``. Raises ValueError, in words."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{address!r} is not HOST:PORT")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], int(port)
    if ":" in host:
        raise ValueError(f"{address!r}: put brackets around an IPv6 address: [{host}]:{port}")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether nothing said to this host leaves the machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def role_of(certificate: Mapping[str, Any] | None) -> str:
    """The subject's OU of ``SSLSocket.getpeercert()``; empty without one."""
    return _subject(certificate, "organizationalUnitName")


def cloud_of(certificate: Mapping[str, Any] | None) -> str:
    """The subject's L: the cloud that its owner may speak for; empty without one."""
    return _subject(certificate, "localityName")


def name_of(certificate: Mapping[str, Any] | None) -> str:
    """The subject's CN, for messages."""
    return _subject(certificate, "commonName") or "without a name"


def _subject(certificate: Mapping[str, Any] | None, wanted: str) -> str:
    for names in (certificate or {}).get("subject", ()):
        for key, value in names:
            if key == wanted:
                return str(value)
    return ""


_VERIFY = {
    9: "the other end's certificate is not valid yet: compare the clocks of both machines",
    10: "the other end's certificate has expired: renew it there",
    18: "the other end's certificate is self-signed, not signed by the CA in {ca_file}",
    19: "the other end's certificate is not signed by the CA in {ca_file}: give both ends the same CA",
    20: "the other end's certificate is not signed by the CA in {ca_file}: give both ends the same CA",
    21: "the other end's certificate is not signed by the CA in {ca_file}: give both ends the same CA",
    26: "the other end's certificate is not meant for this use (extendedKeyUsage)",
}
"""X509_V_ERR_* (openssl/x509_vfy.h)."""
_ALERTS = {
    "CERTIFICATE_EXPIRED": "the other end says that the certificate in {cert_file} has expired: renew it",
    "UNKNOWN_CA": "the other end's CA has not signed the certificate in {cert_file}: give both ends the same CA",
    "BAD_CERTIFICATE": "the other end does not accept the certificate in {cert_file}",
    "CERTIFICATE_UNKNOWN": "the other end does not accept the certificate in {cert_file}",
    "CERTIFICATE_REQUIRED": "the other end wants a certificate",
    "HANDSHAKE_FAILURE": "the other end does not speak TLS 1.3 as netctl does",
    "PROTOCOL_VERSION": "the other end does not speak TLS 1.3",
    "WRONG_VERSION_NUMBER": "the other end does not speak TLS: set `tls` at both ends or at none",
    "RECORD_LAYER_FAILURE": "the other end does not speak TLS: set `tls` at both ends or at none",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the other end shows no certificate: set `tls` there",
    "HTTP_REQUEST": "the other end does not speak TLS: set `tls` at both ends or at none",
}


def explain_verification(code: int, message: str, tls: TlsSettings) -> str:
    """A failed verification (``SSLCertVerificationError.verify_code`` and ``verify_message``)."""
    words = _VERIFY.get(code, "the other end's certificate is refused: {message}")
    return words.format(message=message, ca_file=tls.ca_file, cert_file=tls.cert_file)


def explain_alert(reason: str, tls: TlsSettings) -> str:
    """Any other ``SSLError`` by its ``reason`` (``SSLV3_ALERT_CERTIFICATE_EXPIRED``)."""
    for known, words in _ALERTS.items():
        if known in reason:
            return words.format(ca_file=tls.ca_file, cert_file=tls.cert_file)
    return f"TLS: {reason.lower().replace('_', ' ') or 'failed'}"
