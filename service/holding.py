"""Requests for a partition's writer, while nobody writes: writes are held, and go on as soon as somebody can.

A failover takes some seconds, and whoever is refused at once has used up a retry for nothing. So a write has the whole
of its deadline. What is held asks almost nothing of others: while no write gets through, one at a time tries. Were each
to try again by itself, the tries of a few hundred would keep the region that they wait for from coming back.

Reads are counted apart, so that held writes leave them room, and are not held for long: the entry asks another region
for what this one lacks, and there it may well be.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from service.deadlines import Deadline
from service.problems import Problem, unavailable

T = TypeVar("T")

FAILURES = 3  # in a row; one or two may be about those requests alone
TRY_SECONDS = 0.1
# What was held goes on at 400 a second: all at once each would be done only when the last is.
BATCH = 8
BATCH_SECONDS = 0.02
PAUSE_SECONDS = 0.2
LEAST_SECONDS = 0.25  # with less left a try would only end as an unknown outcome
# 100 writes a second for the ten seconds that two regions hold each of them. One takes some 20 KB, with a body of the
# largest size 36 KB.
MAXIMUM_HELD = 1024
# Under way at once. What is let go must not arrive all at once: a queue at the writer that is longer than what is left
# of the deadlines in it is work for nothing, as each of its writes is given up just when it is done. What waits here
# costs the writer nothing. 64 are 200 writes a second at the 320 ms that one takes from the far side of the world.
MAXIMUM_UNDER_WAY = 64
MAXIMUM_READS = 128
READ_PATIENCE_SECONDS = 0.5
READ_SECONDS = 2.0  # the entry's limit for one try is 2.5
# A failover takes four to six seconds: a lease of three, what led to its decision, and the promotion.
RETRY_SECONDS = 3


class Again(Exception):  # noqa: N818
    """Not now, and maybe a moment later.

    `busy`: it was an answer all the same, about this request alone. `moved`: another region writes by now, and nobody
    has asked it yet. `partition`: whose writer was asked, where that need not be the one that the request waited for.
    """

    def __init__(
        self, problem: Problem, *, busy: bool = False, moved: bool = False, partition: str | None = None
    ) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.busy = busy
        self.moved = moved
        self.partition = partition


class Gate:
    """Open while requests get answers. After failures in a row one goes through every tenth of a second, and at once
    when there is news, the oldest first; once one was answered the others follow, a few at a time."""

    def __init__(self) -> None:
        self._failures = 0
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._try_one = False

    @property
    def shut(self) -> bool:
        return self._failures >= FAILURES

    async def turn(self, deadline: Deadline) -> bool | None:
        """Whether to try now; None to look whether this is still the gate to wait at; False at the deadline."""
        if not self.shut:
            return True
        if self._try_one:
            self._try_one = False
            return True
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._again(TRY_SECONDS)
        try:
            await asyncio.wait((turn,), timeout=deadline.left())
        finally:
            if not turn.done():
                self._waiting.remove(turn)
        return (turn.result() or None) if turn.done() else False

    def failed(self) -> None:
        self._failures += 1

    def moved(self) -> None:
        """All wait, and one asks the new writer at once."""
        self._failures = max(self._failures, FAILURES)
        self._stop()
        self._timer = asyncio.get_running_loop().call_later(0, self._go_on)

    def answered(self) -> None:
        self._failures = 0
        if self._waiting:
            self._stop()
            self._go_on()

    def news(self) -> None:
        """Somebody else may write by now, and homes may be another partition's. All look whether they still wait here,
        in the same order, and the first who does tries."""
        waiting, self._waiting = self._waiting, deque()
        for turn in waiting:
            turn.set_result(False)
        self._try_one = self.shut

    def let_all(self) -> None:
        self._let(len(self._waiting))

    def _go_on(self) -> None:
        self._timer = None
        self._let(1 if self.shut else BATCH)
        self._again(TRY_SECONDS if self.shut else BATCH_SECONDS)

    def _let(self, number: int) -> None:
        while self._waiting and number:
            self._waiting.popleft().set_result(True)
            number -= 1

    def _again(self, seconds: float) -> None:
        if self._waiting and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._go_on)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Hold:
    """What one region holds for its partitions' writers."""

    def __init__(self) -> None:
        self.held = 0
        self._draining = False
        self._reads = 0
        self._gates: dict[str, Gate] = {}
        self._read_gates: dict[str, Gate] = {}
        self._slots = asyncio.Semaphore(MAXIMUM_UNDER_WAY)

    async def write(self, waits_for: Callable[[], str], attempt: Callable[[], Awaitable[T]], deadline: Deadline) -> T:
        """What the attempt returns, or raises other than Again. It is repeated until the deadline; then the problem is
        that of the last one, but an unknown outcome stays one whatever came after it. `waits_for`: the partition whose
        writer it needs by now."""
        if self.held >= MAXIMUM_HELD:
            raise _later(unavailable("as many writes as this region can hold wait for a writer already"))
        found: Problem | None = None
        self.held += 1
        try:
            while True:
                partition = waits_for()
                gate = self._gates.setdefault(partition, Gate())
                turn = await gate.turn(deadline)
                if turn is None:
                    continue
                if not turn:
                    break
                waited = self._slots.locked()
                if not await self._slot(deadline):
                    break
                if waited and (gate.shut or deadline.left() < LEAST_SECONDS):  # meanwhile it turned out to be in vain
                    self._slots.release()
                    if gate.shut and not self._draining:
                        continue
                    break
                try:
                    answer = await attempt()
                except Again as fault:
                    # It may have found out only now whose writer it needs, whose silence says nothing of the other's.
                    gate = self._gates.setdefault(fault.partition or partition, Gate())
                    gate.answered() if fault.busy else gate.moved() if fault.moved else gate.failed()
                    if found is None or found.kind != "outcome-unknown":
                        found = fault.problem
                else:
                    self._gates.setdefault(waits_for(), Gate()).answered()
                    return answer
                finally:
                    self._slots.release()
                if self._draining or deadline.left() < PAUSE_SECONDS + LEAST_SECONDS:
                    break
                if not gate.shut:
                    await asyncio.sleep(PAUSE_SECONDS)  # others are answered: it is about this request
        finally:
            self.held -= 1
        raise _later(found or unavailable("too many writes wait for the writer, or for a new one"))

    async def read(self, partition: str, attempt: Callable[[Deadline], Awaitable[T]], deadline: Deadline) -> T:
        """What the attempt returns, or raises; refused after a moment while the writer does not answer."""
        gate = self._read_gates.setdefault(partition, Gate())
        if self._reads >= MAXIMUM_READS:
            raise _later(unavailable("as many reads as this region passes on are under way already"))
        self._reads += 1
        try:
            patience = deadline.within(READ_PATIENCE_SECONDS)
            while (turn := await gate.turn(patience)) is None:
                pass
            if not turn:
                raise _later(unavailable(f"the writer of partition {partition} does not answer at the moment"))
            answer = await attempt(deadline.within(READ_SECONDS))
        except Again as fault:
            gate.failed()
            raise _later(fault.problem) from None
        finally:
            self._reads -= 1
        gate.answered()
        return answer

    def news(self) -> None:
        """The partition map has changed: who writes, or which partition has a home."""
        for gate in (*self._gates.values(), *self._read_gates.values()):
            gate.news()

    def drain(self) -> None:
        """This process is about to end: what is held has a last try, and then is another region's to hold."""
        self._draining = True
        for gate in (*self._gates.values(), *self._read_gates.values()):
            gate.let_all()

    async def _slot(self, deadline: Deadline) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline.left()):
                return await self._slots.acquire()
        return False


def _later(problem: Problem) -> Problem:
    problem.headers["Retry-After"] = str(RETRY_SECONDS)
    return problem
