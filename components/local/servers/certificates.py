"""The stack's certificate authority and the certificate of each region, with which gateways prove themselves.

Keys are made once. A certificate that is about to run out is issued again for the same key, so there is never a moment
at which key and certificate on disk do not belong together.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from components.local.servers import paths
from components.local.servers.errors import ServerFault

AUTHORITY_LIFE = timedelta(days=3650)
REGION_LIFE = timedelta(days=365)
RENEW_BEFORE = timedelta(days=30)
CLOCK_SKEW = timedelta(hours=1)
DOMAIN = "meridian.internal"


def authority_files(stack_folder: Path) -> tuple[Path, Path]:
    folder = paths.secrets_folder(stack_folder)
    return folder / "ca.key", folder / "ca.crt"


def region_files(stack_folder: Path, region: str) -> tuple[Path, Path, Path]:
    folder = paths.keys_folder(stack_folder, region)
    return folder / "tls.key", folder / "tls.crt", folder / "ca.crt"


def ensure_authority(stack_folder: Path) -> None:
    key_file, certificate_file = authority_files(stack_folder)
    if has_authority(stack_folder):
        return
    if certificate_file.exists() and not key_file.exists():
        raise ServerFault(f"{key_file} is missing although {certificate_file} is there; restore it from a backup")
    key = _ensure_key(key_file)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Meridian {stack_folder.name}")])
    authority = (
        _certificate(name, name, key, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths.write_atomic(certificate_file, _pem(authority), durable=True)


def has_authority(stack_folder: Path) -> bool:
    key_file, certificate_file = authority_files(stack_folder)
    key, authority = _read_key(key_file), _read_certificate(certificate_file)
    return key is not None and authority is not None and _belongs(authority, key) and _is_fresh(authority)


def remove_authority(stack_folder: Path) -> None:
    for path in authority_files(stack_folder):
        path.unlink(missing_ok=True)


def ensure_region_certificate(stack_folder: Path, region: str) -> None:
    if has_region_certificate(stack_folder, region):
        return
    authority_key_file, authority_file = authority_files(stack_folder)
    authority_key, authority = _read_key(authority_key_file), _read_certificate(authority_file)
    if authority_key is None or authority is None:
        raise ServerFault(f"the stack's certificate authority, {authority_file} and its key, is missing or damaged")
    key_file, certificate_file, trust_file = region_files(stack_folder, region)
    key = _ensure_key(key_file)
    domain = f"{region}.{DOMAIN}"
    certificate = (
        _certificate(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"gateway.{domain}"[:64])]),
            authority.subject,
            key,
            REGION_LIFE,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs=False), critical=True)
        .add_extension(
            # Gateways are client and server to each other.
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(f"*.{domain}"), x509.DNSName(f"gateway.{domain}")]),
            critical=False,
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    paths.write_atomic(trust_file, _pem(authority), durable=True)
    paths.write_atomic(certificate_file, _pem(certificate), durable=True)


def has_region_certificate(stack_folder: Path, region: str) -> bool:
    """Whether it is there, belongs to its key and to the stack's authority, and lasts."""
    key_file, certificate_file, trust_file = region_files(stack_folder, region)
    key, certificate = _read_key(key_file), _read_certificate(certificate_file)
    authority, trusted = _read_certificate(authority_files(stack_folder)[1]), _read_certificate(trust_file)
    if key is None or certificate is None or authority is None or authority != trusted:
        return False
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return _belongs(certificate, key) and _is_fresh(certificate)


def remove_region_certificate(stack_folder: Path, region: str) -> None:
    for path in region_files(stack_folder, region):
        path.unlink(missing_ok=True)


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, life: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + life)
    )


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _ensure_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = _read_key(path)
    if key is None:
        key = ec.generate_private_key(ec.SECP256R1())
        content = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        paths.write_atomic(path, content, durable=True)
    return key


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        raise ServerFault(f"the key {path} is damaged; restore it, or delete it to have a new one") from None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _read_certificate(path: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _belongs(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bool:
    return certificate.public_key() == key.public_key()


def _is_fresh(certificate: x509.Certificate) -> bool:
    return certificate.not_valid_after_utc - datetime.now(UTC) > RENEW_BEFORE


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
