"""What can be seen of a local stack's partition from one place, all of it asked at the same time."""

import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor

from components.local.servers import entry, gateway, keeper, partition_map, postgres_status
from components.local.servers.keeper import KeeperView
from components.local.servers.keeper_lease import silent
from components.local.servers.postgres_status import MemberStatus
from operations.drivers.local import is_ready
from operations.drivers.local_ground import Ground
from operations.failover.driver import LeaseFacts, MemberFacts, Observation

MEMBER_SECONDS = 1.0
NEAR_SECONDS = 0.5  # a service or a gateway, asked in its own region
HEARD_MS = 800.0  # a keeper asks its peers every quarter of a second, and the farthest answers within another

Views = Mapping[str, KeeperView | None]


def observe(ground: Ground, among: Collection[str] | None = None) -> Observation:
    """`among`: the regions to ask; of the others nothing is known.

    With a quorum those are asked for their members alone: what is lost is then known from the positions, and the
    keepers take two trips to answer while writes stand still.
    """
    at = time.time()
    brief = among is not None and ground.partition.durability == "quorum"
    asked = ground.used if among is None else tuple(region for region in ground.used if region in among)
    reached = ground.reachable(asked)
    here = [region for region in reached if region in ground.members]
    with ThreadPoolExecutor(3 * len(ground.used) ** 2 + 4, thread_name_prefix="observe") as pool:
        members = pool.submit(
            postgres_status.statuses,
            ground.folder,
            {ground.members[region].member: ground.members[region].endpoint for region in here},
            timeout=MEMBER_SECONDS,
        )
        keepers = None if brief else ground.keepers
        # Those of witnesses are asked always: no member tells whether they are gone.
        voters = [name for name in keepers.slots if name in asked or name not in ground.used] if keepers else []
        views_ = {region: pool.submit(_view, ground, keepers, region) for region in voters} if keepers else {}
        sights = {
            (source, target): pool.submit(ground.answers, source, target)
            for source in reached
            for target in asked
            if source != target and not brief
        }
        ready = {
            region: pool.submit(is_ready, ground.addresses.service(ground.slots[region]), NEAR_SECONDS)
            for region in here
        }
        up = {
            region: pool.submit(gateway.is_ready, ground.addresses, ground.slots[region], timeout=NEAR_SECONDS)
            for region in here
        }
        found = {region: members.result()[ground.members[region].member] for region in here}
        views: Views = {region: view.result() for region, view in views_.items()}
        serving = {region: ready[region].result() is True and up[region].result() for region in here}
        seen = {pair: sight.result() for pair, sight in sights.items()}

    pointers = {region: ground.pointed_at(region, "writer") for region in reached}
    writer = _writer(ground, found, reached)
    last_known = _last_known(ground, found, views, writer)
    facts = {
        region: _facts(ground, region, found.get(region), serving.get(region, False), writer, last_known, views)
        for region in ground.members
    }
    synchronous = [status.synchronous_standby_names for status in found.values() if status is not None]
    quorum = ground.partition.durability == "quorum" and bool(synchronous) and all(synchronous)
    held = set(entry.held_out(ground.folder))
    return Observation(
        at=at,
        writer=writer,
        members=facts,
        vantages=_vantages(ground, reached, seen, views),
        lease=None if brief else _lease(ground, views),
        admitted=frozenset(
            region.name
            for region in ground.summary.regions
            if region.in_use and region.serving.value != "none" and region.name not in held
        ),
        pointers=pointers,
        quorum=frozenset(region for region in ground.members if region != writer) if quorum else frozenset(),
        down=frozenset(region for region in here if found[region] is None and not _is_seen(ground, views, region)),
        silent_seconds=_silent_seconds(ground, views),
        bytes_per_second=_rate(ground, views, writer),
    )


def _is_seen(ground: Ground, views: Views, region: str) -> bool:
    """Whether the keeper beside a member has an answer of it."""
    view = views.get(region)
    return view is not None and ground.partition.name in view.sights[region].members


def _silent_seconds(ground: Ground, views: Views) -> float:
    name = ground.partition.name
    ended = [view.votes[name].ended_ms / 1000 for view in views.values() if view is not None and name in view.votes]
    return silent(ended, ground.keepers.majority) if ground.keepers else 0.0


def _rate(ground: Ground, views: Views, writer: str | None) -> float | None:
    """The most that the writer was seen to write of late."""
    name = ground.partition.name
    sights = [sight for view in views.values() if view for region, sight in view.sights.items() if region == writer]
    return max((sight.rates[name] for sight in sights if name in sight.rates), default=None)


def _view(ground: Ground, keepers: keeper.Keepers, region: str) -> KeeperView | None:
    """One trip for the handshake, one for the question."""
    return keeper.views(keepers, among=(region,), timeout=ground.patience(ground.vantage, region, 2))[region]


