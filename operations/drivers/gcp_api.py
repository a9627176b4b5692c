"""Google's APIs as operations need them: a handful of calls, as the discovery documents describe them.

google-auth brings Google's own chain of credentials. The client library of all APIs would bring every document of
theirs, 90 MB, for the sake of a dozen addresses.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

from operations.errors import Fault

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
ROOTS = {
    "sqladmin": "https://sqladmin.googleapis.com/",
    "dns": "https://dns.googleapis.com/",
    "compute": "https://compute.googleapis.com/",
    "monitoring": "https://monitoring.googleapis.com/",
}
SECONDS = 15.0

Answer = Mapping[str, Any]


class NotThere(Fault):
    """404: nothing of that name."""


class NoAnswer(Fault):
    """The API itself failed, or nothing answered: of the thing that was asked about nothing is known."""


class Api(Protocol):
    def __call__(
        self, api: str, method: str, path: str, query: Mapping[str, str] | None = None, body: Answer | None = None
    ) -> Answer: ...


def connect() -> Api:
    """The API, for whoever the credentials stand for."""
    import google.auth
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.urllib3 import AuthorizedHttp
    from urllib3 import PoolManager, Timeout
    from urllib3.exceptions import HTTPError

    try:
        credentials, _ = google.auth.default(scopes=SCOPES)
    except GoogleAuthError as fault:
        raise Fault(f"Google Cloud: {fault}") from None
    http = AuthorizedHttp(credentials, PoolManager(timeout=Timeout(total=SECONDS)))

    def call(
        api: str, method: str, path: str, query: Mapping[str, str] | None = None, body: Answer | None = None
    ) -> Answer:
        url = f"{ROOTS[api]}{path}{f'?{urlencode(query)}' if query else ''}"
        data = None if body is None else json.dumps(body).encode()
        try:
            reply = http.urlopen(method, url, body=data, headers={"Content-Type": "application/json"})
        except GoogleAuthError as fault:
            raise Fault(f"Google Cloud: {fault}") from None
        except HTTPError as fault:
            raise NoAnswer(f"{url} does not answer ({type(fault).__name__})") from None
        return answer(method, url, reply.status, reply.data)

    return call


def answer(method: str, url: str, status: int, data: bytes) -> Answer:
    try:
        found = json.loads(data or b"{}")
    except ValueError:
        found = {}
    if status < 400:
        return found
    error = found.get("error") if isinstance(found, dict) else None
    said = error.get("message", "") if isinstance(error, dict) else ""
    kind = NotThere if status == 404 else NoAnswer if status >= 500 else Fault
    raise kind(f"Google Cloud answered {status} to {method} {url.partition('?')[0]}: {said}")


def finished(
    api: Api,
    project: str,
    operation: Answer,
    seconds: float,
    poll: float,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Wait for an operation on an instance. Raises with what it says went wrong."""
    deadline = clock() + seconds
    while operation.get("status") != "DONE":
        if clock() > deadline:
            raise Fault(f"{operation['operationType']} of {operation['targetId']} has not ended after {seconds:.0f} s")
        pause(poll)
        operation = api("sqladmin", "GET", f"v1/projects/{project}/operations/{operation['name']}")
    if errors := (operation.get("error") or {}).get("errors"):
        said = "; ".join(f"{error.get('code', '')}: {error.get('message', '')}" for error in errors)
        raise Fault(f"{operation['operationType']} of {operation['targetId']} failed: {said}")
