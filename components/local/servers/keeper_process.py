"""A region's keeper as a process: `python -m components.local.servers.keeper_process FOLDER`.

It votes for every partition's lease, holds the lease for the member beside it while that one writes, and looks around:
what it last heard of the other regions, its member, its service and its gateway is what operations see from here.

`FOLDER/config.json` is read again whenever it changes, so nothing of the topology restarts a keeper.
"""

import asyncio
import contextlib
import json
import logging
import signal
import ssl
import sys
import time
from collections.abc import Coroutine
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.local.servers import keeper_state
from components.local.servers.errors import ServerFault
from components.local.servers.keeper import MemberSight
from components.local.servers.keeper_lease import (
    RENEWAL,
    TAKE_SECONDS,
    Claim,
    Hold,
    Promise,
    Quorums,
    Vote,
    first_term,
)
from components.local.servers.keeper_member import Member
from components.local.servers.keeper_probes import gateway_is_up, service_is_ready
from components.local.servers.keeper_wire import Message, Peer, client_context, serve, server_context

log = logging.getLogger("keeper")

LOOK_SECONDS = 0.25  # between two looks at peers and at the member
HURRY_SECONDS = 0.1  # between two rounds for a member that is about to be promoted
COMING_SECONDS = 0.02  # between two looks at such a member: it takes no writes before it is told of its lease
PROBE_SECONDS = 0.5  # between two looks at service and gateway, and at the configuration
FRESH_SECONDS = 2.0  # what a peer said longer ago no longer helps to find the first term
HALF_LIFE = 60.0  # of the highest rate that a writer was seen to write at

# Counts also while the machine sleeps: a lease that ran out meanwhile has run out. Linux calls that clock
# CLOCK_BOOTTIME; on macOS CLOCK_MONOTONIC does so.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def clock() -> float:
    return time.clock_gettime(_CLOCK)


@dataclass(frozen=True, kw_only=True)
class Heard:
    """The last answer of another region's keeper."""

    at: float
    quorums: Quorums
    promises: dict[str, Promise]
    facts: Message
    rates: dict[str, float]  # by partition: the most that its member was seen to write, in bytes of log a second


def rates(before: Heard | None, facts: Message, now: float) -> dict[str, float]:
    """How fast a region's writers wrote at most, of late: what they may have written since nobody hears of them."""
    found: dict[str, float] = {}
    for partition, sight in facts["members"].items():
        old = before.facts["members"].get(partition) if before is not None else None
        if before is not None and old is not None and sight["role"] == old["role"] == "writer" and now > before.at:
            rate = max(0.0, (sight["received_lsn"] - old["received_lsn"]) / (now - before.at))
            kept = before.rates.get(partition, 0.0) * 0.5 ** ((now - before.at) / HALF_LIFE)
            found[partition] = max(rate, kept)
    return found


