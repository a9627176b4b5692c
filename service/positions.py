"""The read token: where in the writer's log a write ended, opaque to clients."""

import binascii
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

HEADER = "X-Write-Position"
_FORMAT = b"\x01"


class TokenError(ValueError):
    """The text is no token of ours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WritePosition:
    partition: str
    lsn: int

    def token(self) -> str:
        data = _FORMAT + self.lsn.to_bytes(8, "big") + self.partition.encode()
        # The checksum catches a token that was cut or mistyped; it is no protection against forgery, and needs
        # none: a made-up position can only make its own reader wait.
        return urlsafe_b64encode(data + zlib.crc32(data).to_bytes(4, "big")).rstrip(b"=").decode()

    @classmethod
    def parse(cls, token: str) -> "WritePosition":
        try:
            raw = token.encode("ascii")
            data = urlsafe_b64decode(raw + b"=" * (-len(raw) % 4))
            body, checksum = data[:-4], data[-4:]
            if len(data) < 14 or body[:1] != _FORMAT or zlib.crc32(body).to_bytes(4, "big") != checksum:
                raise TokenError(token)
            position = cls(partition=body[9:].decode(), lsn=int.from_bytes(body[1:9], "big"))
        except (UnicodeError, binascii.Error):
            raise TokenError(token) from None
        if position.token() != token:
            raise TokenError(token)
        return position


def parse_lsn(text: str) -> int:
    """PostgreSQL writes a log position as two hexadecimal halves: `16/B374D848`."""
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)
