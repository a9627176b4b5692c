"""What a failover may cost, said before it acts, and the limit that it is held against."""

import math
import re
from dataclasses import dataclass

from operations.errors import Refused
from operations.failover.driver import Observation

SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
# What two looks tell of the same moment differs by a round trip between the farthest regions at most.
BETWEEN_LOOKS = 0.3
BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
ALLOWED = "seconds such as 10s or 500ms, bytes of log such as 1MB, 0 for nothing at all, or `any`"


@dataclass(frozen=True, kw_only=True)
class Loss:
    """The most that may be lost: acknowledged writes of the last `seconds`, and about `bytes` of log.

    The seconds are a bound. The bytes are one only where the old writer's last position is known: they are what the
    target lacked of that position, or the writer's highest known rate times the seconds if that is more.
    """

    seconds: float | None  # None: not known
    bytes: int | None

    @property
    def nothing(self) -> bool:
        return self.seconds == 0 and self.bytes == 0

    @property
    def rounded(self) -> "Loss":
        """As it is printed, and never less: whole seconds from ten on, tenths below; two digits of the bytes."""
        if self.nothing:
            return self
        seconds, size = self.seconds, self.bytes
        if seconds is not None:
            tenths = math.ceil(round(seconds * 10, 6))  # 2.3 * 10 is a little more than 23
            seconds = tenths / 10 if tenths < 100 else float(math.ceil(round(seconds, 6)))
        if size is not None:
            unit = 10 ** max(0, len(str(size)) - 2)
            size = -(-size // unit) * unit
        return Loss(seconds=seconds, bytes=size)

    def __str__(self) -> str:
        if self.nothing:
            return "no acknowledged write"
        seconds = "of an unknown time" if self.seconds is None else f"of the last {_seconds(self.seconds)}"
        size = "an unknown number of bytes" if self.bytes is None else f"about {self.bytes:,} bytes"
        return f"acknowledged writes {seconds}, {size} of log"


NOTHING = Loss(seconds=0.0, bytes=0)


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What the operator, or the stack's objectives, allow. Both None: whatever was announced."""

    seconds: float | None = None
    bytes: int | None = None
    source: str = "--max-loss"

    def __str__(self) -> str:
        if self.seconds is not None:
            return f"{_seconds(self.seconds)} ({self.source})"
        return f"{self.bytes:,} bytes ({self.source})" if self.bytes is not None else f"any ({self.source})"

    def allows(self, loss: Loss) -> bool:
        """An unknown loss is above every limit but `any`."""
        if loss.nothing:
            return True
        if self.seconds is not None and (loss.seconds is None or loss.seconds > self.seconds):
            return False
        return self.bytes is None or (loss.bytes is not None and loss.bytes <= self.bytes)


def parse(text: str) -> Limit:
    if text == "any":
        return Limit()
    if text == "0":
        return Limit(seconds=0.0)
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?) ?([A-Za-z]{1,3})", text)
    if match:
        number, unit = float(match[1]), match[2]
        if unit in SECONDS:
            return Limit(seconds=number * SECONDS[unit])
        if unit in BYTES:
            return Limit(bytes=int(number * BYTES[unit]))
    raise Refused(f"--max-loss: {text!r} is no amount. Allowed: {ALLOWED}.")


def limit(text: str | None, rpo_seconds: int | None) -> Limit | None:
    """The limit that holds; None where neither the command nor the objectives name one."""
    if text is not None:
        return parse(text)
    if rpo_seconds is not None:
        return Limit(seconds=float(rpo_seconds), source="objectives.rpo_seconds")
    return None


def loss(now: Observation, target: str, *, fenced_at: float | None = None) -> Loss:
    """What making `target` the writer may lose.

    The old writer may have acknowledged writes from the moment when the target was last known to have everything until
    it was fenced: until `fenced_at`, or, where that is still to come, until its lease ends. With a quorum nothing is
    lost as long as every member that may have voted for a commit can be asked, and the one with the most is taken.
    """
    facts = now.members[target]
    asked = [now.members[region] for region in now.quorum if region in now.members]
    known = [member.received_lsn for member in asked if member.reachable and member.received_lsn is not None]
    if asked and len(known) == len(asked) and (facts.received_lsn or 0) >= max(known):
        return NOTHING
    # Behind a member that cannot become the writer: what that one has is not hidden, but it is not here either.
    behind = max((member.received_lsn or 0 for member in now.members.values() if member.reachable), default=0)
    lacking = max(0, behind - (facts.received_lsn or 0))
    seconds = facts.lag_seconds
    if seconds is not None:
        if fenced_at is not None:
            # The fence is when this run knew; the lease may have ended long before, while somebody thought.
            seconds -= max(now.at - fenced_at, now.silent_seconds)
        elif now.lease is not None and now.lease.holder != target:
            seconds += now.lease.left_seconds - now.silent_seconds
        else:
            seconds -= now.silent_seconds
        seconds = max(0.0, seconds)
    if facts.lag_bytes is None:
        return Loss(seconds=seconds, bytes=None)
    return Loss(seconds=seconds, bytes=max(facts.lag_bytes, lacking, _written(now, seconds)))


def announced(now: Observation, target: str) -> Loss:
    """The loss as it is said before anything is done: above what a later look at the same outage finds."""
    found = loss(now, target)
    if found.nothing or found.seconds is None:
        return found.rounded
    seconds = found.seconds + BETWEEN_LOOKS
    size = None if found.bytes is None else max(found.bytes, _written(now, seconds))
    return Loss(seconds=seconds, bytes=size).rounded


def _written(now: Observation, seconds: float | None) -> int:
    return 0 if now.bytes_per_second is None or seconds is None else math.ceil(now.bytes_per_second * seconds)


def _seconds(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
