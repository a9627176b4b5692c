"""A member that was away becomes a replica of the writer again: as it is, rewound, or copied anew."""

import time
from collections.abc import Collection

from components.local.servers import keeper, partition_map, paths, postgres, postgres_demotion, process
from components.local.servers.errors import ServerFault
from operations.drivers.local_ground import Ground
from operations.errors import Fault
from operations.failover.driver import Done, Rejoined

STREAM_SECONDS = 10.0
CATCH_UP_SECONDS = 2.0
REPLAY_SECONDS = 300.0  # what a server keeps for its followers (max_slot_wal_keep_size) at some MB a second
GLANCE_SECONDS = 2.0
POLL = 0.05


def rejoin(ground: Ground, region: str, writer: str) -> Rejoined:
    member = ground.member(region)
    ground.require(region)
    ground.require(writer)
    if process.running(paths.gateway_folder(ground.folder, region)) is None:
        raise Fault(
            f"the gateway of {region} does not run, and it is the way to the writer; `up` starts the region's servers, "
            "and leaves the old writer's data as they are"
        )
    running = postgres.is_running(member)
    if running and not postgres_demotion.is_replica(member):
        raise Fault(f"{member.member} runs as a writer; it has to be stopped first")
    point(ground, (region,), writer)
    postgres.ensure_slot(ground.folder, ground.member(writer).endpoint, member.slot)
    if running and streams(ground, region, writer, GLANCE_SECONDS):
        _settle(ground, region)
        return Rejoined(how="followed", already=True)
    postgres.stop(member)
    postgres_demotion.demote(member, ground.way_to_writer(region))
    found = _as_it_is(ground, region, writer) or _rewound(ground, region, writer) or _rebuilt(ground, region, writer)
    _settle(ground, region)
    return found


def _as_it_is(ground: Ground, region: str, writer: str) -> Rejoined | None:
    """Where the writer has all that this member has, it only has to follow."""
    member = ground.member(region)
    if not member.data.exists() or postgres_demotion.rewind_was_cut_short(member):
        return None
    if diverged(ground, region, writer):
        return None
    return Rejoined(how="followed") if _start(ground, region, writer) else None


def _rewound(ground: Ground, region: str, writer: str) -> Rejoined | None:
    member = ground.member(region)
    if not member.data.exists() or postgres_demotion.rewind_was_cut_short(member):
        return None
    postgres.stop(member)
    try:
        postgres_demotion.rewind(member, ground.way_to_writer(region))
        return Rejoined(how="rewound") if _start(ground, region, writer) else None
    except ServerFault:
        return None  # what the log of the rewind says stays; a copy is made instead


def _rebuilt(ground: Ground, region: str, writer: str) -> Rejoined:
    member = ground.member(region)
    log = member.home / "rewind.log"
    why = postgres.reason(log) if log.exists() else "there was nothing to rewind"
    postgres_demotion.set_aside(member)
    postgres.create_replica(member, ground.way_to_writer(region))
    postgres.set_standbys(member, _standbys(ground, region))
    if not streams(ground, region, writer, STREAM_SECONDS):
        raise Fault(f"{member.member} was copied anew and does not follow {writer}")
    return Rejoined(how="rebuilt", detail=f"a rewind would not do: {why}")


def diverged(ground: Ground, region: str, writer: str) -> bool:
    """Whether this stopped member has what the writer never had. Replays first what lies on its disk."""
    member = ground.member(region)
    found = postgres_demotion.control(member)
    last = found.last
    if not found.clean:
        with postgres_demotion.apart(member):
            last = last_replayed(ground, region)
        found = postgres_demotion.control(member)
    try:
        fork = postgres_demotion.fork(ground.folder, ground.member(writer).endpoint, found.timeline)
    except ServerFault:
        return True
    return fork is not None and last > fork.at


def last_replayed(ground: Ground, region: str) -> int:
    """The end of the log that a server apart has on its disk.

    It answers as soon as its data are consistent, which may be long before it has replayed everything; once it has, it
    waits for more (PostgreSQL, monitoring-stats, wait events of the types Activity and Timeout).
    """
    began = time.monotonic()
    with ground.owner(region) as connection:
        while True:
            row = connection.execute(
                "select (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint, "
                "(select wait_event from pg_stat_activity where backend_type = 'startup')"
            ).fetchone()
            assert row is not None
            if row[1] in ("RecoveryRetrieveRetryInterval", "RecoveryWalStream"):
                # Asked once more: the position was read before the event.
                again = connection.execute("select (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint").fetchone()
                assert again is not None
                return int(again[0])
            if time.monotonic() - began > REPLAY_SECONDS:
                raise Fault(f"{ground.member(region).member} has not replayed its own log in {REPLAY_SECONDS:.0f} s")
            time.sleep(POLL)


def _start(ground: Ground, region: str, writer: str) -> bool:
    member = ground.member(region)
    postgres_demotion.settle_settings(member, _standbys(ground, region))
    postgres_demotion.rewound(member)
    try:
        postgres.ensure_started(member)
    except ServerFault:
        return False
    return streams(ground, region, writer, STREAM_SECONDS)


def _standbys(ground: Ground, region: str) -> list[str]:
    return ground.other_members(region) if ground.partition.durability == "quorum" else []


def streams(ground: Ground, region: str, writer: str, seconds: float) -> bool:
    """Whether the writer sends to it, by the writer's own word, and where that is quickly done has sent it all.

    Before it is on the writer's timeline a replica first gets the rest of the one before, in a few trips.
    """
    name, began = ground.member(region).member, time.monotonic()
    with ground.owner(writer) as connection:
        while True:
            states = connection.execute(
                "select state from pg_stat_replication where application_name = %s", (name,)
            ).fetchall()
            waited = time.monotonic() - began
            if ("streaming",) in states or (("catchup",) in states and waited > min(seconds, CATCH_UP_SECONDS)):
                return True
            if waited > seconds:
                return False
            time.sleep(POLL)


def _settle(ground: Ground, region: str) -> None:
    drop_stale_slots(ground, region)
    release(ground, region)


def drop_stale_slots(ground: Ground, region: str) -> None:
    """A replica keeps nothing for others: slots from when it was writer, also those of a move of homes, would hold back
    its log for ever."""
    names = [spec.slot for spec in ground.members.values()]
    with ground.owner(region) as connection:
        connection.execute(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots "
            "where (slot_name = any(%s) or slot_type = 'logical') and not active and pg_is_in_recovery()",
            (names,),
        )


def point(ground: Ground, regions: Collection[str], target: str) -> bool:
    """Replication first, then the map, and last the writes, so that none goes where nobody follows."""
    changed = [ground.point(region, "db", target) for region in regions]
    changed.append(partition_map.point(ground.folder, regions, ground.partition.name, target))
    changed += [ground.point(region, "writer", target) for region in regions]
    return any(changed)


def release(ground: Ground, region: str) -> Done:
    """The keeper beside this member gives up the term that it holds, if it holds one."""
    keepers = ground.keepers_from(region)
    if keepers is None:
        return Done(already=True)
    term = keeper.release(keepers, region, ground.partition.name)
    if term is None:
        raise Fault(f"the keeper of {region} does not answer, so its lease cannot be given back")
    return Done(detail=f"term {term}", already=term == 0)