class Keeper:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept = keeper_state.read(folder)
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_bytes())
        self.stamps: tuple[int, ...] = ()
        self.region = str(self.config["region"])
        self.quorums = Quorums(voters=frozenset(self.config["voters"]), settled=self.kept.settled)
        self.votes: dict[str, Vote] = {}
        self.holds: dict[str, Hold] = {}
        self.taken_until: dict[str, float] = {}
        self.members: dict[str, Member] = {}
        self.sights: dict[str, MemberSight] = {}
        self.service_ready = self.gateway_up = False
        self.peers: dict[str, Peer] = {}
        self.heard: dict[str, Heard] = {}
        self.moved: dict[str, asyncio.Event] = {}  # by partition: there is something to do for its member
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.asking: set[asyncio.Task[None]] = set()
        self.contexts: tuple[ssl.SSLContext, ssl.SSLContext] | None = None

    async def run(self) -> None:
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        self.follow_configuration()
        assert self.contexts is not None
        host, port = self.config["listen"]
        server = await serve(host, port, self.contexts[0], self.answer)
        probing = asyncio.create_task(self.probe())
        waiting = asyncio.create_task(ended.wait())
        # A task of its own that fails is a fault of the program: better no keeper than half of one.
        while not waiting.done():
            await asyncio.wait((waiting, probing, *self.tasks.values()), return_when=asyncio.FIRST_COMPLETED, timeout=1)
            for task in (probing, *self.tasks.values()):
                if task.done() and not task.cancelled():
                    task.result()
        server.close()

    # --- configuration -----------------------------------------------------------------------------------------------

    def follow_configuration(self) -> None:
        """Take over what `up` wrote: other voters, other members, a renewed certificate."""
        files = (self.folder / "config.json", *map(Path, self.config["certificates"]))
        with contextlib.suppress(OSError, ValueError, ssl.SSLError):  # half of a change: the rest comes at once
            stamps = tuple(file.stat().st_mtime_ns for file in files)
            if stamps == self.stamps:
                return
            self.config = json.loads(files[0].read_bytes())
            self.load_certificates()
            self.stamps = stamps
        self.quorums = self.quorums.told(self.config["voters"])
        now = clock()
        for partition in self.config["partitions"]:
            if partition not in self.votes:
                self.votes[partition] = Vote.at_start(self.kept.promises.get(partition, Promise()), now)
        self.follow_voters()
        database = self.config["database"]
        for partition, place in self.config["members"].items():
            if partition not in self.members:
                self.members[partition] = Member(
                    place[0], place[1], database["name"], database["user"], Path(database["password_file"])
                )
                # The round begins where no answer of an earlier life can be mistaken for one of this.
                claim = self.kept.claims.get(partition, Claim())
                self.holds[partition] = Hold(claim=claim, round=time.time_ns())
                self.moved[partition] = asyncio.Event()
                self.tasks[f"member {partition}"] = asyncio.create_task(self.tend(partition))
        for partition in self.members.keys() - self.config["members"].keys():
            self.drop(f"member {partition}")
            self.members[partition].close()
            del self.members[partition], self.holds[partition]
            self.sights.pop(partition, None)

    def follow_voters(self) -> None:
        """Speak with every voter, and with those of before while their majority counts."""
        ways = {
            **{
                region: way
                for region, way in self.config.get("former", {}).items()
                if region in (self.quorums.settled or ())
            },
            **self.config["voters"],
        }
        for region, place in ways.items():
            if place is not None and (region not in self.peers or self.peers[region].place != tuple(place)):
                self.drop(f"peer {region}")
                self.peers[region] = Peer(region, place[0], place[1], self.client_context)
                self.tasks[f"peer {region}"] = asyncio.create_task(self.look_at(self.peers[region]))
        for region in self.peers.keys() - ways.keys():
            self.drop(f"peer {region}")
            self.peers.pop(region).close()
            self.heard.pop(region, None)

    def drop(self, task: str) -> None:
        if task in self.tasks:
            self.tasks.pop(task).cancel()

    def load_certificates(self) -> None:
        key, certificate, trust = map(Path, self.config["certificates"])
        if self.contexts is None:
            self.contexts = (server_context(key, certificate, trust), client_context(key, certificate, trust))
        else:
            for context in self.contexts:
                context.load_cert_chain(certificate, key)

    def client_context(self) -> ssl.SSLContext:
        assert self.contexts is not None
        return self.contexts[1]

    def store(self) -> None:
        """Everything that must not be forgotten, on the disk before this returns."""
        kept = keeper_state.Kept(
            promises={**self.kept.promises, **{name: vote.promise for name, vote in self.votes.items()}},
            claims={**self.kept.claims, **{name: hold.claim for name, hold in self.holds.items()}},
            settled=self.quorums.settled,
        )
        if kept != self.kept:
            keeper_state.write(self.folder, kept)
            self.kept = kept

    # --- voter -------------------------------------------------------------------------------------------------------

    async def answer(self, asker: str, message: Message) -> Message:
        """What another keeper, or an operator who stands in that region, is told."""
        match message:
            case {"do": "look"}:
                return self.own_view()
            case {"do": "grant", "partition": str(partition), "term": int(term), "counted": list(counted)}:
                return {"granted": self.grant(partition, term, asker, counted)}
            case {"do": "given up", "partition": str(partition), "term": int(term)}:
                self.vote(partition, self.votes[partition].release(term, asker, clock()))
                self.vote_for_itself(partition)
                return {}
            case {"do": "fence", "partition": str(partition), "term": int(term)}:
                vote = self.votes[partition]
                # What was granted for this very term is not what the fence is about.
                left = 0.0 if vote.promise.term == term and vote.promise.holder else vote.left(clock())
                self.vote(partition, vote.fence(term))
                return {"term": self.votes[partition].promise.term, "left_ms": left * 1000}
            case {"do": "take", "partition": str(partition), "term": int(term)}:
                return self.take(partition, term)
            case {"do": "release", "partition": str(partition)}:
                return await self.release(partition)
            case {"do": "status"}:
                for moved in self.moved.values():
                    moved.set()
                return self.status()
        raise ValueError("this is no question that a keeper knows")

    def grant(self, partition: str, term: int, holder: str, counted: list[list[str]]) -> bool:
        if not self.quorums.admits(counted):
            return False
        vote, granted = self.votes[partition].grant(term, holder, clock())
        self.vote(partition, vote)
        return granted

    def vote(self, partition: str, vote: Vote) -> None:
        before = self.votes[partition].promise
        self.votes[partition] = vote
        if vote.promise != before:
            self.store()
            log.info("%s: promised term %d to %s", partition, vote.promise.term, vote.promise.holder or "nobody yet")

    def own_view(self) -> Message:
        return {
            "quorums": {
                "voters": sorted(self.quorums.voters),
                "settled": None if self.quorums.settled is None else sorted(self.quorums.settled),
            },
            "promises": {name: asdict(vote.promise) for name, vote in self.votes.items()},
            "facts": self.facts(),
        }

    def facts(self) -> Message:
        return {
            "members": {name: asdict(sight) for name, sight in self.sights.items()},
            "service_ready": self.service_ready,
            "gateway_up": self.gateway_up,
        }

    def status(self) -> Message:
        now = clock()
        nothing: Message = {"members": {}, "service_ready": False, "gateway_up": False, "rates": {}}
        return {
            "region": self.region,
            "voters": sorted(self.quorums.voters),
            "settled": self.quorums.settled == self.quorums.voters,
            "votes": {
                name: {
                    **asdict(vote.promise),
                    "left_ms": vote.left(now) * 1000,
                    "ended_ms": vote.ended(now) * 1000,
                }
                for name, vote in self.votes.items()
            },
            "holds": {
                name: {"term": hold.claim.term, "left_ms": hold.left(now) * 1000} for name, hold in self.holds.items()
            },
            "sights": {
                self.region: {"heard_ms": 0.0, "rates": {}, **self.facts()},
                **{
                    region: {"heard_ms": (now - heard.at) * 1000, "rates": heard.rates, **heard.facts}
                    if (heard := self.heard.get(region))
                    else {"heard_ms": None, **nothing}
                    for region in self.peers
                },
            },
        }

    # --- holder ------------------------------------------------------------------------------------------------------

    def take(self, partition: str, term: int) -> Message:
        self.holds[partition], done = self.holds[partition].take(term)
        self.store()
        if done:
            self.taken_until[partition] = clock() + TAKE_SECONDS
            self.moved[partition].set()
            log.info("%s: asks for term %d", partition, term)
        hold = self.holds[partition]
        return {"done": done, "term": max(hold.claim.term, hold.claim.released), "left_ms": hold.left(clock()) * 1000}

    async def release(self, partition: str) -> Message:
        hold = self.holds[partition]
        term, left = hold.claim.term, hold.left(clock())
        if term == 0:
            return {"term": hold.claim.released}
        self.holds[partition], _ = hold.release(term)
        self.store()
        # The voters let somebody else in as soon as they hear of it, so the member has to know first. One that cannot
        # be told has its lease to the end, and the voters wait for that by themselves.
        if left == 0 or await self.members[partition].end(term):
            self.votes_released(partition, term)
        log.info("%s: released term %d", partition, term)
        return {"term": term}

    def votes_released(self, partition: str, term: int) -> None:
        self.vote(partition, self.votes[partition].release(term, self.region, clock()))
        for peer in self.peers.values():
            self.spawn(self.tell(peer, {"do": "given up", "partition": partition, "term": term}))

    async def tell(self, peer: Peer, message: Message) -> None:
        await peer.ask(message)

    async def tend(self, partition: str) -> None:
        """Look at the member over and over; while it writes, keep its lease and tell it so."""
        member, moved = self.members[partition], self.moved[partition]
        told = (0, 0.0)  # the term and the end that the member knows
        asked_at = 0.0
        while True:
            moved.clear()
            sight = await member.look()
            if sight is None:
                self.sights.pop(partition, None)
            else:
                self.sights[partition] = sight
            writes = sight is not None and sight.role == "writer"
            hold, now = self.holds[partition], clock()
            if writes and not hold.claim.term:
                self.find_first_term(partition)
                hold = self.holds[partition]
            coming = now < self.taken_until.get(partition, 0.0)
            # A new round makes the answers to the last one worthless, and between continents they take longer than the
            # hurry: while some are under way it is let be.
            due = asked_at + (RENEWAL if hold.left(now) > 0 or self.asking else HURRY_SECONDS) - 0.02
            if hold.claim.term and (writes or coming) and now >= due:
                asked_at = now
                self.ask(partition)
                hold = self.holds[partition]
            if not writes:
                told = (0, 0.0)  # whoever was a replica in between has an empty table
            elif (
                (hold.claim.term, hold.until) != told
                and hold.left(now) > 0
                and await member.write(hold.claim.term, hold.left(clock()))  # afresh: looking took time
            ):
                told = (hold.claim.term, hold.until)
            if writes:
                self.taken_until.pop(partition, None)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(moved.wait(), COMING_SECONDS if coming else LOOK_SECONDS)

    def find_first_term(self, partition: str) -> None:
        now = clock()
        known = {self.region: self.votes[partition].promise}
        for region, heard in self.heard.items():
            if now - heard.at < FRESH_SECONDS and partition in heard.promises:
                known[region] = heard.promises[partition]
        term = first_term(known, self.region, self.quorums)
        if term is not None:
            self.holds[partition], _ = self.holds[partition].take(term)
            self.store()

    def ask(self, partition: str) -> None:
        hold = self.holds[partition] = self.holds[partition].ask(clock())
        self.vote_for_itself(partition)
        message = {"do": "grant", "partition": partition, "term": hold.claim.term, "counted": self.counted()}
        for region, peer in self.peers.items():
            self.spawn(self.ask_peer(region, peer, message, hold.round))

    def vote_for_itself(self, partition: str) -> None:
        """In the round that runs. Again where an older lease was given back meanwhile: another round would only begin
        once the farthest voter has answered this one."""
        hold = self.holds.get(partition)
        if hold and hold.claim.term and self.grant(partition, hold.claim.term, self.region, self.counted()):
            self.granted(partition, hold.round, self.region)

    def counted(self) -> list[list[str]]:
        return [sorted(voters) for voters in self.quorums.counted]

    async def ask_peer(self, region: str, peer: Peer, message: Message, round_: int) -> None:
        answer = await peer.ask(message)
        if answer is not None and answer.get("granted") is True:
            self.granted(message["partition"], round_, region)

    def granted(self, partition: str, round_: int, voter: str) -> None:
        if partition in self.holds:
            before = self.holds[partition]
            self.holds[partition] = before.answered(round_, voter, self.quorums)
            if self.holds[partition].until != before.until:
                if before.until == 0:
                    log.info("%s: holds the lease of term %d", partition, before.claim.term)
                self.moved[partition].set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.asking.add(task)
        task.add_done_callback(self.asking.discard)

    # --- around ------------------------------------------------------------------------------------------------------

    async def look_at(self, peer: Peer) -> None:
        while True:
            began = clock()
            answer = await peer.ask({"do": "look"})
            if answer is not None:
                with contextlib.suppress(KeyError, TypeError, AttributeError):  # a keeper of another version
                    self.hear(peer.region, answer)
            await asyncio.sleep(max(0.05, began + LOOK_SECONDS - clock()))

    def hear(self, region: str, answer: Message) -> None:
        settled = answer["quorums"]["settled"]
        now = clock()
        self.heard[region] = Heard(
            at=now,
            quorums=Quorums(
                voters=frozenset(answer["quorums"]["voters"]), settled=None if settled is None else frozenset(settled)
            ),
            promises={name: Promise(**promise) for name, promise in answer["promises"].items()},
            facts=answer["facts"],
            rates=rates(self.heard.get(region), answer["facts"], now),
        )
        said = {name: heard.quorums for name, heard in self.heard.items()}
        before = self.quorums
        self.quorums = before.heard({**said, self.region: before}, clock())
        if self.quorums.settled != before.settled:
            self.store()
            self.follow_voters()
            log.info("the voters are %s", ", ".join(sorted(self.quorums.voters)))

    async def probe(self) -> None:
        while True:
            self.follow_configuration()
            self.service_ready, self.gateway_up = await asyncio.gather(
                service_is_ready(self.config["service"]), gateway_is_up(self.config["gateway"])
            )
            await asyncio.sleep(PROBE_SECONDS)


def main(folder: Path) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        keeper = Keeper(folder)
    except ServerFault as fault:
        log.error("%s", fault)
        return 1
    asyncio.run(keeper.run())
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
