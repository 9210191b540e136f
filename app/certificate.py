"""The console's own certificate, for when console.toml gives none.

Made once in the state folder and kept, so that a browser that was told to trust it goes on doing so; made again when it has run out.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import socket
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from app.files import replace_file

VALID_FOR = dt.timedelta(days=3650)


def ensure_certificate(folder: Path, bind: str, now: dt.datetime) -> tuple[Path, Path, bool]:
    """Certificate and key in ``folder``, made if they are missing or out of date.  The last value says whether they are new.

    Raises OSError when the folder cannot be written.
    """
    cert, key = folder / "console.crt", folder / "console.key"
    if cert.exists() and key.exists() and _still_valid(cert, now):
        return cert, key, False
    private = ec.generate_private_key(ec.SECP256R1())
    certificate = _self_signed(private, names_of(bind), now)
    form = serialization.Encoding.PEM
    secret = private.private_bytes(form, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    replace_file(key, secret)
    replace_file(cert, certificate.public_bytes(form), 0o644)
    return cert, key, True


def fingerprint(cert: Path) -> str:
    """SHA-256 as browsers show it, ``AB:CD:…``, so that people can compare."""
    return x509.load_pem_x509_certificate(cert.read_bytes()).fingerprint(hashes.SHA256()).hex(":").upper()


def names_of(bind: str) -> list[x509.GeneralName]:
    """The names and addresses under which browsers reach this console."""
    host = socket.gethostname()
    names = list(dict.fromkeys([host, socket.getfqdn(), "localhost"]))
    addresses = ["127.0.0.1", "::1", bind]
    with contextlib.suppress(OSError):
        addresses += [str(found[4][0]) for found in socket.getaddrinfo(host, None)]
    found: list[x509.GeneralName] = [x509.DNSName(name) for name in names if name.isascii() and "." not in name[:1] and name]
    seen = set()
    for text in addresses:
        with contextlib.suppress(ValueError):
            address = ipaddress.ip_address(text)
            if not address.is_unspecified and address not in seen:
                seen.add(address)
                found.append(x509.IPAddress(address))
    return found


def _still_valid(cert: Path, now: dt.datetime) -> bool:
    try:
        return x509.load_pem_x509_certificate(cert.read_bytes()).not_valid_after_utc > now
    except ValueError:
        return False


def _self_signed(private: ec.EllipticCurvePrivateKey, names: list[x509.GeneralName], now: dt.datetime) -> x509.Certificate:
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Piranha console on {socket.gethostname()}"[:64])])
    return (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private, hashes.SHA256())
    )
