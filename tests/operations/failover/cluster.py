"""A partition on paper: members with logs, a lease by quorum, links that are cut, writes that go on all the time.

It is the driver that the protocol is tested with. Time passes in every call, and every call can be killed before it,
in the middle of its effect, and after it.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from operations.errors import Fault
from operations.failover.driver import (
    Done,
    Fenced,
    LeaseFacts,
    MemberFacts,
    Observation,
    Rejoined,
    Verification,
)

TICK = 0.1
LEASE = 3.0
ENTRY = 100  # bytes of log a write


class Killed(BaseException):
    """The operation's process is gone."""


@dataclass
class Member:
    region: str
    role: str = "replica"
    up: bool = True
    held: bool = False
    following: str | None = None
    log: list[int] = field(default_factory=list)
    full_at: float = 0.0
    timeline: int = 1


@dataclass
class Cluster:
    regions: tuple[str, ...] = ("a", "b", "c")
    quorum: bool = False
    leases: bool = True
    vantage: str = "b"
    time: float = 1000.0
    fuse: int | None = None
    on_point: Callable[["Cluster"], None] = lambda _: None
    blocked: bool = False  # nothing fails in the background while this is set

    def __post_init__(self) -> None:
        self.members = {region: Member(region, following=self.regions[0]) for region in self.regions}
        first = self.members[self.regions[0]]
        first.role, first.following = "writer", None
        self.alive = dict.fromkeys(self.regions, True)
        self.cut: set[frozenset[str]] = set()
        self.pointers: dict[str, str] = dict.fromkeys(self.regions, self.regions[0])
        self.admitted = set(self.regions)
        self.promised = 1
        self.holder: str | None = self.regions[0]
        self.term = 1
        self.deadline = self.time + LEASE
        self.claimant: tuple[str, int] | None = None
        self.acked: dict[int, float] = {}
        self.tails: dict[str, list[int]] = {}
        self.next_write = 0
        self.known = 0  # the writer's last position that somebody else heard of
        self.broken: list[str] = []
        self.calls: list[str] = []
        self.promoted = {self.regions[0]}

    # --- the world ---------------------------------------------------------------------------------------------------

    def reach(self, source: str, target: str) -> bool:
        return (
            self.alive[source]
            and self.alive[target]
            and (source == target or frozenset((source, target)) not in self.cut)
        )

    def majority(self, source: str) -> bool:
        return sum(self.reach(source, region) for region in self.regions) * 2 > len(self.regions)

    def accepts(self, region: str) -> bool:
        member = self.members[region]
        if not (self.alive[region] and member.up and member.role == "writer" and not member.held):
            return False
        return not self.leases or (self.holder == region and self.time < self.deadline)

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.time += TICK
            if self.claimant is not None and self.grants(*self.claimant):
                self.take(*self.claimant)
            holder = self.holder
            if holder and self.renews(self.members[holder]):
                self.deadline = self.time + LEASE
            for client in self.regions:
                self.write(client)
            self.replicate()
            self.look()

    def renews(self, holder: Member) -> bool:
        serves = holder.up and self.alive[holder.region]
        serves = serves and (holder.role == "writer" or self.claimant == (holder.region, self.term))
        return serves and self.term >= self.promised and self.majority(holder.region)

    def write(self, client: str) -> None:
        region = self.pointers[client]
        if client != self.regions[self.next_write % len(self.regions)] or not self.reach(client, region):
            self.next_write += client == self.regions[self.next_write % len(self.regions)]
            return
        self.next_write += 1
        if self.accepts(region):
            number = self.next_write
            self.members[region].log.append(number)
            if not self.quorum or any(self.ship(other) for other in self.regions):
                self.acked[number] = self.time

    def ship(self, region: str) -> bool:
        """One member takes what the one it follows has. Whether it stands beside the writer then."""
        member = self.members[region]
        if member.role != "replica" or not member.up or not member.following:
            return False
        source = self.members[member.following]
        if not self.streams(member):
            return False
        member.log = list(source.log)
        member.timeline = max(member.timeline, source.timeline)
        if source.role == "writer":
            member.full_at = self.time
            return True
        member.full_at = max(member.full_at, source.full_at)
        return False

    def streams(self, member: Member) -> bool:
        """Whether it is connected to the one that it follows; one with more, or with other log, is refused there."""
        source = self.members.get(member.following or "")
        if member.role != "replica" or not member.up or source is None or not source.up:
            return False
        return self.reach(member.region, source.region) and source.log[: len(member.log)] == member.log

    def replicate(self) -> None:
        for region in self.regions:
            self.ship(region)
        writer = self.writer()
        if any(self.reach(region, writer) for region in self.regions if region != writer):
            self.known = len(self.members[writer].log)

    def writer(self) -> str:
        said = [member for member in self.members.values() if member.role == "writer"]
        return max(said, key=lambda member: member.timeline).region

    def look(self) -> None:
        writing = [region for region in self.regions if self.accepts(region)]
        if len(writing) > 1:
            self.broken.append(f"{writing} accept writes at {self.time:.1f}")
        for region, pointed in self.pointers.items():
            if pointed not in self.promoted:
                self.broken.append(f"{region} sends writes to {pointed}, which was never promoted")

    def kill(self, region: str) -> None:
        self.alive[region] = False

    def revive(self, region: str) -> None:
        self.alive[region] = True

    def heal(self) -> None:
        self.cut.clear()
        for region in self.regions:
            self.revive(region)

    def lost(self) -> dict[int, float]:
        """Acknowledged writes that the writer lacks, with the time of their acknowledgement."""
        has = set(self.members[self.writer()].log)
        return {number: at for number, at in self.acked.items() if number not in has}

    # --- interruptions -----------------------------------------------------------------------------------------------

    def point_of_death(self) -> None:
        if not self.blocked:
            self.on_point(self)
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                self.fuse = None
                raise Killed

    def call(self, name: str, region: str | None, *effects: Callable[[], Any]) -> Done:
        self.calls.append(f"{name} {region}" if region else name)
        self.point_of_death()
        for effect in effects:
            self.require(region)
            self.tick()
            effect()
            self.look()
            self.point_of_death()
        self.require(region)  # an answer that is lost
        self.tick()
        return Done()

    def require(self, region: str | None) -> None:
        if region is not None and not self.reach(self.vantage, region):
            raise Fault(f"{region} cannot be reached")

    # --- the driver --------------------------------------------------------------------------------------------------

    def observe(self, among: Collection[str] | None = None) -> Observation:
        self.tick()
        return self.observation(among)

    def observation(self, among: Collection[str] | None = None) -> Observation:
        members = {}
        for region, member in self.members.items():
            seen = self.reach(self.vantage, region) and member.up and (among is None or region in among)
            members[region] = MemberFacts(
                role=("writer" if member.role == "writer" else "replica") if seen else None,
                reachable=seen,
                accepts_writes=seen and self.accepts(region),
                received_lsn=len(member.log) * ENTRY if seen else None,
                replayed_lsn=len(member.log) * ENTRY if seen else None,
                lag_bytes=max(0, self.known - len(member.log)) * ENTRY if seen else None,
                lag_seconds=(0.0 if member.role == "writer" else self.time - member.full_at) if seen else None,
                can_take_load=seen,
                timeline=member.timeline,
                following=member.following if self.streams(member) else None,
            )
        lease = None
        if self.leases:
            left = max(0.0, self.deadline - self.time)
            lease = LeaseFacts(
                holder=self.holder if left else None,
                term=max(self.term, self.promised),
                left_seconds=left,
                quorum_reachable=self.majority(self.vantage),
            )
        return Observation(
            at=self.time,
            writer=self.writer(),
            members=members,
            vantages={
                source: {target: self.reach(source, target) for target in self.regions if target != source}
                for source in self.regions
                if self.reach(self.vantage, source)
            },
            lease=lease,
            admitted=frozenset(self.admitted),
            pointers={region: to for region, to in self.pointers.items() if self.reach(self.vantage, region)},
            quorum=frozenset(region for region in self.regions if region != self.writer())
            if self.quorum
            else frozenset(),
            silent_seconds=max(0.0, self.time - self.deadline) if self.leases and self.majority(self.vantage) else 0.0,
            bytes_per_second=len(self.regions) * ENTRY / TICK,  # each region has a client that writes once a tick
        )

    def prepare(self, target: str, others: Collection[str]) -> Done:
        assert target not in others
        return self.call("prepare", target, lambda: None)

    def hold_writes(self, writer: str) -> Done:
        def release() -> None:
            if self.holder == writer:
                self.deadline, self.promised = self.time, max(self.promised, self.term + 1)

        return self.call("hold_writes", writer, lambda: setattr(self.members[writer], "held", True), release)

    def stop_writer(self, region: str) -> Done:
        def stop() -> None:
            self.replicate()  # a clean stop sends everything to whom it reaches
            self.members[region].up = False

        return self.call("stop_writer", region, stop)

    def catch_up(self, target: str, writer: str) -> Done:
        done = self.call("catch_up", target)
        if not self.reach(self.vantage, writer):
            raise Fault(f"{writer} cannot be reached, so its last position is not known")
        if self.members[target].log != self.members[writer].log:
            raise Fault(f"{target} has not everything of {writer}")
        return done

    def claim(self, target: str, term: int) -> Done:
        return self.call("claim", target, lambda: setattr(self, "claimant", (target, term)))

    def fence(self, term: int) -> Done:
        def promise() -> None:
            if not self.majority(self.vantage):
                raise Fault("no majority of the keepers can be reached")
            self.promised = max(self.promised, term)

        return self.call("fence", None, promise)

    def await_fenced(self, term: int, writer: str) -> Fenced:
        self.call("await_fenced", None)
        if not self.majority(self.vantage):
            raise Fault("no majority of the keepers can be reached")
        while self.promised >= term > self.term and self.time < self.deadline:
            self.tick()
            self.point_of_death()
        return Fenced(how="expired")

    def grants(self, region: str, term: int) -> bool:
        return self.majority(region) and term >= self.promised and term > self.term and self.time >= self.deadline

    def take(self, region: str, term: int) -> None:
        if not self.leases:
            return
        if (self.holder, self.term) == (region, term):
            return
        if not self.grants(region, term):
            raise Fault(f"{region} is not given the lease of term {term}")
        self.holder, self.term, self.promised, self.deadline = region, term, term, self.time + LEASE

    def reinstate(self, writer: str, term: int) -> Done:
        member = self.members[writer]

        def let() -> None:
            member.up, member.held = True, False
            for other in self.regions:
                if other != writer and self.reach(self.vantage, other):
                    self.demote(other, writer)

        def take() -> None:
            if self.holder == writer and self.term < term and self.time < self.deadline:
                self.deadline = self.time  # its own older lease
            self.take(writer, term)

        return self.call("reinstate", writer, take, let)

    def demote(self, region: str, writer: str) -> None:
        member = self.members[region]
        member.role, member.following, member.held, member.up = "replica", writer, False, True
        if self.members[writer].log[: len(member.log)] != member.log:
            member.log = list(self.members[writer].log)
        self.pointers[region] = writer

    def turn(self, target: str, members: Collection[str]) -> Done:
        def turn() -> None:
            for region in members:
                if self.reach(self.vantage, region):
                    self.members[region].following = target

        return self.call("turn", target, turn)

    def follow(self, target: str, members: Collection[str]) -> Done:
        def follow() -> None:
            for region in members:
                if not self.reach(self.vantage, region):
                    raise Fault(f"{region} cannot be reached")
                self.members[region].following = target

        return self.call("follow", target, follow)

    def promote(self, target: str, term: int) -> Done:
        member = self.members[target]

        def leave_recovery() -> None:
            if member.role != "writer":
                member.role, member.following = "writer", None
                member.timeline = max(other.timeline for other in self.members.values()) + 1
                self.promoted.add(target)

        return self.call("promote", target, lambda: self.take(target, term), leave_recovery)

    def point(self, target: str) -> Done:
        def point(region: str) -> None:
            if self.reach(self.vantage, region):
                self.pointers[region] = target
                if self.members[region].role == "replica":
                    self.members[region].following = target

        return self.call("point", target, *(lambda region=region: point(region) for region in self.regions))

    def admit(self, target: str, hold_out: Collection[str]) -> Done:
        def admit() -> None:
            self.admitted = (self.admitted | {target}) - set(hold_out)

        return self.call("admit", target, admit)

    def verify(self, target: str) -> Verification:
        self.call("verify", target)
        before = len(self.acked)
        self.tick(6)
        wrote = len(self.acked) > before
        writers = tuple(region for region in self.regions if self.reach(self.vantage, region) and self.accepts(region))
        return Verification(write=wrote, read=wrote, writers=writers)

    def refresh(self) -> Done:
        return self.call("refresh", None)

    def save_tail(self, region: str, writer: str) -> Path | None:
        log, other = self.members[region].log, set(self.members[writer].log)
        tail = [number for number in log if number not in other]

        def save() -> None:
            self.tails.setdefault(region, tail)

        self.call("save_tail", region, save)
        return Path(region) if tail else None

    def rejoin(self, region: str, writer: str) -> Rejoined:
        def stop() -> None:
            if self.members[region].up and self.members[region].role == "writer":
                raise Fault(f"{region} runs as a writer; it has to be stopped first")
            self.members[region].up = False

        def turn() -> None:
            if not self.reach(self.vantage, writer):
                raise Fault(f"{writer} cannot be reached")
            self.demote(region, writer)

        self.call("rejoin", region, stop, turn)
        return Rejoined(how="followed")
