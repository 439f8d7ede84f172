"""A mail server whose certificate does not hold gets no mail and no password, and the status page says so."""

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kb import mail
from kb.config import Settings, load
from kb.errors import WrongSettings
from kb.mail import Mail, NotSent
from tests.content.test_mail_digest import Box

LETTER = Mail("rep@yunshu.example", "Notices", "A version waits for your verdict.")


@dataclass
class Authority:
    """Signs certificates; whoever trusts `file` trusts them."""

    folder: Path

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        self.file = self._write("authority", self._certificate(self.key, self.name, None, 0))

    def _certificate(
        self, key: ec.EllipticCurvePrivateKey, subject: x509.Name, host: str | None, days_old: int
    ) -> x509.Certificate:
        born = datetime.now(UTC) - timedelta(days=days_old + 1)
        built = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(born)
            .not_valid_after(born + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if host is not None:
            kind = x509.IPAddress(ip_address(host)) if host[0].isdecimal() else x509.DNSName(host)
            built = built.add_extension(x509.SubjectAlternativeName([kind]), critical=False)
        return built.sign(self.key, hashes.SHA256())

    def _write(self, name: str, certificate: x509.Certificate) -> Path:
        file = self.folder / f"{name}.pem"
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return file

    def context(self, host: str, days_old: int = 0) -> ssl.SSLContext:
        """What a server of that name presents; beyond 29 days old it has run out."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        certificate = self._write("server", self._certificate(key, subject, host, days_old))
        private = self.folder / "server.key"
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, private)
        return context


class Server:
    """A mail server that speaks TLS from the first byte, or after STARTTLS."""

    def __init__(self, context: ssl.SSLContext, host: str, *, starts_tls: bool) -> None:
        self.box = Box()
        with socket.socket() as probe:
            probe.bind((host, 0))
            port = probe.getsockname()[1]
        how = {"tls_context": context} if starts_tls else {"ssl_context": context}
        self.controller = Controller(self.box, hostname=host, port=port, **how)  # type: ignore[arg-type]
        self.controller.start()
        self.url = f"{'smtp' if starts_tls else 'smtps'}://{host}:{port}"

    def close(self) -> None:
        self.controller.stop()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture(params=["smtps", "starttls"])
def starts_tls(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "starttls")


HOST = "127.0.0.2"
"""Not one that is let off encryption, as this very machine is under its usual names."""


def settings(url: str, tmp_path: Path) -> Settings:
    return load(
        {"KB_SMTP_URL": url, "KB_MAIL_FROM": "kb@yunshu.example", "KB_BASE_URL": "https://kb.example"},
        data_dir=tmp_path,
    )


@pytest.fixture
def trusting(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    """This process trusts the authority, as an operator's machine trusts the usual ones."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    yield authority


def test_A53_a_good_certificate_is_taken(trusting: Authority, starts_tls: bool, tmp_path: Path) -> None:
    server = Server(trusting.context(HOST), HOST, starts_tls=starts_tls)
    try:
        mail.send(settings(server.url, tmp_path), LETTER)
        assert len(server.box.mails) == 1
        assert "takes mail" in mail.check(settings(server.url, tmp_path))
    finally:
        server.close()


@pytest.mark.parametrize("wrong", ["self-signed", "wrong-host", "expired"])
def test_A53_any_other_gets_nothing_and_the_status_says_so(
    authority: Authority,
    starts_tls: bool,
    wrong: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if wrong != "self-signed":  # otherwise nobody trusts who signed it
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    context = authority.context("127.0.0.3" if wrong == "wrong-host" else HOST, 90 if wrong == "expired" else 0)
    server = Server(context, HOST, starts_tls=starts_tls)
    try:
        with pytest.raises(NotSent, match="CERTIFICATE_VERIFY_FAILED"):
            mail.send(settings(server.url, tmp_path), LETTER)
        with pytest.raises(WrongSettings, match="CERTIFICATE_VERIFY_FAILED"):
            mail.check(settings(server.url, tmp_path))
        assert server.box.mails == []
    finally:
        server.close()
