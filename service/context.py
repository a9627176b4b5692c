"""What is known of a request while it is answered: who asks, since when, until when, and what to log."""

import time
from dataclasses import dataclass, field
from typing import cast

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from service import traces
from service.deadlines import HEADER as DEADLINE
from service.deadlines import Deadline
from service.traces import Trace

FORWARDED_BY = "x-meridian-forwarded-by"
PARTITION = "x-meridian-partition"
HOME = "x-meridian-home"
MOVED_TO = "x-meridian-moved-to"
USER_REGION = "x-user-region"
_KEY = "meridian"


@dataclass(kw_only=True, slots=True)
class Context:
    method: str
    request_id: str
    trace: Trace
    tracestate: str | None
    deadline: Deadline
    forwarded_by: str | None
    began: float = field(default_factory=time.perf_counter)
    read_age_ms: int | None = None  # of what was read, where that is out of date
    notes: dict[str, object] = field(default_factory=dict)  # more fields of the log line

    @classmethod
    def of_request(cls, method: str, headers: Headers) -> "Context":
        return cls(
            method=method,
            request_id=traces.request_id(headers.get("x-request-id")),
            trace=Trace.of_request(headers.get("traceparent")),
            tracestate=headers.get("tracestate"),
            deadline=Deadline.of_request(headers.get(DEADLINE)),
            forwarded_by=headers.get(FORWARDED_BY),
        )

    def enter(self, scope: Scope) -> None:
        scope[_KEY] = self


def context_of(request: Request) -> Context:
    return cast(Context, request.scope[_KEY])
