"""Keepers from outside: their specification as processes, and the questions that operations ask them.

A keeper is a voter for every partition's lease, and for a partition whose writer stands beside it also the holder. What
that means is in keeper_lease.py; here is how to start one and how to talk to it.

Operations stand somewhere: with a `vantage` every question leads through that region's links, so that whoever stands in
a region that is cut off reaches what that region reaches and no more.
"""

import json
import shutil
import socket
import ssl
import sys
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from components.local.servers import certificates, paths, process, progress, secrets
from components.local.servers.addresses import Addresses, Endpoint
from components.local.servers.keeper_wire import client_context, server_name
from components.local.servers.postgres_files import DATABASE, KEEPER
from components.local.servers.process import Running, ServerSpec
from components.local.servers.progress import OnWait

CONFIG = "config.json"
ASK_SECONDS = 2.0
START_SECONDS = 30.0


# --- what keepers answer ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class VoteView:
    """What a keeper, as a voter, has promised for a partition."""

    term: int
    """Nothing below is granted or renewed any more; 0 when it has never heard of one."""

    holder: str | None
    """Whose the term is; None while it is only fenced and nobody has asked for it."""

    left_ms: float
    """How long a lease that it granted may still last, by its own clock; 0: none does."""

    ended_ms: float
    """For how long none that it granted can have lasted any more; 0 while one may."""


@dataclass(frozen=True, kw_only=True)
class HoldView:
    """What a keeper, as the holder beside a member, has."""

    term: int
    """The term that it asks for; 0 when none was ever taken, or the last one was released."""

    left_ms: float
    """How long the member beside it may still write; 0: it may not."""


@dataclass(frozen=True, kw_only=True)
class MemberSight:
    role: Literal["writer", "replica"]
    received_lsn: int
    replayed_lsn: int


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What a keeper knows of a region."""

    heard_ms: float | None
    """How long ago that region's keeper answered this one; 0 for its own region, None: never."""

    members: Mapping[str, MemberSight]
    """By partition; a member that does not answer its own keeper is missing."""

    rates: Mapping[str, float]
    """By partition that the region writes: the most of late, in bytes of log a second."""

    service_ready: bool
    gateway_up: bool


@dataclass(frozen=True, kw_only=True)
class KeeperView:
    """One keeper's answer: its votes, its holds, and its region as a vantage point."""

    region: str
    voters: tuple[str, ...]
    settled: bool
    """Whether these voters alone count by now; for a while after a change the former ones do too."""

    votes: Mapping[str, VoteView]  # by partition
    holds: Mapping[str, HoldView]  # by partition that has a member in this region
    sights: Mapping[str, Sight]  # by region that has a keeper, its own too


@dataclass(frozen=True, kw_only=True)
class Fenced:
    """A voter's answer to `fence`."""

    term: int
    """What it promises now. Higher than what was asked: somebody else is further, and has fenced that too."""

    left_ms: float
    """How long a lease that it granted below the asked term may still last, by its own clock."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A keeper's answer to `take`."""

    done: bool
    """False: it has, or gave up, this term or a higher one for another reason; `term` says which."""

    term: int

    left_ms: float
    """How long the member beside it may write by now; 0: nothing is granted yet."""


# --- questions -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Keepers:
    """The keepers of a stack as seen from a place."""

    stack: Path  # the stack's folder
    addresses: Addresses
    slots: Mapping[str, int]  # the regions that have a keeper (topology.witnesses.keepers) -> slot
    vantage: str | None = None  # the region that the operator stands in; None: at each keeper's own door

    @property
    def majority(self) -> int:
        return len(self.slots) // 2 + 1


def views(
    keepers: Keepers, *, among: Collection[str] | None = None, timeout: float = ASK_SECONDS
) -> dict[str, KeeperView | None]:
    """Every keeper's view, by region; None for one that does not answer in time. All are asked at once.

    `among`: only these are asked, where somebody already knows that the others are gone.

    Being asked also makes a keeper look after its member at once, so that a member that was promoted a moment ago has
    its lease as soon as somebody watches for it.
    """
    asked = [region for region in keepers.slots if among is None or region in among]
    answers = _ask_all(keepers, asked, {"do": "status"}, timeout)
    return {region: None if answer is None else _view(answer) for region, answer in answers.items()}


