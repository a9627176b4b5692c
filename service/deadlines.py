"""The time a request may take, passed from call to call and from region to region."""

import time
from dataclasses import dataclass

DEFAULT_SECONDS = 5.0
HEADER = "x-meridian-deadline-ms"


@dataclass(frozen=True, slots=True)
class Deadline:
    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        return cls(time.monotonic() + seconds)

    @classmethod
    def of_request(cls, header: str | None) -> "Deadline":
        """The default, or less when the region that forwarded the request has less time left; never more."""
        seconds = DEFAULT_SECONDS
        if header is not None and header.isascii() and header.isdigit():
            seconds = min(seconds, int(header[:9]) / 1000)
        return cls.after(seconds)

    def left(self) -> float:
        return max(0.0, self.at - time.monotonic())

    def within(self, seconds: float) -> "Deadline":
        """The nearer of this deadline and one so many seconds from now."""
        return Deadline(min(self.at, time.monotonic() + seconds))
