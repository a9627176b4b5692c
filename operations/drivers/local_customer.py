"""The customer whose order proves that a partition takes writes: one whose home the partition has.

Which partition has a home changes, and the home of a customer never does. So each such customer is named for the home
that they have, and which of them stands for a partition is found anew each time. Their homes are put down in the
directory of `main` whenever all is well, at the end of `up` and of a move: when it is needed, `main` may be away.
"""

from collections.abc import Callable, Iterable

from components.local.servers import home_move, partition_map, secrets
from components.local.servers.errors import ServerFault
from components.local.servers.home_ranges import owner
from components.local.servers.partition_map import MAIN
from components.local.servers.postgres_files import DATABASE
from operations.drivers.local_ground import Ground
from operations.drivers.trial import CUSTOMER
from operations.errors import Fault
from operations.partitions.homes import PARTS, digest
from topology.homes import born

WRITABLE = "writable"


def name(home: str) -> str:
    return f"{CUSTOMER} {home}"


def writable(ground: Ground, writer: str) -> str | None:
    """A home that the partition's writer may write now, which in the middle of a move are not all that the map gives
    it; None where it has none."""
    with ground.owner(writer, DATABASE) as connection:
        here = tuple((first, WRITABLE if writable else "") for first, writable in home_move.writable(connection))
    return _first(ground, lambda home: owner(here, home) == WRITABLE)


def put_down(ground: Ground, homes: Iterable[str]) -> None:
    """In the directory, unless they stand there. Raises where the writer of `main` cannot be asked."""
    main = ground.of(MAIN)
    writer = partition_map.writers(ground.folder, {MAIN: main.partition.origin})[MAIN]
    main.require(writer)
    key = secrets.read_password(ground.folder, "directory").encode()
    with main.owner(writer, DATABASE) as connection:
        if connection.execute("select not pg_is_in_recovery() and public.may_write()").fetchone() != (True,):
            raise Fault(f"{writer} does not write {MAIN} now")
        home_move.list_in_directory(connection, [(digest(key, name(home)), home) for home in homes])


def prepare(ground: Ground) -> str | None:
    """Put down a customer for each partition of the stack; what stood in the way, in words."""
    if len(ground.summary.partitions) == 1:
        return None
    known = partition_map.newest(ground.folder) or {}
    ranges = partition_map.ranges(known)
    found = [
        home
        for each in ground.summary.partitions
        if (home := _first(ground.of(each.name), lambda home, each=each: owner(ranges, home) == each.name)) is not None
    ]
    try:
        put_down(ground, found)
    except (Fault, ServerFault) as fault:
        return str(fault)
    return None


def _first(ground: Ground, has: Callable[[str], bool]) -> str | None:
    """Of the homes that the partition has, the same one as long as it has it: one that it began with, if it can be."""
    begun = born(ground.partition.slot)[0]
    slots = sorted(
        (born(each.slot)[0] for each in ground.summary.partitions), key=lambda first: (first != begun, first)
    )
    regions = [region.name for region in ground.summary.regions]
    every = (f"{slot}{region}/{part:02x}" for slot in slots for region in regions for part in range(PARTS))
    return next((home for home in every if has(home)), None)
