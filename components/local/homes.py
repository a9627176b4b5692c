"""Which partition new customers belong to: said in every region's partition map once everybody can act on it."""

from contextlib import suppress

import pulumi

from components.component import Component
from components.contracts import HomesArgs
from components.local.resource import Props, Real, RealProvider, stack_folder
from components.local.servers import partition_map, process, service
from components.local.servers.addresses import Addresses
from components.local.servers.errors import ServerFault
from components.local.servers.partition_map import MAIN
from components.local.servers.postgres_files import DATABASE, OWNER
from components.local.servers.postgres_session import session
from topology.homes import newcomers

READY_SECONDS = 30.0

_TAKE_BACK = """
do $$
begin
    update public.home_ranges
    set owned = true, moving_to = null, timeline = null, moved_to = null, changed_at = now()
    where not owned and (first < '01/' or first >= 'A');
    delete from public.directory;
end;
$$"""


class NewcomersProvider(RealProvider):
    """Customers that are known stay where they are: only operations move homes."""

    def ensure(self, props: Props) -> Props:
        addresses = Addresses(str(props["block"]))
        for region in props["regions"]:
            # A service that runs takes its new members over by itself, and says so when they answer it.
            process.wait_ready(
                lambda region=region: service.members_up(addresses.service(int(region["slot"])), region["partitions"]),
                timeout=READY_SECONDS,
                what=f"the members of {region['name']}",
            )
        partition_map.welcome(stack_folder(props), regions(props), dict(props["newcomers"]))
        return {}

    def is_in_place(self, props: Props) -> bool:
        stack = stack_folder(props)
        return all(partition_map.welcomes(stack, region, props["newcomers"]) for region in regions(props))

    def remove(self, props: Props) -> None:
        """The other partitions go, and what they had was given up: `main` has its own homes again."""
        stack = stack_folder(props)
        slots = {str(region["name"]): int(region["slot"]) for region in props["regions"]}
        writer = partition_map.writers(stack, {MAIN: next(iter(slots))})[MAIN]
        if writer in slots:
            at = Addresses(str(props["block"])).postgres(slots[writer], 0)
            with suppress(ServerFault), session(stack, at, OWNER, DATABASE) as connection:  # or the whole stack goes
                connection.execute("set synchronous_commit = local")
                connection.execute(_TAKE_BACK)
        partition_map.forget(stack, regions(props))


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
                "members": list(args.member_ids.values()),
                "services": list(args.service_ids.values()),
                "leases": list(args.lease_ids.values()),
            },
            self.child(),
        )
        self.homes_id = first.id
        self.expose(homes_id=self.homes_id)