def _writer(ground: Ground, found: Mapping[str, MemberStatus | None], reached: tuple[str, ...]) -> str | None:
    writers = [(status.timeline, region) for region, status in found.items() if status and status.role == "writer"]
    if writers:
        return max(writers)[1]
    # Nobody says so now: who wrote last is in the newest map that can be read from here.
    maps = [
        (copy["version"], copy["partitions"][ground.partition.name]["writer"])
        for region in reached
        if (copy := partition_map.read(ground.folder, region)) and ground.partition.name in copy["partitions"]
    ]
    return max(maps)[1] if maps else None


def _last_known(
    ground: Ground, found: Mapping[str, MemberStatus | None], views: Views, writer: str | None
) -> tuple[int, float] | None:
    """The writer's last position that anybody here knows, and how many seconds ago that was."""
    status = found.get(writer or "")
    if status is not None and status.role == "writer":
        return status.flush_lsn, 0.0
    heard = [
        (sight.members[ground.partition.name].received_lsn, sight.heard_ms / 1000)
        for view in views.values()
        if view is not None
        for region, sight in view.sights.items()
        if region == writer and sight.heard_ms is not None and ground.partition.name in sight.members
    ]
    return max(heard, default=None)


def _facts(
    ground: Ground,
    region: str,
    status: MemberStatus | None,
    serving: bool,
    writer: str | None,
    last_known: tuple[int, float] | None,
    views: Views,
) -> MemberFacts:
    if status is None:
        return MemberFacts(
            role=None,
            reachable=False,
            accepts_writes=False,
            received_lsn=None,
            replayed_lsn=None,
            lag_bytes=None,
            lag_seconds=None,
            can_take_load=False,
            why_not="it does not answer",
        )
    why_not = _why_not(ground, region, serving, writer)
    return MemberFacts(
        role=status.role,
        reachable=True,
        accepts_writes=status.role == "writer" and not status.held and _may_write(ground, region, views),
        received_lsn=status.flush_lsn,
        replayed_lsn=status.replay_lsn,
        lag_bytes=None if last_known is None else max(0, last_known[0] - status.flush_lsn),
        lag_seconds=_lag_seconds(status, last_known),
        can_take_load=not why_not,
        why_not=why_not,
        timeline=status.timeline,
        following=ground.pointed_at(region, "db") if status.role == "replica" and status.streaming else None,
    )


def _lag_seconds(status: MemberStatus, last_known: tuple[int, float] | None) -> float | None:
    """The age of the last moment at which the member surely had everything.

    What the writer's keeper said last is one such moment, where the member has as much; another is the commit that it
    replayed last.
    """
    if status.role == "writer":
        return 0.0
    moments = [] if status.since_replay_ms is None else [status.since_replay_ms / 1000]
    if last_known is not None and status.flush_lsn >= last_known[0]:
        moments.append(last_known[1])
    return min(moments, default=None)


def _may_write(ground: Ground, region: str, views: Views) -> bool:
    """Whether a writer's lease, where it needs one, may still run; also where nobody was asked for it."""
    if not views:
        return True
    name, view = ground.partition.name, views.get(region)
    if view is not None and name in view.holds:
        return view.holds[name].left_ms > 0
    votes = [view.votes[name] for view in views.values() if view is not None and name in view.votes]
    return any(vote.holder == region and vote.left_ms > 0 for vote in votes)


def _why_not(ground: Ground, region: str, serving: bool, writer: str | None) -> str:
    plan = ground.summary.region(region)
    if plan is None or plan.serving.value == "none":
        return "the region has no service"
    sizes = ground.partition.members
    mine, its = (
        sizes[ground.members[region].member],
        sizes.get(ground.members[writer].member) if writer in ground.members else None,
    )
    if mine == "minimal" and its not in (mine, None):
        return f"its member is {mine}, the writer's is {its}"
    return "" if serving else "its service or its gateway is not ready"


def _vantages(
    ground: Ground, reached: tuple[str, ...], seen: Mapping[tuple[str, str], bool], views: Views
) -> dict[str, dict[str, bool]]:
    """Each region's own look at the others: through its gateway, or by its keeper."""
    found: dict[str, dict[str, bool]] = {}
    for (source, target), answered in seen.items():
        found.setdefault(source, {})[target] = answered
    for source, view in views.items():
        for target, sight in view.sights.items() if view is not None else ():
            if target != source and (source in found or source not in ground.used):
                heard = sight.heard_ms is not None and sight.heard_ms < HEARD_MS
                mine = found.setdefault(source, {})
                mine[target] = mine.get(target, False) or heard
    return found


def _lease(ground: Ground, views: Views) -> LeaseFacts | None:
    keepers, name = ground.keepers, ground.partition.name
    if keepers is None:
        return None
    answered = [view for view in views.values() if view is not None]
    running = [view.votes[name] for view in answered if name in view.votes and view.votes[name].left_ms > 0]
    latest = max(running, key=lambda vote: vote.term, default=None)
    return LeaseFacts(
        holder=latest.holder if latest else None,
        term=keeper.highest_term(views, name),
        left_seconds=max((vote.left_ms for vote in running), default=0.0) / 1000,
        quorum_reachable=len(answered) >= keepers.majority,
    )
