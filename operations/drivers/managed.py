"""What the drivers of both clouds have in common: the service holds, stops, catches up and fences, all in one call.

A planned move is therefore made in `catch_up`, which is asked for before anything is promoted and of planned moves
alone; `promote` then finds the writer where it should be. An unplanned one has no `catch_up`, and is made in `promote`.
So a switchover that broke is never taken up as a failover that may lose something.

The protocol asks for a lease before it believes that an old writer is silent. Here the service answers for that, in its
stead: `LEASE` has a quorum where the service's API can be asked, no holder and no time left.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from operations.drivers import state, trial
from operations.errors import Fault
from operations.failover.driver import Done, Fenced, LeaseFacts, Observation, Rejoined, Verification

if TYPE_CHECKING:
    from operations.stack import Stack
    from topology.summary import Summary

POLL = 5.0
SETTLED_SECONDS = 1800.0  # either service's switchover or failover takes minutes
REJOIN_SECONDS = 3600.0  # a member that is rebuilt is a copy of all data
VERIFY_SECONDS = 180.0  # resolvers and proxies have to hear of it
LEASE = LeaseFacts(holder=None, term=0, left_seconds=0.0, quorum_reachable=True)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Ground:
    """The partition and its levers, from the stack's outputs."""

    stack: "Stack"
    summary: "Summary"
    partition: str
    vantage: str | None
    members: Mapping[str, str]  # what the service knows each member by, by region
    names: Mapping[str, str]  # the members' names, by region
    levers: Mapping[str, Any]
    endpoints: Mapping[str, str]  # "host:port" by member's name
    entry: str

    @property
    def home_only(self) -> bool:
        return self.summary.policy == "home"

    @property
    def traffic(self) -> Mapping[str, str]:
        return self.levers["traffic"]

    def require(self, region: str) -> str:
        if region not in self.members:
            raise Fault(f"{region} has no member of {self.partition}")
        return self.members[region]

    def own_url(self, region: str) -> str:
        """The region's own name leads to it alone, whatever was decided of it."""
        return f"https://{region}.{urlsplit(self.entry).hostname}"


def ground(stack: "Stack", outputs: Mapping[str, Any], partition: str, vantage: str | None) -> Ground:
    from topology import from_summary

    summary = from_summary(outputs["topology"])
    found = summary.partition(partition)
    if found is None:
        raise Fault(f"{stack.name} has no partition {partition!r}")
    levers = outputs["levers"]
    names = {region.name: member for region in summary.regions for member in region.members if member in found.members}
    return Ground(
        stack=stack,
        summary=summary,
        partition=partition,
        vantage=vantage,
        members={region: str(levers["members"][name]) for region, name in names.items() if name in levers["members"]},
        names=names,
        levers=levers,
        endpoints=outputs["members"],
        entry=str(outputs["entry"]),
    )


def at_once(ask: Callable[[str], T], regions: Collection[str]) -> dict[str, T]:
    """Ask of every region at the same time."""
    if not regions:
        return {}
    with ThreadPoolExecutor(len(regions)) as pool:
        return dict(zip(regions, pool.map(ask, regions), strict=True))


def reached(region: str, vantages: Mapping[str, Mapping[str, bool]]) -> bool:
    """Whether most of those who look reach it; True where nobody looks."""
    views = [sight[region] for sight in vantages.values() if region in sight]
    return not views or 2 * sum(views) >= len(views)


class Managed(ABC):
    """A partition whose members replicate, fence and take over by the cloud's own doing."""

    service: str  # its name, for words
    pause: Callable[[float], None] = staticmethod(sleep)
    clock: Callable[[], float] = staticmethod(monotonic)

    def __init__(self, ground: Ground) -> None:
        self.ground = ground

    # --- what each cloud says and does ---

    @abstractmethod
    def observe(self, among: Collection[str] | None = None) -> Observation: ...

    @abstractmethod
    def writer(self) -> str | None:
        """Who writes by the service's word; None where it moves."""

    @abstractmethod
    def prepare(self, target: str, others: Collection[str]) -> Done: ...

    @abstractmethod
    def stop_writer(self, region: str) -> Done: ...

    @abstractmethod
    def catch_up(self, target: str, writer: str) -> Done: ...

    @abstractmethod
    def promote(self, target: str, term: int) -> Done: ...

    @abstractmethod
    def point(self, target: str) -> Done: ...

    @abstractmethod
    def admit(self, target: str, hold_out: Collection[str]) -> Done: ...

    @abstractmethod
    def follows(self, region: str, writer: str) -> str | None:
        """None where the region's member is a copy of `writer` and available; else what it is instead."""

    # --- what the service does by itself ---

    def hold_writes(self, writer: str) -> Done:
        return Done(detail=f"{self.service} does so as it switches over", already=True)

    def claim(self, target: str, term: int) -> Done:
        return Done(detail="there is no lease to ask for", already=True)

    def fence(self, term: int) -> Done:
        return Done(detail=f"{self.service} does so as it fails over", already=True)

    def await_fenced(self, term: int, writer: str) -> Fenced:
        """The promise is the service's; docs/<target>/failover.md says how far it goes."""
        return Fenced(how="service", detail=f"{self.service} answers for {writer}")

    def turn(self, target: str, members: Collection[str]) -> Done:
        return self.follow(target, members)

    def follow(self, target: str, members: Collection[str]) -> Done:
        return Done(detail=f"{self.service} moves the copies along", already=True)

    def save_tail(self, region: str, writer: str) -> Path | None:
        """Nothing that could be got at from here: the service keeps, or drops, what was not shipped."""
        return None

    # --- alike on both ---

    def reinstate(self, writer: str, term: int) -> Done:
        """By a switchover back, where the one before came to its end; that loses nothing either."""
        found = self.settled()
        if found == writer:
            return Done(already=True)
        done = self.catch_up(writer, found)
        self.point(writer)
        return done

    def settled(self) -> str:
        """The writer, once nothing moves it any more."""
        return self.wait(self.writer, f"{self.ground.partition} has no single writer")

    def verify(self, target: str) -> Verification:
        tried = trial.Trial(self.ground.entry, target)
        tried.go_on_for(VERIFY_SECONDS, self.pause)
        return tried.verification(self.observe())

    def refresh(self) -> Done:
        members = self.observe().members
        return state.refresh(self.ground, [region for region, facts in members.items() if facts.reachable])

    def rejoin(self, region: str, writer: str) -> Rejoined:
        """The service attaches a former writer by itself, and does not say whether it was copied anew for that."""
        already = self.follows(region, writer) is None
        if not already:
            self.wait(
                lambda: self.follows(region, writer) is None or None,
                f"{region} is no copy of {writer}",
                REJOIN_SECONDS,
                lambda: self.follows(region, writer) or "",
            )
        if self.ground.home_only:
            self.admit(writer, {region})
        how = "followed" if already else "rebuilt"
        return Rejoined(how=how, detail=f"by {self.service}", already=already)

    def wait(
        self,
        ask: Callable[[], T | None],
        otherwise: str,
        seconds: float = SETTLED_SECONDS,
        why: Callable[[], str] = lambda: "",
    ) -> T:
        deadline = self.clock() + seconds
        while (found := ask()) is None:
            if self.clock() > deadline:
                said = why()
                raise Fault(f"{otherwise} after {seconds:.0f} s{f' ({said})' if said else ''}")
            self.pause(POLL)
        return found
