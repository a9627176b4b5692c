"""A circuit breaker: after failures in a row, leave the other side alone for a while, then let one request try."""

import time
from collections.abc import Callable


class Breaker:
    """Ask `allows()` before a call; report each allowed call with `succeeded()` or `failed()`."""

    def __init__(self, *, failures: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = failures
        self._seconds = seconds
        self._clock = clock
        self._failures = 0
        self._closed_again = 0.0  # while open: when the next trial may start

    @property
    def open(self) -> bool:
        return self._failures >= self._limit

    def allows(self) -> bool:
        if not self.open:
            return True
        now = self._clock()
        if now < self._closed_again:
            return False
        # Half open: this caller is the trial. Should it never report, the next trial comes one period later.
        self._closed_again = now + self._seconds
        return True

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self) -> None:
        self._failures = min(self._failures + 1, self._limit)
        if self.open:
            self._closed_again = self._clock() + self._seconds
