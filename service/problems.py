"""Errors as clients see them: problem documents (RFC 9457)."""

import json

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """An answer that is an error. `kind` names it for programs, `detail` explains it to people."""

    def __init__(
        self, status: int, kind: str, title: str, detail: str, *, retry_after: int | None = None, **headers: str
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.title = title
        self.detail = detail
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)

    def document(self, request_id: str) -> bytes:
        return json.dumps(
            {
                "type": f"urn:meridian:problem:{self.kind}",
                "title": self.title,
                "status": self.status,
                "detail": self.detail,
                "instance": f"urn:meridian:request:{request_id}",
            },
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()


def bad_request(detail: str) -> Problem:
    return Problem(400, "bad-request", "The request cannot be understood", detail)


def not_found(detail: str) -> Problem:
    return Problem(404, "not-found", "Not found", detail)


def unavailable(detail: str) -> Problem:
    """Nothing was changed; asking again later may help."""
    return Problem(503, "unavailable", "Not available at the moment", detail, retry_after=1)


def unknown_outcome(detail: str) -> Problem:
    """The write may or may not have happened; only the same key finds out safely."""
    return Problem(
        503,
        "outcome-unknown",
        "The outcome of the write is not known",
        f"{detail}; retry with the same Idempotency-Key",
        retry_after=1,
    )
