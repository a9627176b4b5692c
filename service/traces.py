"""W3C trace context, and the request id."""

import random
import re
from dataclasses import dataclass

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_random = random.Random()  # noqa: S311 - ids, not secrets; seeded by the system


@dataclass(frozen=True, slots=True)
class Trace:
    """This service's own span within the caller's trace, or within a new one."""

    trace_id: str
    span_id: str
    flags: str

    @classmethod
    def of_request(cls, traceparent: str | None) -> "Trace":
        span = f"{_random.getrandbits(64) or 1:016x}"
        match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
        if match:
            version, trace, parent, flags, more = match.groups()
            # W3C Trace Context, 3.2.2: version ff is forbidden, 00 has exactly four fields, zeros mean invalid.
            if version != "ff" and not (version == "00" and more) and trace.strip("0") and parent.strip("0"):
                return cls(trace, span, flags)
        return cls(f"{_random.getrandbits(128) or 1:032x}", span, "00")

    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


def request_id(header: str | None) -> str:
    if header and _REQUEST_ID.fullmatch(header):
        return header
    return f"{_random.getrandbits(128):032x}"
