"""Secrets at rest, in the format of Pulumi's passphrase provider, so that the Pulumi CLI can read what we write.

The key is PBKDF2-SHA256 of the passphrase (1,000,000 rounds), the cipher AES-256-GCM (pulumi: sdk/go/common/resource/
config/crypt.go); a stack's salt also carries the word `pulumi` encrypted, which tells a wrong passphrase (pulumi:
pkg/secrets/passphrase/manager.go).
"""

from __future__ import annotations

import base64
import hashlib
import os
import threading

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.errors import StateError

ROUNDS = 1_000_000


_derived: dict[tuple[str, bytes], AESGCM] = {}
_deriving = threading.Lock()


def _cipher(passphrase: str, salt: bytes) -> AESGCM:
    """Kept, because deriving the key takes about a quarter of a second; whoever comes meanwhile waits for it."""
    with _deriving:
        found = _derived.get((passphrase, salt))
        if found is None:
            key = hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, ROUNDS, 32)
            found = _derived[passphrase, salt] = AESGCM(key)
        return found


def fresh_salt() -> bytes:
    return os.urandom(8)


class Crypter:
    """Encrypts and decrypts under one stack's salt."""

    def __init__(self, passphrase: str, salt: str | None = None) -> None:
        if salt is None:
            raw = fresh_salt()
            self._aead = _cipher(passphrase, raw)
            self.salt = f"v1:{base64.b64encode(raw).decode()}:{self.encrypt('pulumi')}"
            return
        parts = salt.split(":", 2)
        if len(parts) != 3 or parts[0] != "v1":
            raise StateError(f"the encryption salt {salt!r} is not one of Pulumi's passphrase provider (v1:…)")
        self._aead = _cipher(passphrase, base64.b64decode(parts[1]))
        self.salt = salt
        try:
            known = self.decrypt(parts[2])
        except StateError:
            known = ""
        if known != "pulumi":
            raise StateError("the passphrase does not fit this stack (PULUMI_CONFIG_PASSPHRASE or its _FILE)")

    def encrypt(self, text: str) -> str:
        nonce = os.urandom(12)
        sealed = self._aead.encrypt(nonce, text.encode(), None)
        return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(sealed).decode()}"

    def decrypt(self, text: str) -> str:
        try:
            version, nonce, sealed = text.split(":")
            if version != "v1":
                raise ValueError(version)
            return self._aead.decrypt(base64.b64decode(nonce), base64.b64decode(sealed), None).decode()
        except (ValueError, InvalidTag) as error:
            raise StateError(
                "a secret cannot be decrypted: it was damaged or sealed under another passphrase"
            ) from error
