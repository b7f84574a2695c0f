"""The lab's certificates: one CA, what it signs, and the key pair that signs Kubernetes' ServiceAccount tokens.

Everything is ECDSA P-256. A certificate may be shown by servers and clients alike. ``role`` becomes the subject's OU:
netctl's programs accept only the role that they expect at the other end (``netctl.ipc.tls``). For Kubernetes ``cn`` is
the user and ``org`` the group.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from netctl.model.errors import EnvironmentLackError

_BACKDATED = timedelta(hours=1)
"""Clocks differ, and machines are set back."""
_LIFETIME = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Issued:
    """PEM files, mode 0600: the certificate and its private key; for a ServiceAccount's pair the public key."""

    cert_file: str
    key_file: str


class Pki:
    """Certificates in one folder (made when missing, mode 0700): ``ca.crt``, ``NAME.crt``, ``NAME.key``.

    A CA that is there already is used again. Raises EnvironmentLackError when the folder cannot be used.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise EnvironmentLackError(f"cannot make {self.folder}: {error.strerror}", "who may write there?") from None
        self._ca: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None

    @property
    def ca_file(self) -> str:
        """The CA's certificate; ``ca()`` makes it."""
        return str(self.folder / "ca.crt")

    def ca(self) -> Issued:
        """Make the CA, unless it is there."""
        self._authority()
        return Issued(self.ca_file, str(self.folder / "ca.key"))

    def issue(
        self,
        name: str,
        ips: Sequence[str] = (),
        dns: Sequence[str] = (),
        *,
        cn: str = "",
        org: str = "",
        role: str = "",
        cloud: str = "",
        expired: bool = False,
    ) -> Issued:
        """A certificate that the CA has signed; replaces what ``name`` had. ``cn`` is ``name`` unless given.

        ``expired``: it has been out of date for a minute (for tests of bad input).
        """
        authority, signer = self._authority()
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        end = now - timedelta(minutes=1) if expired else now + _LIFETIME
        names = [*(x509.DNSName(one) for one in dns), *(x509.IPAddress(ip_address(one)) for one in ips)]
        builder = _builder(_subject(cn or name, org, role, cloud), authority.subject, key, now - _BACKDATED, end)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        return self._save(name, _key_usage(builder, signs=False).sign(signer, hashes.SHA256()), key)

    def service_account(self) -> Issued:
        """The key pair for ServiceAccount tokens (``sa.pub``, ``sa.key``), unless it is there."""
        pair = Issued(str(self.folder / "sa.pub"), str(self.folder / "sa.key"))
        if not Path(pair.cert_file).exists():
            key = ec.generate_private_key(ec.SECP256R1())
            public = key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            self._write("sa.key", _pem(key))
            self._write("sa.pub", public)
        return pair

    def _authority(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        if self._ca is None:
            self._ca = self._read_ca() if Path(self.ca_file).exists() else self._make_ca()
        return self._ca

    def _read_ca(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        try:
            certificate = x509.load_pem_x509_certificate(Path(self.ca_file).read_bytes())
            key = serialization.load_pem_private_key((self.folder / "ca.key").read_bytes(), None)
        except (OSError, ValueError) as error:
            raise EnvironmentLackError(f"{self.folder}: its CA cannot be read: {error}", "remove the folder") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise EnvironmentLackError(f"{self.folder}: ca.key is not the key of ca.crt", "remove the folder")
        return certificate, key

    def _make_ca(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        # A name of its own: two CAs of one name and different keys make errors that nobody understands.
        subject = _subject(f"netctl lab CA {now:%Y-%m-%dT%H:%M:%S.%f}")
        builder = _builder(subject, subject, key, now - _BACKDATED, now + _LIFETIME)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        certificate = _key_usage(builder, signs=True).sign(key, hashes.SHA256())
        self._save("ca", certificate, key)
        return certificate, key

    def _save(self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Issued:
        # The key first: who finds a certificate finds its key too.
        key_file = self._write(f"{name}.key", _pem(key))
        return Issued(self._write(f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM)), key_file)

    def _write(self, name: str, data: bytes) -> str:
        path = self.folder / name
        fresh = self.folder / f".{name}.new"
        try:
            fresh.unlink(missing_ok=True)
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(data)
            fresh.replace(path)
        except OSError as error:
            raise EnvironmentLackError(f"cannot write {path}: {error.strerror}", "check free space") from None
        return str(path)


def _subject(cn: str, org: str = "", role: str = "", cloud: str = "") -> x509.Name:
    parts = [
        (NameOID.ORGANIZATION_NAME, org),
        (NameOID.LOCALITY_NAME, cloud),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, role),
        (NameOID.COMMON_NAME, cn),
    ]
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts if value])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(builder: x509.CertificateBuilder, *, signs: bool) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
    return builder.add_extension(usage, critical=True)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
