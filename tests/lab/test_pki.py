"""The lab's certificates, judged by OpenSSL."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from netctl.lab.pki import Pki
from netctl.model.errors import EnvironmentLackError


def openssl(*arguments: str) -> str:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path / "pki")


@pytest.mark.parametrize("purpose", ["sslserver", "sslclient"])
def test_a_certificate_is_good_for_servers_and_clients(pki: Pki, purpose: str) -> None:
    issued = pki.issue("kube-apiserver", ips=["10.1.4.10", "fd00::1"], dns=["kubernetes.default.svc"])
    said = openssl("verify", "-x509_strict", "-purpose", purpose, "-CAfile", pki.ca_file, issued.cert_file)
    assert said == f"{issued.cert_file}: OK\n"


@pytest.mark.parametrize("name", ["-verify_ip 10.1.4.10", "-verify_ip fd00::1", "-verify_hostname kubernetes"])
def test_it_names_the_addresses_and_names_it_was_issued_for(pki: Pki, name: str) -> None:
    issued = pki.issue("server", ips=["10.1.4.10", "fd00::1"], dns=["kubernetes"])
    assert "OK" in openssl("verify", *name.split(), "-CAfile", pki.ca_file, issued.cert_file)
    other = pki.issue("other", ips=["10.1.4.11"])
    assert "mismatch" in openssl("verify", *name.split(), "-CAfile", pki.ca_file, other.cert_file)


def test_the_subject_says_user_group_and_role(pki: Pki) -> None:
    issued = pki.issue("admin", cn="kubernetes-admin", org="system:masters", role="operator")
    subject = openssl("x509", "-noout", "-subject", "-in", issued.cert_file)
    assert subject.strip() == "subject=O = system:masters, OU = operator, CN = kubernetes-admin"
    assert "CN = plain" in openssl("x509", "-noout", "-subject", "-in", pki.issue("plain").cert_file)


def test_an_expired_one_is_expired(pki: Pki) -> None:
    issued = pki.issue("old", expired=True)
    assert "certificate has expired" in openssl("verify", "-CAfile", pki.ca_file, issued.cert_file)


def test_a_certificate_cannot_sign_others(pki: Pki) -> None:
    assert "CA:FALSE" in openssl("x509", "-noout", "-text", "-in", pki.issue("leaf").cert_file)


def test_a_second_start_uses_the_same_ca(pki: Pki) -> None:
    first = pki.issue("one")
    again = Pki(pki.folder)
    second = again.issue("two")
    for issued in (first, second):
        assert "OK" in openssl("verify", "-CAfile", again.ca_file, issued.cert_file)


def test_another_folder_is_another_ca(pki: Pki, tmp_path: Path) -> None:
    other = Pki(tmp_path / "other")
    other.ca()
    assert "OK" not in openssl("verify", "-CAfile", other.ca_file, pki.issue("one").cert_file)


def test_everything_is_readable_by_its_owner_alone(pki: Pki) -> None:
    pki.issue("one")
    pki.service_account()
    assert {path.name for path in pki.folder.iterdir()} == {
        *("ca.crt", "ca.key", "one.crt", "one.key", "sa.pub", "sa.key"),
    }
    assert {path.stat().st_mode & 0o777 for path in pki.folder.iterdir()} == {0o600}
    assert pki.folder.stat().st_mode & 0o777 == 0o700


def test_the_service_account_pair_belongs_together_and_stays(pki: Pki) -> None:
    pair = pki.service_account()
    public = Path(pair.cert_file).read_text()
    assert openssl("pkey", "-in", pair.key_file, "-pubout") == public
    assert Path(Pki(pki.folder).service_account().cert_file).read_text() == public


def test_a_spoilt_ca_is_named(pki: Pki) -> None:
    pki.ca()
    (pki.folder / "ca.key").write_text("nothing")
    with pytest.raises(EnvironmentLackError, match="CA cannot be read"):
        Pki(pki.folder).issue("one")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentLackError, match="file/pki"):
        Pki(tmp_path / "file" / "pki")
