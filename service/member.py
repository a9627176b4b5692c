"""The region's own member of a partition: its pools, its health, its position, and the statements of the service."""

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass
from typing import Any, Literal, LiteralString
from weakref import WeakSet

import psycopg
from psycopg import errors

from service.deadlines import Deadline
from service.orders import Change, NewOrder, Order
from service.pool import Connection, OutOfTimeError, Pool, PoolBusyError
from service.positions import parse_lsn
from service.settings import Database, Endpoint
from service.standing import Standing

log = logging.getLogger("service.member")

PROBE_SECONDS = 0.25
FRESH_SECONDS = 1.0  # an answer older than this no longer vouches for the member
POSITION_POLL_SECONDS = 0.005
READ_SECONDS = 2.0
KEYS_PER_SWEEP = 1000

_ORDER: LiteralString = """
select o.id::text, o.customer, o.item, o.quantity, o.sequence,
       to_char(o.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), o.revision"""
# A home that is moved has its rows in two databases for a while. Those of the one that writes it count, and while
# nobody does those of the one that did.
_ORDER_BY_ID: LiteralString = (
    _ORDER  # noqa: S608 (constants, both)
    + """, coalesce(r.owned or r.moving_to is not null, true), r.moved_to
from public.orders o left join lateral (
    select r.* from public.home_ranges r where r.first <= o.home order by r.first desc limit 1
) r on true where o.id = $1"""
)
_ORDERS_OF_CUSTOMER: LiteralString = (
    _ORDER + " from public.orders o where customer = $1 and sequence > $2 order by sequence limit $3"
)
_PLACE: LiteralString = (
    "call public.place_order($1, $2, $3, $4, $5, $6, $7, $8, null, null, null, null, null, null, null)"
)
_CHANGE: LiteralString = (
    "call public.change_order($1, $2, $3, $4::uuid, $5, $6, $7, $8, $9, $10, $11, "
    "null, null, null, null, null, null, null, null, null)"
)
_SETTLE: LiteralString = "call public.settle_home($1, $2, $3, $4, null, null)"
_HOME: LiteralString = "select public.home_of($1, $2)"
_SWEEP: LiteralString = "select public.remove_expired_keys($1)"
_STATE: LiteralString = """
select pg_is_in_recovery(),
       case when pg_is_in_recovery() then coalesce(pg_last_wal_replay_lsn(), '0/0')
            else pg_current_wal_flush_lsn() end::text,
       (extract(epoch from pg_last_xact_replay_timestamp()) * 1000)::bigint"""

_PROBE: LiteralString = _STATE + ", s.lease_required, s.lease_left_ms, s.heard_ms from public.standing() s"

# lock_timeout is raised before anything is written; the rest means that the server will not do it now.
_REFUSED = (errors.LockNotAvailable, errors.TooManyConnections, errors.CannotConnectNow, errors.DeadlockDetected)

_NOT_HERE = {
    "not_writer": "the database is a replica",
    "no_lease": "it holds no lease to write",
}


class MemberError(Exception):
    """The member did not answer; nothing was changed."""


class UnknownOutcomeError(Exception):
    """The write may have been committed."""


class NotWriterError(Exception):
    """The member is a replica, or holds no lease."""


class ElsewhereError(Exception):
    """This partition does not write the customer's home."""

    def __init__(self, home: str, partition: str | None) -> None:
        super().__init__(f"home {home} is not written here")
        self.home = home  # the customer's own, which may be another than was asked for
        self.partition = partition  # the one that has it, where this one gave it away


