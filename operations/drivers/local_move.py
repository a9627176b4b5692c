"""Moving homes between two partitions of a local stack, wherever their writers are at the moment."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import psycopg

from components.local.servers import home_comparison, home_move, partition_map, paths, secrets
from components.local.servers.home_comparison import Comparison, Side
from components.local.servers.home_move import Homes
from components.local.servers.member import MemberSpec
from components.local.servers.partition_map import MAIN
from components.local.servers.postgres_files import DATABASE, OWNER, REPLICATOR, password_line
from components.local.servers.postgres_session import Connection, session
from operations.drivers.local_ground import Ground, as_faults
from operations.errors import Fault
from operations.partitions.homes import digest
from operations.partitions.move import Action, State

POLL = 0.01
COPY_STALL_SECONDS = 60.0
NEAR_BYTES = 256 * 1024  # of the source's log: what is shipped within one breath
SWITCH_SECONDS = 10.0  # while users wait; beyond that they are better let back in
SPREAD_SECONDS = 30.0
SETTLE_SECONDS = 20.0  # for what differed in the survey, as the target follows the source
COMPARE_SECONDS = 2.0  # for what differed then: keys that ran out, and whose removal is still to be shipped
TOLD_SECONDS = 2.0
LISTED = 500  # customers listed in the directory at a time


@dataclass(kw_only=True)
class LocalMove:
    """Both partitions' members, and the words to tell how it goes."""

    source: Ground
    target: Ground
    tell: Callable[[str], None]
    _kept: dict[str, Connection] = field(default_factory=dict)  # by partition, a session at its writer
    _stack: ExitStack = field(default_factory=ExitStack)
    _surveying: ExitStack = field(default_factory=ExitStack)
    _comparison: Comparison | None = None  # of the survey that stands

    def is_alive(self, state: State) -> bool:
        """Whether the source still keeps what the target has not received."""
        with self._at(self.source) as source:
            return home_move.has_slot(source, homes(state))

    def is_surveyed(self) -> bool:
        found = self._comparison
        return found is not None and all(_writes(side.connection) for side in (found.source, found.target))

    def do(self, state: State, action: Action) -> str | None:
        """One step, to its end. Only `close` has something to say: the mark behind the last row."""
        with as_faults():
            return getattr(self, f"_{action}")(state, homes(state))

    # --- before anybody waits ----------------------------------------------------------------------------------------

    def _clear(self, state: State, moved: Homes) -> None:
        with self._both() as (source, target):
            self._end_replication(source, target, moved)
            while home_move.remove(target, moved):
                pass
        self._await_members(self.target)  # or one that is promoted would have rows that are copied again

    def _mark(self, state: State, moved: Homes) -> None:
        with self._at(self.source) as source:
            home_move.mark(source, moved, state.target)

    def _publish(self, state: State, moved: Homes) -> None:
        with self._at(self.source) as source:
            home_move.publish(source, moved)

    def _copy(self, state: State, moved: Homes) -> None:
        member = self.target.member(self._writer(self.target))
        with self._both() as (source, target):
            total = home_move.content(source, moved).total
            home_move.subscribe(target, moved, self._conninfo(member))
            began = told = changed = time.monotonic()
            seen = -1
            while not home_move.is_copied(target, moved):
                time.sleep(POLL)
                now = time.monotonic()
                if now - told < TOLD_SECONDS:
                    continue
                home_move.behind(
                    source, moved
                )  # raises where its writer is another by now, which has nothing to copy from
                told, count = now, home_move.content(target, moved).total
                if count != seen:
                    changed, seen = now, count
                elif now - changed > COPY_STALL_SECONDS:
                    raise Fault(f"no row has reached {state.target} for {COPY_STALL_SECONDS:.0f} s; its log says why")
                rate = count / (now - began)
                left = f", {max(0, total - count) / rate:.0f} s left" if rate else ""
                self.tell(f"            {count} of {total} rows, {rate:.0f} a second{left}")

    def _catch_up(self, state: State, moved: Homes) -> None:
        with self._both() as (source, target):
            home_move.subscribe(target, moved, self._conninfo(self.target.member(self._writer(self.target))))
            begin, least = time.monotonic(), home_move.behind(source, moved)
            while (left := home_move.behind(source, moved)) > NEAR_BYTES:
                if left < least:
                    begin, least = time.monotonic(), left
                elif time.monotonic() - begin > COPY_STALL_SECONDS:
                    raise Fault(f"{state.target} stays {left} bytes of log behind {state.source}")
                time.sleep(POLL)

    def _spread(self, state: State, moved: Homes) -> None:
        """Every member of the source knows of the move, and every member of the target has what was copied."""
        self._mark(state, moved)  # again: a writer that was lost meanwhile may have been the only one that knew
        for ground in (self.source, self.target):
            self._await_members(ground)

    def _await_members(self, ground: Ground) -> None:
        """Every member has what its writer has now."""
        writer = self._writer(ground)
        others = ground.other_members(writer)
        with self._at(ground) as connection:
            position = home_move.position(connection)
            deadline = time.monotonic() + SPREAD_SECONDS
            while lacking := home_move.spread_to(connection, others, position):
                if time.monotonic() > deadline:
                    raise Fault(
                        f"{', '.join(lacking)} {'does' if len(lacking) == 1 else 'do'} not follow the writer in "
                        f"{writer}. Homes are moved while every member follows: bring it back with "
                        f"`failback --partition {ground.partition.name} --rejoin-only`"
                    )
                time.sleep(POLL)

    def _survey(self, state: State, moved: Homes) -> None:
        self._end_survey()
        # Sessions of their own, which end with it.
        self._stack.enter_context(self._surveying)
        source, target = (Side(self._session(each, self._surveying), moved) for each in (self.source, self.target))
        found = Comparison(source, target)
        self._surveying.callback(found.close)
        with _comparing():
            found.begin()
            found.settle(SETTLE_SECONDS)
        self._comparison = found
        self.tell(f"            {found.rows} rows, the same at {state.source} and {state.target}")

    def _end_survey(self) -> None:
        self._comparison = None
        self._surveying.close()

    # --- while users wait --------------------------------------------------------------------------------------------

    def _close(self, state: State, moved: Homes) -> str:
        with self._at(self.source) as source:
            return home_move.close(source, moved)

    def _ship(self, state: State, moved: Homes) -> None:
        assert state.mark is not None
        if self._comparison is not None:
            self._comparison.look_ahead()
        with self._at(self.target) as target:
            deadline = time.monotonic() + SWITCH_SECONDS
            while not home_move.has_shipped(target, moved, state.mark):
                if time.monotonic() > deadline:
                    raise Fault(f"{state.target} has not received the last change within {SWITCH_SECONDS:.0f} s")
                time.sleep(POLL)

    def _compare(self, state: State, moved: Homes) -> None:
        if self._comparison is not None and self._comparison.lives:
            with _comparing():
                self._comparison.finish(COMPARE_SECONDS)
        else:
            self._compare_all(state, moved)

    def _compare_all(self, state: State, moved: Homes) -> None:
        with self._both() as (source, target), ThreadPoolExecutor(2) as pool:  # users wait
            here, there = pool.map(lambda each: home_move.content(each, moved), (source, target))
        for table in here.rows:
            if here.rows[table] != there.rows[table]:
                raise Fault(
                    f"{table}: {here.rows[table][0]} rows at {state.source} and {there.rows[table][0]} at "
                    f"{state.target}, or other values in them"
                )

    def _open(self, state: State, moved: Homes) -> None:
        with self._at(self.target) as target:
            home_move.open_at(target, moved)

    def _hand_over(self, state: State, moved: Homes) -> None:
        with self._at(self.source) as source:
            home_move.hand_over(source, moved, state.target)

    # --- afterwards --------------------------------------------------------------------------------------------------

    def _announce(self, state: State, moved: Homes) -> None:
        ground = self.target
        partition_map.give(ground.folder, ground.reachable(ground.used), moved.first, moved.last, state.target)

    def _detach(self, state: State, moved: Homes) -> None:
        with self._both() as (source, target):
            self._end_replication(source, target, moved)

    def _end_replication(self, source: Connection, target: Connection, moved: Homes) -> None:
        home_move.unsubscribe(target, moved)
        home_move.unpublish(source, moved)
        self._end_survey()
        for each in (source, target):
            home_comparison.forget(each, moved)

    def _clean_up(self, state: State, moved: Homes) -> None:
        with self._both() as (source, target):
            # Again, before anything is gone: a writer that was lost meanwhile may have taken the last word with it.
            home_move.open_at(target, moved)
            home_move.hand_over(source, moved, state.target)
            self._await_members(self.target)
            if lacking := home_move.lacking(source, target, moved):
                raise Fault(
                    f"{len(lacking)} orders are at {state.source} and not at {state.target}, as after a failover there "
                    f"that lost something; nothing is taken away. The first: {', '.join(lacking[:3])}"
                )
            if state.source == MAIN:
                self._list(source, moved)
            gone = 0
            while count := home_move.remove(source, moved):
                gone += count
                self.tell(f"            {gone} rows taken away")
        self._await_members(self.source)  # or one that is promoted then would have the rows again

    def _list(self, main: Connection, moved: Homes) -> None:
        """`main` forgets these customers, and the directory must know their homes before."""
        key = secrets.read_password(self.source.folder, "directory").encode()
        entries = [(digest(key, customer), home) for customer, home in home_move.customers(main, moved)]
        for begin in range(0, len(entries), LISTED):
            home_move.list_in_directory(main, entries[begin : begin + LISTED])

    def _reopen(self, state: State, moved: Homes) -> None:
        with self._at(self.source) as source:
            home_move.reopen(source, moved)

    # --- where -------------------------------------------------------------------------------------------------------

    def _writer(self, ground: Ground) -> str:
        name = ground.partition.name
        writer = partition_map.writers(ground.folder, {name: ground.partition.origin})[name]
        ground.require(writer)
        return writer

    @contextmanager
    def _at(self, ground: Ground) -> "Iterator[Connection]":
        """A session at the partition's writer, which has to be one and hold its lease. It is kept for the next step:
        to look where the writer is and to sign in takes longer than what users wait for."""
        name = ground.partition.name
        connection = self._kept.get(name)
        if connection is None or not _writes(connection):
            self._forget(name)
            connection = self._kept[name] = self._session(ground, self._stack)
        try:
            yield connection
        except psycopg.Error as fault:
            self._forget(name)
            raise Fault(f"the writer of {name}: {str(fault).strip().splitlines()[0]}") from None

    def _session(self, ground: Ground, until: ExitStack) -> Connection:
        member = ground.member(self._writer(ground))
        connection = until.enter_context(session(ground.folder, member.endpoint, OWNER, DATABASE, statement_ms=0))
        if not _writes(connection):
            raise Fault(f"{member.member} is not the writer of {ground.partition.name} now, or has no lease")
        return connection

    def _forget(self, partition: str) -> None:
        if (connection := self._kept.pop(partition, None)) is not None:
            connection.close()

    def close(self) -> None:
        self._stack.close()

    @contextmanager
    def _both(self) -> "Iterator[tuple[Connection, Connection]]":
        with ExitStack() as opened:
            yield opened.enter_context(self._at(self.source)), opened.enter_context(self._at(self.target))

    def _conninfo(self, member: MemberSpec) -> str:
        """How the target's writer reaches the source's: through its own gateway, which leads to whoever that is."""
        ground = self.target
        password_file = member.home / "move.pgpass"
        paths.write_atomic(password_file, password_line(REPLICATOR, secrets.read_password(ground.folder, REPLICATOR)))
        way = ground.addresses.gateway_database(ground.slots[member.region], self.source.partition.slot)
        words = {
            "host": way.host,
            "port": str(way.port),
            "user": REPLICATOR,
            "dbname": DATABASE,
            "passfile": str(password_file),
            "connect_timeout": "5",
            "sslmode": "disable",  # the gateways encrypt
            "gssencmode": "disable",
        }
        return " ".join(f"{key}='{value}'" for key, value in words.items())


@contextmanager
def _comparing() -> "Iterator[None]":
    try:
        yield
    except psycopg.Error as fault:
        raise Fault(f"the rows cannot be compared: {str(fault).strip().splitlines()[0]}") from None


def _writes(connection: Connection) -> bool:
    try:
        return connection.execute("select not pg_is_in_recovery() and public.may_write()").fetchone() == (True,)
    except psycopg.Error:
        return False


def homes(state: State) -> Homes:
    return Homes(name=state.name, first=state.first, last=state.last)
