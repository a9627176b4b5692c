"""Keys and certificates: made once, renewed in time, private."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from components.local.servers import certificates
from components.local.servers.errors import ServerFault


@pytest.fixture
def stack_folder(tmp_path: Path) -> Path:
    certificates.ensure_authority(tmp_path)
    certificates.ensure_region_certificate(tmp_path, "us-east")
    return tmp_path


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_a_region_proves_itself_by_its_own_names(stack_folder: Path) -> None:
    key_file, certificate_file, trust_file = certificates.region_files(stack_folder, "us-east")
    certificate, authority = read(certificate_file), read(trust_file)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [
        "*.us-east.meridian.internal",
        "gateway.us-east.meridian.internal",
    ]
    uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(uses) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    certificate.verify_directly_issued_by(authority)
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    now = datetime.now(UTC)
    assert timedelta(days=360) < certificate.not_valid_after_utc - now <= timedelta(days=365)
    assert authority.not_valid_after_utc - now > timedelta(days=3600)
    assert key_file.stat().st_mode & 0o077 == 0


def test_nothing_is_made_twice(stack_folder: Path) -> None:
    files = [*certificates.authority_files(stack_folder), *certificates.region_files(stack_folder, "us-east")]
    before = [path.read_bytes() for path in files]
    certificates.ensure_authority(stack_folder)
    certificates.ensure_region_certificate(stack_folder, "us-east")
    assert [path.read_bytes() for path in files] == before


def test_a_certificate_is_renewed_in_time_for_the_same_key(stack_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key_file, certificate_file, _ = certificates.region_files(stack_folder, "us-east")
    key, certificate = key_file.read_bytes(), read(certificate_file)
    monkeypatch.setattr(certificates, "RENEW_BEFORE", timedelta(days=366))
    assert not certificates.has_region_certificate(stack_folder, "us-east")
    certificates.ensure_region_certificate(stack_folder, "us-east")
    assert key_file.read_bytes() == key
    assert read(certificate_file).serial_number != certificate.serial_number


@pytest.mark.parametrize("number", [0, 1, 2])
def test_what_is_missing_is_made_again(stack_folder: Path, number: int) -> None:
    certificates.region_files(stack_folder, "us-east")[number].unlink()
    assert not certificates.has_region_certificate(stack_folder, "us-east")
    certificates.ensure_region_certificate(stack_folder, "us-east")
    assert certificates.has_region_certificate(stack_folder, "us-east")


def test_an_authority_without_its_key_is_not_replaced(stack_folder: Path) -> None:
    certificates.authority_files(stack_folder)[0].unlink()
    with pytest.raises(ServerFault, match=r"ca\.key is missing"):
        certificates.ensure_authority(stack_folder)


def test_an_authority_that_was_cut_short_is_completed(stack_folder: Path) -> None:
    certificates.authority_files(stack_folder)[1].unlink()
    certificates.ensure_authority(stack_folder)
    assert certificates.has_authority(stack_folder)
    assert not certificates.has_region_certificate(stack_folder, "us-east")
    certificates.ensure_region_certificate(stack_folder, "us-east")
    assert certificates.has_region_certificate(stack_folder, "us-east")


def test_a_damaged_key_is_named(stack_folder: Path) -> None:
    key_file = certificates.region_files(stack_folder, "us-east")[0]
    key_file.write_text("nonsense")
    with pytest.raises(ServerFault, match=r"tls\.key is damaged"):
        certificates.ensure_region_certificate(stack_folder, "us-east")