Outcome = Literal["placed", "changed", "cancelled", "replayed", "mismatch", "in_flight", "missing", "stale"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What became of a write."""

    outcome: Outcome
    order: Order | None = None
    lsn: int = 0
    home: str | None = None
    revision: int | None = None  # the order's own, where another was asked for


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    order: Order
    is_here: bool  # False: this partition does not write it, or not any more
    moved_to: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """What the member last said of itself."""

    in_recovery: bool
    lsn: int
    replayed_at_ms: int | None  # commit time, on the writer's clock, of what was replayed last
    seen_at: float


class Member:
    def __init__(
        self, partition: str, endpoint: Endpoint, database: Database, *, capacity: float, joining: bool = False
    ) -> None:
        """`joining`: a member that is only being made, and is missed by nobody until it has answered once."""
        self.partition = partition
        self.endpoint = endpoint
        self._joining = joining
        self.state: State | None = None
        self.standing = Standing()
        self._database = database
        # Two pools, or writes that wait for a far standby would starve the reads. A write holds its connection for a
        # commit's round trip, so 40 of them carry 100 writes a second at 250 ms with room to spare.
        self.reads = Pool(self._connect_to_read, max(4, round(10 * capacity)), cancel_after=READ_SECONDS)
        self.writes = Pool(self._connect_to_write, max(8, round(40 * capacity)), cancel_after=None)
        self._probe = Pool(self._connect_to_read, 1, cancel_after=PROBE_SECONDS)
        self._poll: asyncio.Task[State] | None = None
        self._warned: WeakSet[Connection] = WeakSet()

    # Health and position

    @property
    def answering(self) -> bool:
        return self.state is not None and time.monotonic() - self.state.seen_at <= FRESH_SECONDS

    @property
    def missing(self) -> bool:
        """Whether the region lacks it: for that it must have had it."""
        return not self.answering and not (self._joining and self.state is None)

    @property
    def age_ms(self) -> int | None:
        """How old what is read here may be; None while the member is up to date."""
        return self.standing.age_ms(time.monotonic())

    async def watch(self) -> None:
        """Ask the member for its state over and over; readiness and metrics are answered from memory."""
        failures = 0
        while True:
            begin = time.monotonic()
            try:
                await self._look(Deadline.after(FRESH_SECONDS))
                if failures:
                    log.info("member %s answers again", self.partition)
                failures = 0
            except (psycopg.Error, OutOfTimeError, PoolBusyError, OSError) as fault:
                if failures == 0 and self.state is not None:
                    log.warning("member %s does not answer: %s", self.partition, type(fault).__name__)
                failures += 1
            self.reads.trim()
            self.writes.trim()
            # Quick at the start and after a fault, so that a region is ready as soon as its member is.
            pause = PROBE_SECONDS if failures == 0 else 0.05
            await asyncio.sleep(max(0.02, begin + pause - time.monotonic()))

    async def reached(self, lsn: int, deadline: Deadline) -> bool:
        """Whether reads here see what was written up to `lsn`; waits for that until the deadline."""
        if self.state is not None and self.state.in_recovery and self.state.lsn >= lsn and self.answering:
            return True
        while True:
            state = await self._shared_ask(deadline)
            if not state.in_recovery or state.lsn >= lsn:
                return True
            if deadline.left() <= POSITION_POLL_SECONDS:
                return False
            await asyncio.sleep(POSITION_POLL_SECONDS)

    async def fresh_state(self, deadline: Deadline) -> State:
        try:
            return await self._ask(self.reads, deadline)
        except (psycopg.Error, OutOfTimeError, PoolBusyError, OSError) as fault:
            raise MemberError(type(fault).__name__) from fault

    # Statements

    async def order(self, order_id: str, deadline: Deadline) -> Found | None:
        rows = await self._read(_ORDER_BY_ID, (order_id,), deadline)
        if not rows:
            return None
        *columns, is_here, moved_to = rows[0]
        return Found(order=Order(*columns), is_here=is_here, moved_to=moved_to)

    async def orders(self, customer: str, after: int, limit: int, deadline: Deadline) -> list[Order]:
        return [Order(*row) for row in await self._read(_ORDERS_OF_CUSTOMER, (customer, after, limit), deadline)]

    async def home_of(self, customer: str, digest: bytes, deadline: Deadline) -> str | None:
        return (await self._read(_HOME, (customer, digest), deadline))[0][0]

    async def settle_home(self, customer: str, digest: bytes, wished: str, deadline: Deadline) -> str:
        outcome, home = await self._write(_SETTLE, (customer, digest, wished, _patience(deadline)), deadline)
        if outcome in _NOT_HERE:
            raise NotWriterError(_NOT_HERE[outcome])
        if outcome == "lease_lost":
            raise UnknownOutcomeError("the lease to write ran out meanwhile")
        return home

    async def place(self, order: NewOrder, *, home: str, digest: bytes, key: str, deadline: Deadline) -> Written:
        values = (
            home,
            order.customer,
            digest,
            order.item,
            order.quantity,
            key,
            order.fingerprint(),
            _patience(deadline),
        )
        for attempt in (1, 2):
            try:
                row = await self._write(_PLACE, values, deadline)
            except errors.SerializationFailure:
                if attempt == 1:
                    continue
                raise MemberError("the customer's home was being settled") from None
            outcome, order_id, sequence, created_at, position, settled, moved_to = row
            _must_be_done(outcome, settled, moved_to)
            if outcome in ("in_flight", "mismatch"):
                return Written(outcome=outcome)
            placed = Order(order_id, order.customer, order.item, order.quantity, sequence, created_at)
            return Written(outcome=outcome, order=placed, lsn=parse_lsn(position), home=settled)
        raise AssertionError("unreachable")

    async def change(self, change: Change, *, home: str, digest: bytes, key: str, deadline: Deadline) -> Written:
        """`home`: empty where it is not known."""
        values = (
            home or None,
            change.customer,
            digest,
            change.id,
            change.item,
            change.quantity,
            change.cancels,
            change.based_on,
            key,
            change.fingerprint(),
            _patience(deadline),
        )
        row = await self._write(_CHANGE, values, deadline)
        outcome, item, quantity, sequence, created_at, revision, position, settled, moved_to = row
        _must_be_done(outcome, settled, moved_to)
        if outcome not in ("changed", "cancelled", "replayed"):
            return Written(outcome=outcome, home=settled, revision=revision)
        order = Order(change.id, change.customer, item, quantity, sequence, created_at, revision)
        return Written(outcome=outcome, order=order, lsn=parse_lsn(position), home=settled)

    async def _write(self, query: LiteralString, values: tuple[Any, ...], deadline: Deadline) -> tuple[Any, ...]:
        """One call of a procedure that commits. What it raises says whether it may have."""
        started = False

        async def call(connection: Connection) -> tuple[Any, ...]:
            nonlocal started
            started = True
            self._warned.discard(connection)
            cursor = await connection.execute(query, values)
            row = await cursor.fetchone()
            if connection in self._warned:
                self._warned.discard(connection)
                raise UnknownOutcomeError("the wait for a standby was cancelled")
            assert row is not None
            return row

        if deadline.left() <= 0:
            raise MemberError("out of time")
        try:
            return await self.writes.run(call, deadline)
        except errors.SerializationFailure:
            raise
        except errors.ReadOnlySqlTransaction:
            raise NotWriterError("the database is read-only") from None
        except _REFUSED as fault:
            raise MemberError(type(fault).__name__) from None
        except PoolBusyError:
            raise MemberError("every connection for writes is in use") from None
        except OutOfTimeError:
            raise (UnknownOutcomeError if started else MemberError)("the deadline passed") from None
        except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as fault:
            raise (UnknownOutcomeError if started else MemberError)(type(fault).__name__) from None

    async def sweep(self) -> int:
        """Remove keys that are older than a day, a batch at a time."""
        removed = 0
        while True:
            rows = await self._run(self.reads, _SWEEP, (KEYS_PER_SWEEP,), Deadline.after(READ_SECONDS))
            removed += rows[0][0]
            if rows[0][0] < KEYS_PER_SWEEP:
                return removed
            await asyncio.sleep(0.2)

    async def close(self, seconds: float) -> None:
        await asyncio.gather(self.writes.close(seconds), self.reads.close(seconds), self._probe.close(0.1))

    # Connections

    async def _read(self, query: LiteralString, values: tuple[Any, ...], deadline: Deadline) -> list[tuple[Any, ...]]:
        limited = deadline.within(READ_SECONDS)
        fault: Exception | None = None
        for _ in range(2):  # a read may be tried again when the server dropped the connection under it
            try:
                return await self._run(self.reads, query, values, limited)
            except (OutOfTimeError, PoolBusyError, errors.QueryCanceled) as problem:
                raise MemberError(type(problem).__name__) from problem
            except (psycopg.Error, OSError) as problem:
                fault = problem
        raise MemberError(type(fault).__name__) from fault

    @staticmethod
    async def _run(
        pool: Pool, query: LiteralString, values: tuple[Any, ...] | None, deadline: Deadline
    ) -> list[tuple[Any, ...]]:
        async def work(connection: Connection) -> list[tuple[Any, ...]]:
            return await (await connection.execute(query, values)).fetchall()

        return await pool.run(work, deadline)

    async def _ask(self, pool: Pool, deadline: Deadline) -> State:
        asked_at = time.monotonic()
        ((in_recovery, lsn, replayed_at_ms),) = await self._run(pool, _STATE, None, deadline)
        self.state = State(in_recovery=in_recovery, lsn=parse_lsn(lsn), replayed_at_ms=replayed_at_ms, seen_at=asked_at)
        return self.state

    async def _look(self, deadline: Deadline) -> None:
        asked_at, wall = time.monotonic(), time.time()
        ((in_recovery, lsn, replayed_at_ms, *standing),) = await self._run(self._probe, _PROBE, None, deadline)
        self.state = State(in_recovery=in_recovery, lsn=parse_lsn(lsn), replayed_at_ms=replayed_at_ms, seen_at=asked_at)
        replayed = None if replayed_at_ms is None else wall - replayed_at_ms / 1000
        self.standing = self.standing.seen(in_recovery, *standing, replayed_ago=replayed, now=asked_at)

    async def _shared_ask(self, deadline: Deadline) -> State:
        """However many readers wait for the replica, one question is under way."""
        if self._poll is None or self._poll.done():
            self._poll = asyncio.ensure_future(self._ask(self.reads, Deadline.after(FRESH_SECONDS)))
            self._poll.add_done_callback(lambda task: task.cancelled() or task.exception())
        done, _ = await asyncio.wait((self._poll,), timeout=deadline.left())
        if not done:
            raise MemberError("out of time")
        try:
            return self._poll.result()
        except (psycopg.Error, OutOfTimeError, PoolBusyError, OSError) as fault:
            raise MemberError(type(fault).__name__) from fault

    async def _connect_to_read(self) -> Connection:
        return await self._connect(f"-c statement_timeout={int(READ_SECONDS * 1000)}")

    async def _connect_to_write(self) -> Connection:
        # statement_timeout would also cut short the commit inside place_order, and a commit cut short looks done.
        return await self._connect("-c statement_timeout=0 -c default_transaction_isolation=read\\ committed")

    async def _connect(self, options: str) -> Connection:
        connection = await psycopg.AsyncConnection.connect(
            host=self.endpoint.host,
            port=self.endpoint.port,
            dbname=self._database.name,
            user=self._database.user,
            password=self._database.password_file.read_text().strip(),  # anew, so that it may be rotated
            application_name="meridian-service",
            options=options,
            connect_timeout=2,
            # Notice a server whose host is gone within some 10 seconds, also while a commit is awaited.
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            sslmode="disable",
            gssencmode="disable",
            autocommit=True,
            prepare_threshold=0,
            cursor_factory=psycopg.AsyncRawCursor,
        )
        connection.add_notice_handler(lambda notice: self._notice(connection, notice))
        return connection

    def _notice(self, connection: Connection, notice: psycopg.errors.Diagnostic) -> None:
        # PostgreSQL says in a warning, and in nothing else, that a commit is local only ("canceling wait for
        # synchronous replication"). The text depends on the language, the severity does not.
        if notice.severity_nonlocalized == "WARNING":
            self._warned.add(connection)
            log.warning("member %s: %s", self.partition, notice.message_primary)


def _must_be_done(outcome: str, home: str, moved_to: str | None) -> None:
    """Raises where the procedure did not settle the request."""
    if outcome in _NOT_HERE:
        raise NotWriterError(_NOT_HERE[outcome])
    if outcome == "moved":
        raise ElsewhereError(home, moved_to)
    if outcome == "lease_lost":
        raise UnknownOutcomeError("the lease to write ran out meanwhile")


def _patience(deadline: Deadline) -> str:
    """The database gives up waiting for locks a little before this side does, while nothing is written yet."""
    return f"{max(1, int(deadline.left() * 900))}ms"


async def keep_keys_short(member: Member) -> None:
    """Remove expired idempotency keys once a minute, from whichever service stands beside the writer."""
    while True:
        await asyncio.sleep(60)
        if member.answering and member.state is not None and not member.state.in_recovery:
            with contextlib.suppress(psycopg.Error, OutOfTimeError, PoolBusyError, OSError):
                removed = await member.sweep()
                if removed:
                    log.info("removed %d expired idempotency keys of %s", removed, member.partition)
