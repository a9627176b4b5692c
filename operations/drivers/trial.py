"""An order that is placed and read back through the entry, as a user does it."""

import binascii
import json
import ssl
import time
import urllib.error
import urllib.request
import uuid
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from operations.failover.driver import Observation, Verification

CUSTOMER = "meridian-check"  # whose orders these are
READY = "/healthz/ready"
SECONDS = 5.0


class Trial:
    """What failed is tried again with the same key, so that there is one order in the end."""

    def __init__(
        self,
        url: str,
        region: str,
        opened: Callable[..., Any] = urllib.request.urlopen,
        *,
        customer: str = CUSTOMER,
        partition: str | None = None,  # that has to write the order; None where there is one
    ) -> None:
        self.url, self.region, self.opened = url, region, opened
        self.customer, self.partition = customer, partition
        self.key = str(uuid.uuid4())
        self.written: dict[str, Any] | None = None
        self.position: str | None = None
        self.read = False
        self.said = ""

    def go_on_for(self, seconds: float, pause: Callable[[float], None] = time.sleep, *, every: float = 1.0) -> None:
        deadline = time.monotonic() + seconds
        self.go_on()
        while not self.read and time.monotonic() < deadline:
            pause(every)
            self.go_on()

    def go_on(self) -> None:
        try:
            if self.written is None:
                order = {"customer": self.customer, "item": "check", "quantity": 1}
                self.written, headers = self._ask("/orders", order)
                self.position = headers.get("X-Write-Position")
            found, _ = self._ask(f"/orders/{self.written['id']}")
            self.read = found == self.written
            self.said = "" if self.read else "another order was read than was written"
            if not self._was_there:
                self.said = f"{self.partition} did not write it: the order of {self.customer!r} is of another partition"
        except urllib.error.HTTPError as fault:
            self.said = f"the entry answers {fault.code}"
            fault.close()
        except (OSError, ValueError) as fault:
            self.said = f"the entry does not answer ({type(fault).__name__})"

    def _ask(self, path: str, body: Mapping[str, Any] | None = None) -> tuple[dict[str, Any], Mapping[str, str]]:
        headers = {"Idempotency-Key": self.key, "Content-Type": "application/json", "X-User-Region": self.region}
        if self.position:
            headers["X-Write-Position"] = self.position
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=headers)  # noqa: S310  (our own entry)
        with self.opened(request, timeout=15) as reply:
            return json.loads(reply.read()), reply.headers

    @property
    def _was_there(self) -> bool:
        return self.partition is None or self.position is None or partition_of(self.position) == self.partition

    def verification(self, now: Observation) -> Verification:
        """What was tried, and who says that it writes."""
        return Verification(
            write=self.written is not None and self._was_there,
            read=self.read,
            writers=tuple(region for region, facts in now.members.items() if facts.accepts_writes),
            detail=self.said,
        )


def partition_of(position: str) -> str:
    """Whose log the token of a write is about: it stands behind nine bytes and before four (service/positions.py)."""
    try:
        return urlsafe_b64decode(position + "=" * (-len(position) % 4))[9:-4].decode()
    except (UnicodeError, binascii.Error):
        return ""


def answers(urls: Mapping[str, str], seconds: float = SECONDS) -> dict[str, int | None]:
    """What each region's own name answers; None where nobody does."""

    def ask(url: str) -> int | None:
        try:
            with urllib.request.urlopen(url + READY, timeout=seconds) as reply:  # noqa: S310  (our own names)
                return reply.status
        except urllib.error.HTTPError as fault:
            fault.close()
            return fault.code
        except (OSError, ValueError, ssl.SSLError):
            return None

    if not urls:
        return {}
    with ThreadPoolExecutor(len(urls)) as pool:
        return dict(zip(urls, pool.map(ask, urls.values()), strict=True))