def fence(
    keepers: Keepers, partition: str, term: int, *, among: Collection[str] | None = None, timeout: float = ASK_SECONDS
) -> dict[str, Fenced | None]:
    """Make every voter promise to renew nothing below `term`; None for one that does not answer.

    Once a majority answered, the old writer's lease ends by itself after the longest `left_ms` among them at the
    latest. Asking again is harmless, and tells what is left by then. The next term is `highest_term(...) + 1`.
    """
    asked = [region for region in keepers.slots if among is None or region in among]
    answers = _ask_all(keepers, asked, {"do": "fence", "partition": partition, "term": term}, timeout)
    return {
        region: None if answer is None else Fenced(term=int(answer["term"]), left_ms=float(answer["left_ms"]))
        for region, answer in answers.items()
    }


def take(keepers: Keepers, region: str, partition: str, term: int, *, timeout: float = ASK_SECONDS) -> Taken | None:
    """Hand the term to the keeper beside the member that is to write; None when it does not answer.

    It begins to ask the voters at once, while its member is still a replica, and goes on for `TAKE_SECONDS`. Once its
    `HoldView.left_ms` is above 0 a majority has granted, so no other lease is valid any more: that is the proof on
    which a member may be promoted. Durable; taking the same term again is harmless.
    """
    answer = ask(keepers, region, {"do": "take", "partition": partition, "term": term}, timeout=timeout)
    if answer is None:
        return None
    return Taken(done=bool(answer["done"]), term=int(answer["term"]), left_ms=float(answer["left_ms"]))


def release(keepers: Keepers, region: str, partition: str, *, timeout: float = ASK_SECONDS) -> int | None:
    """Make the keeper in `region` give up its term for good, tell its member and the voters. None: no answer.

    For a planned switchover, after writes are held: the next holder then need not wait for the lease to run out. A
    released term is never asked for again, by nobody. Returns it; 0 where there never was one.
    """
    answer = ask(keepers, region, {"do": "release", "partition": partition}, timeout=timeout)
    return None if answer is None else int(answer["term"])


def highest_term(found: Mapping[str, KeeperView | None], partition: str) -> int:
    """The highest term that any of these keepers has heard of; 0 when none has."""
    known = [view for view in found.values() if view is not None]
    votes = [view.votes[partition].term for view in known if partition in view.votes]
    return max([*votes, *(view.holds[partition].term for view in known if partition in view.holds)], default=0)


def holder(found: Mapping[str, KeeperView | None], partition: str) -> str | None:
    """The region whose lease is valid now, by the holder's own word; None when no keeper that answers has one."""
    for region, view in found.items():
        if view is not None and partition in view.holds and view.holds[partition].left_ms > 0:
            return region
    return None


def ask(
    keepers: Keepers, region: str, message: Mapping[str, Any], *, timeout: float = ASK_SECONDS
) -> dict[str, Any] | None:
    """One question to one keeper, and its answer; None when it cannot be reached, does not answer, or refuses."""
    try:
        with _connect(keepers, region, timeout) as connection:
            connection.sendall(json.dumps(dict(message)).encode() + b"\n")
            answer = json.loads(connection.makefile("rb").readline())
    except (OSError, ValueError):
        return None
    return answer if isinstance(answer, dict) and "fault" not in answer else None


def _ask_all(
    keepers: Keepers, regions: Iterable[str], message: Mapping[str, Any], timeout: float
) -> dict[str, dict[str, Any] | None]:
    names = list(regions)
    with ThreadPoolExecutor(max_workers=max(1, len(names))) as pool:
        answers = pool.map(lambda region: ask(keepers, region, message, timeout=timeout), names)
    return dict(zip(names, answers, strict=True))


def _connect(keepers: Keepers, region: str, timeout: float) -> ssl.SSLSocket:
    """To a keeper's own door, or over the link from where the operator stands, with that region's certificate."""
    standing = keepers.vantage or region
    slot = keepers.slots[region]
    if standing == region:
        target = keepers.addresses.keeper(slot)
    else:
        target = keepers.addresses.keeper_link(keepers.slots[standing], slot)
    context = client_context(*certificates.region_files(keepers.stack, standing))
    plain = socket.create_connection(target, timeout)
    try:
        return context.wrap_socket(plain, server_hostname=server_name(region))
    except BaseException:
        plain.close()
        raise


def _view(answer: Mapping[str, Any]) -> KeeperView:
    return KeeperView(
        region=str(answer["region"]),
        voters=tuple(answer["voters"]),
        settled=bool(answer["settled"]),
        votes={name: VoteView(**vote) for name, vote in answer["votes"].items()},
        holds={name: HoldView(**hold) for name, hold in answer["holds"].items()},
        sights={
            region: Sight(
                heard_ms=sight["heard_ms"],
                members={name: MemberSight(**member) for name, member in sight["members"].items()},
                rates=sight["rates"],
                service_ready=bool(sight["service_ready"]),
                gateway_up=bool(sight["gateway_up"]),
            )
            for region, sight in answer["sights"].items()
        },
    )


