"""What the protocol asks of a target's running system and tells it: implemented once for each target.

A driver is made for one partition and stands in one place: the vantage region, where the operator is. What cannot be
reached from there is not touched. `operations/drivers/<target>_failover.py` has a function
`open_driver(stack, outputs, partition, vantage) -> Driver`, where `outputs` are the stack's and `vantage` is a region's
name, or None for one outside all regions.

Every call can be made again, after any interruption: it looks first, does what is missing, and says `already` where
nothing was. A call raises `operations.errors.Fault` where it could not end, with a message for the user; making it
again may then help. It never waits for longer than it says. No call relies on one made before it in the same process.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

Role: TypeAlias = Literal["writer", "replica"]


@dataclass(frozen=True, kw_only=True)
class MemberFacts:
    """A partition's member in one region, as far as the vantage can tell."""

    role: Role | None  # as it says itself: an old writer that is cut off may still say `writer`; None: unknown
    reachable: bool
    accepts_writes: bool  # a writer that is held, or that must have a lease and has none, does not
    received_lsn: int | None  # the last position on its disk; the writer's own flush position
    replayed_lsn: int | None
    lag_bytes: int | None  # behind the writer's last known position
    lag_seconds: float | None  # how long ago it was last known to have all that the writer had; None: unknown
    can_take_load: bool  # its size, its capacity, its service and its gateway
    why_not: str = ""  # in words, where it cannot
    timeline: int | None = None
    following: str | None = None  # the region that it takes its log from, where that is known


@dataclass(frozen=True, kw_only=True)
class LeaseFacts:
    """What a majority of the keepers says. None in an observation where the stack has no lease at all."""

    holder: str | None  # the region whose lease may still run
    term: int  # the highest that any keeper has promised or granted; the next one is higher
    left_seconds: float  # the longest that a granted lease may still last; 0 where it has ended
    quorum_reachable: bool


@dataclass(frozen=True, kw_only=True)
class Observation:
    """The partition at one moment."""

    at: float  # time.time() of the machine that asked
    writer: str | None  # the one that writes now, or wrote last: of several that say so the highest timeline
    members: Mapping[str, MemberFacts]  # by region, every planned member of the partition
    vantages: Mapping[str, Mapping[str, bool]]  # by region that looks: whether it reaches each other region
    lease: LeaseFacts | None
    admitted: frozenset[str]  # the regions that the entry sends users to, while they are healthy
    # Where each region that answers sends the partition's writes.
    pointers: Mapping[str, str | None] = field(default_factory=dict)
    # The regions of which at least one surely holds every acknowledged write; empty where replication is asynchronous.
    quorum: frozenset[str] = frozenset()
    # The regions that are reached from here, and in which nobody gets an answer of the member: its server is down.
    down: frozenset[str] = frozenset()
    # For how long the writer has surely acknowledged nothing: since its lease ended, say. 0 where that is not known.
    silent_seconds: float = 0.0
    # The most that the writer was seen to write, in bytes of log a second; None where nobody measured it.
    bytes_per_second: float | None = None

    @property
    def replicas(self) -> tuple[str, ...]:
        return tuple(region for region in self.members if region != self.writer)


@dataclass(frozen=True, kw_only=True)
class Done:
    """A step's end. `already`: there was nothing left to do."""

    detail: str = ""
    already: bool = False


@dataclass(frozen=True, kw_only=True)
class Fenced:
    """Why the old writer acknowledges nothing any more.

    stopped: its server was seen to be down, and nothing starts it. expired: a majority of the keepers promised the new
    term, and the longest lease that any of them had granted has run out by that keeper's clock. released: its holder
    gave it back. service: the cloud's managed service fences. operator: a person said so.
    """

    how: Literal["stopped", "expired", "released", "service", "operator"]
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was tried through the entry, as a user would, and what the members say of themselves."""

    write: bool
    read: bool  # the written row, read back
    writers: tuple[str, ...]  # every reachable member that accepts writes
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Rejoined:
    how: Literal["rewound", "rebuilt", "followed"]
    detail: str = ""
    already: bool = False


class Driver(Protocol):
    """One partition's levers. Regions are named; a member is its region's."""

    def observe(self, among: Collection[str] | None = None) -> Observation:
        """Ask everything at the same time; within about 2 s, also where regions are gone.

        `among` names the regions to ask, all others are taken as unreachable: while writes stand still nobody waits
        for a region that is known to be gone. `lease` is then None, and `vantages` empty, where what may be lost
        does not depend on them.
        """
        ...

    # --- before the pause: nothing that users notice ---

    def prepare(self, target: str, others: Collection[str]) -> Done:
        """What the target needs as a writer and can have as a replica: slots for the other members, say."""
        ...

    # --- a writer that can be reached ---

    def hold_writes(self, writer: str) -> Done:
        """No new write begins; those in flight end; the writer's lease, where there is one, is given back if it can be.

        A write that comes meanwhile waits at the gateways.
        """
        ...

    def stop_writer(self, region: str) -> Done:
        """The server is down, cleanly where it can be, and nothing starts it but `rejoin` or `reinstate`.

        Also used on a member that came back as a writer of an older term. Raises where the region is not reachable.
        """
        ...

    def catch_up(self, target: str, writer: str) -> Done:
        """The target has replayed everything of the writer that was stopped, up to its shutdown checkpoint."""
        ...

    def claim(self, target: str, term: int) -> Done:
        """The target's keeper asks for the term from now on, and the call returns: `promote` waits for the grant.

        Whoever has the lease has it to its end; nothing is granted before.
        """
        ...

    def reinstate(self, writer: str, term: int) -> Done:
        """Undo, while nobody was promoted: start the writer where it was stopped, let it take `term`, end the hold.

        The members follow it again.
        """
        ...

    # --- the fence ---

    def fence(self, term: int) -> Done:
        """A majority of the keepers has promised to grant and renew nothing below `term`. Raises without a majority."""
        ...

    def await_fenced(self, term: int, writer: str) -> Fenced:
        """Return once it is certain that `writer`, or whoever else held a term below, acknowledges nothing.

        At most a lease and a little later.
        """
        ...

    # --- the new writer ---

    def turn(self, target: str, members: Collection[str]) -> Done:
        """The way of these members leads to the target, and they begin to take it; `follow` waits until they have."""
        ...

    def follow(self, target: str, members: Collection[str]) -> Done:
        """These members take their log from the target, which is not promoted yet, and go on doing so afterwards.

        In a switchover the target itself still follows the writer, which still writes.
        """
        ...

    def promote(self, target: str, term: int) -> Done:
        """The target has left recovery and holds `term` where there is a lease: it accepts writes."""
        ...

    def point(self, target: str) -> Done:
        """In every region that can be reached: replication to the target, the partition map, and last the writes."""
        ...

    def admit(self, target: str, hold_out: Collection[str]) -> Done:
        """The entry sends users to the target and to none of `hold_out`; every other region stays as it is."""
        ...

    def verify(self, target: str) -> Verification:
        """A write and a read through the entry, and who says that it writes. Tries for a few seconds."""
        ...

    def refresh(self) -> Done:
        """The stack's state says of the partition's members what is so now; already so where it holds no such thing."""
        ...

    # --- a member that was away ---

    def save_tail(self, region: str, writer: str) -> Path | None:
        """Keep what the region's member holds and `writer` lacks, outside its data; None where there is nothing."""
        ...

    def rejoin(self, region: str, writer: str) -> Rejoined:
        """The region's member is a replica of `writer` that streams; its pointers and partition map are as `point`
        makes them, and the keepers know of no lease for it."""
        ...
