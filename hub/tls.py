"""A self-signed certificate for sites without a certificate authority of their own."""

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hub.domain.errors import Invalid
from hub.secrets import write_private
from hub.settings import Settings

VALID_DAYS: Final = 825  # browsers refuse more
RENEW_DAYS: Final = 30


@dataclass(frozen=True)
class Tls:
    """Certificate chain and key as files, and what a person compares."""

    certificate: Path
    key: Path
    fingerprint: str  # SHA-256, colons


def load(certificate: Path, key: Path) -> Tls:
    """Check that the two files are a pair. Raises Invalid saying which is wrong."""
    for path in (certificate, key):
        if not path.is_file():
            raise Invalid("tls.missing", f"TLS file {path} is not there")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        raise Invalid("tls.invalid", f"{certificate} and {key} are no pair: {error.reason or error}") from None
    return Tls(certificate, key, _fingerprint(certificate))


def self_signed(settings: Settings) -> Tls:
    """Return the installation's own certificate; make it at the first call, anew 30 days before it ends."""
    folder = settings.data / "tls"
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    names = tuple(dict.fromkeys((settings.host, *chain(*settings.addresses.values()), "127.0.0.1", "::1", "localhost")))
    if not (certificate.exists() and key.exists() and _serves(certificate, names)):
        _make(certificate, key, names)
    return Tls(certificate, key, _fingerprint(certificate))


def _serves(path: Path, names: tuple[str, ...]) -> bool:
    found = x509.load_pem_x509_certificate(path.read_bytes())
    ends = found.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    alternative = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return ends.days > RENEW_DAYS and set(_general_names(names)) <= set(alternative)


def _general_names(names: tuple[str, ...]) -> list[x509.GeneralName]:
    result: list[x509.GeneralName] = []
    for name in names:
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            result.append(x509.DNSName(name))
        else:
            if not address.is_unspecified:
                result.append(x509.IPAddress(address))
    return result


def _make(certificate: Path, key: Path, names: tuple[str, ...]) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "SharpEyes dispatch hub")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(_general_names(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private, hashes.SHA256())
    )
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    write_private(key, private.private_bytes(encoding, form, serialization.NoEncryption()))
    write_private(certificate, built.public_bytes(encoding))


def _fingerprint(path: Path) -> str:
    return x509.load_pem_x509_certificate(path.read_bytes()).fingerprint(hashes.SHA256()).hex(":").upper()