# --- processes -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class KeeperSpec:
    stack_folder: Path
    region: str
    slot: int
    addresses: Addresses
    voters: Mapping[str, int]
    """The regions that have a keeper, this one too -> slot."""

    partitions: tuple[str, ...]
    members: Mapping[str, Endpoint] = field(default_factory=dict)  # this region's own, by partition
    service: Endpoint | None = None
    gateway: Endpoint | None = None

    @property
    def folder(self) -> Path:
        return paths.keeper_folder(self.stack_folder, self.region)

    @property
    def config(self) -> dict[str, Any]:
        """What the process reads, again whenever it changes: no change of the topology restarts it."""
        return {
            "region": self.region,
            "listen": self.addresses.keeper(self.slot),
            "voters": {
                name: None if name == self.region else self.addresses.keeper_link(self.slot, slot)
                for name, slot in sorted(self.voters.items())
            },
            "partitions": sorted(self.partitions),
            "members": dict(sorted(self.members.items())),
            "service": self.service,
            "gateway": self.gateway,
            "database": {
                "name": DATABASE,
                "user": KEEPER,
                "password_file": str(secrets.password_file(self.stack_folder, KEEPER)),
            },
            "certificates": [str(path) for path in certificates.region_files(self.stack_folder, self.region)],
        }


def ensure_started(spec: KeeperSpec, *, on_wait: OnWait = progress.report) -> Running:
    """It runs and uses `spec`; what runs already is not restarted."""
    _tell_those_that_leave(spec)
    former = _former(spec)
    paths.write_if_changed(spec.folder / CONFIG, json.dumps({**spec.config, "former": former}, indent=2) + "\n")
    endpoint = spec.addresses.keeper(spec.slot)
    server = process.start(
        ServerSpec(
            name=f"the keeper of {spec.region}",
            folder=spec.folder,
            stack_folder=spec.stack_folder,
            log=spec.folder / "keeper.log",
            endpoints=(endpoint,),
            command=(sys.executable, "-m", "components.local.servers.keeper_process", str(spec.folder)),
            environment={"PYTHONPATH": str(paths.PROJECT), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"},
        )
    )
    here = Keepers(stack=spec.stack_folder, addresses=spec.addresses, slots={spec.region: spec.slot})
    process.wait_ready(
        lambda: _uses(here, spec),
        timeout=START_SECONDS,
        what=f"the keeper of {spec.region}",
        server=server,
        on_wait=on_wait,
    )
    return server


def _former(spec: KeeperSpec) -> dict[str, Any]:
    """The ways to voters of before, whose majority counts until the new ones have settled; who left long ago is not
    asked, though its way may still stand here."""
    before = paths.read_json(spec.folder / CONFIG) or {}
    known = {**before.get("former", {}), **before.get("voters", {})}
    return {region: place for region, place in sorted(known.items()) if place and region not in spec.voters}


def _tell_those_that_leave(spec: KeeperSpec) -> None:
    """Where most of the old voters leave at once, only they can make up the old majority that has to be told.

    `up` stops them last. The ways that they have are enough: they ask nobody any more, they are asked.
    """
    for path in spec.stack_folder.glob(f"regions/*/{spec.folder.name}/{CONFIG}"):
        config = paths.read_json(path)
        if config is not None and config["region"] not in spec.voters:
            ways = {region: config["voters"].get(region) for region in sorted(spec.voters)}
            paths.write_if_changed(path, json.dumps({**config, "voters": ways}, indent=2) + "\n")


def _uses(here: Keepers, spec: KeeperSpec) -> bool:
    seen = views(here, timeout=1.0)[spec.region]
    return (
        seen is not None
        and set(seen.voters) == set(spec.voters)
        and set(seen.holds) == set(spec.members)
        and set(spec.partitions) <= set(seen.votes)
    )


def is_running(stack_folder: Path, region: str) -> bool:
    return process.running(paths.keeper_folder(stack_folder, region)) is not None


def stop(stack_folder: Path, region: str) -> bool:
    return process.stop(paths.keeper_folder(stack_folder, region), timeout=5.0)


def remove(stack_folder: Path, region: str) -> None:
    """Stop it and forget what it promised: for a region that is given up."""
    stop(stack_folder, region)
    shutil.rmtree(paths.keeper_folder(stack_folder, region), ignore_errors=True)
