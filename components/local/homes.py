"""Which partition new customers belong to: said in every region's partition map once everybody can act on it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pulumi

from components.component import Component
from components.contracts import HomesArgs
from components.local.resource import Props, Real, RealProvider, stack_folder
from components.local.servers import partition_map, process, service
from components.local.servers.addresses import Addresses
from components.local.servers.errors import ServerFault
from components.local.servers.home_ranges import BEYOND, MAIN
from components.local.servers.postgres_files import DATABASE, OWNER
from components.local.servers.postgres_session import Connection, session
from topology.homes import newcomers

READY_SECONDS = 30.0

# A request that began under the map of before may give a new customer a home of a given-up partition until it ends.
REQUEST_SECONDS = 5.0

_TAKE_BACK = """
update public.home_ranges
set owned = true, moving_to = null, timeline = null, moved_to = null, changed_at = now()
where not owned and (first < '01/' or first >= 'A')"""

_ASTRAY = "select from public.home_ranges where not owned and moved_to <> all(%s)"
_LEAD = """
update public.home_ranges set moved_to = nullif(%s, %s), changed_at = now()
where first >= %s and first < %s and not owned and moved_to <> all(%s)"""


class NewcomersProvider(RealProvider):
    """Customers that are known stay where they are: only operations move homes. Those of a partition that is not kept
    any more are forgotten, before its databases go: this is updated first."""

    def ensure(self, props: Props) -> Props:
        stack, addresses = stack_folder(props), Addresses(str(props["block"]))
        for region in props["regions"]:
            # A service that runs takes its new members over by itself, and says so when they answer it.
            process.wait_ready(
                lambda region=region: service.members_up(addresses.service(int(region["slot"])), region["partitions"]),
                timeout=READY_SECONDS,
                what=f"the members of {region['name']}",
            )
        partition_map.welcome(stack, regions(props), dict(props["newcomers"]))
        forgotten = partition_map.forget(stack, regions(props), props["kept"])
        if partition_map.retired(stack):  # and not only what was forgotten now: an earlier run may have been cut short
            redirect(props)
            if forget_customers(props) or forgotten:
                time.sleep(REQUEST_SECONDS)
                forget_customers(props)
        return {}

    def is_in_place(self, props: Props) -> bool:
        stack = stack_folder(props)
        return all(
            partition_map.welcomes(stack, region, props["newcomers"])
            and partition_map.is_without_others(stack, region, props["kept"])
            for region in regions(props)
        )

    def remove(self, props: Props) -> None:
        """The other partitions go, and what they had was given up: `main` has its own homes again."""
        stack = stack_folder(props)
        with suppress(ServerFault), at_writer(props, MAIN) as connection:  # or the whole stack goes
            connection.execute("set synchronous_commit = local")
            connection.execute(_TAKE_BACK)
            connection.execute("delete from public.directory")
        partition_map.welcome(stack, regions(props), {})
        partition_map.forget(stack, regions(props))


def forget_customers(props: Props) -> int:
    """In the directory of `main`: those whose home was given up. Who had been moved to another partition stays."""
    lost = partition_map.given_up(partition_map.newest(stack_folder(props)) or {})
    with at_writer(props, MAIN) as connection:
        return sum(
            connection.execute("delete from public.directory where home >= %s and home < %s", each).rowcount
            for each in lost
        )


def redirect(props: Props) -> None:
    """Where a database sends those who ask for homes that it gave away must not be a partition that is gone: homes may
    have been moved on from there."""
    ranges = partition_map.ranges(partition_map.newest(stack_folder(props)) or {})
    ends = (*(first for first, _ in ranges[1:]), BEYOND)
    for name in props["kept"]:
        with at_writer(props, name) as connection, connection.transaction():
            kept = list(props["kept"])
            if not connection.execute(_ASTRAY, (kept,)).fetchall():
                continue
            for (first, holder), last in zip(ranges, ends, strict=True):
                connection.execute("select public.begin_range(%s)", (first,))
                connection.execute(_LEAD, (holder, name, first, last, kept))


@contextmanager
def at_writer(props: Props, partition: str) -> Iterator[Connection]:
    stack = stack_folder(props)
    slots = {str(region["name"]): int(region["slot"]) for region in props["regions"]}
    writer = partition_map.writers(stack, {partition: next(iter(slots))})[partition]
    if writer not in slots:
        raise ServerFault(f"{writer} writes {partition}, and is no region with a service")
    partition_slot = 0 if partition == MAIN else int(props["kept"][partition])
    at = Addresses(str(props["block"])).postgres(slots[writer], partition_slot)
    with session(stack, at, OWNER, DATABASE) as connection:
        yield connection


def regions(props: Props) -> list[str]:
    return [str(region["name"]) for region in props["regions"]]


class Newcomers(Real, module="local", name="Newcomers"):
    provider = NewcomersProvider


class Homes(Component):
    """Outputs: `homes_id`."""

    homes_id: pulumi.Output[str]

    def __init__(self, name: str, args: HomesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("local", name, opts)
        topology = args.topology
        first = Newcomers(
            f"{name}-newcomers",
            {
                "stack": topology.environment,
                "block": args.ground,
                "newcomers": newcomers(topology),
                "regions": [
                    {
                        "name": region.name,
                        "slot": region.slot,
                        "partitions": [topology.member(member).partition for member in region.members],
                    }
                    for region in topology.regions_in_use
                    if region.has_service
                ],
                "kept": {partition.name: partition.slot for partition in topology.partitions},
                "members": list(args.member_ids.values()),
                "services": list(args.service_ids.values()),
                "leases": list(args.lease_ids.values()),
            },
            self.child(),
        )
        self.homes_id = first.id
        self.expose(homes_id=self.homes_id)
