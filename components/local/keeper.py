"""A region's keeper, and the ways that it speaks to the other keepers over."""

import pulumi

from components.component import Component
from components.contracts import KeeperArgs
from components.local.network import Link
from components.local.resource import Props, Real, RealProvider, stack_folder
from components.local.servers import keeper
from components.local.servers.addresses import Addresses
from topology.witnesses import keepers


class KeeperServerProvider(RealProvider):
    """The process. It reads its configuration again by itself, so no change of the topology restarts it."""

    identity = ("stack", "region")

    def ensure(self, props: Props) -> Props:
        keeper.ensure_started(spec(props))
        return {}

    def is_in_place(self, props: Props) -> bool:
        return keeper.is_running(stack_folder(props), str(props["region"]))

    def remove(self, props: Props) -> None:
        keeper.remove(stack_folder(props), str(props["region"]))


def spec(props: Props) -> keeper.KeeperSpec:
    addresses, slot = Addresses(str(props["block"])), int(props["slot"])
    return keeper.KeeperSpec(
        stack_folder=stack_folder(props),
        region=str(props["region"]),
        slot=slot,
        addresses=addresses,
        voters={str(name): int(number) for name, number in props["voters"].items()},
        partitions=tuple(props["partitions"]),
        members={str(entry["partition"]): addresses.postgres(slot, int(entry["slot"])) for entry in props["members"]},
        service=addresses.service(slot) if props["service"] else None,
        gateway=addresses.gateway_http(slot) if props["gateway"] else None,
    )


class KeeperServer(Real, module="local", name="KeeperServer"):
    provider = KeeperServerProvider


class Keeper(Component):
    """Outputs: `keeper_id`."""

    keeper_id: pulumi.Output[str]

    def __init__(self, name: str, args: KeeperArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("local", name, opts)
        topology, region = args.topology, args.region
        voters = {voter: topology.region(voter).slot for voter in keepers(topology)}
        links: list[pulumi.Input[pulumi.Resource]] = [
            Link(
                f"{name}-to-{other}",
                {
                    "stack": topology.environment,
                    "block": args.transit,
                    "users": False,
                    "keeper": True,
                    "source": region.name,
                    "source_slot": region.slot,
                    "target": other,
                    "target_slot": slot,
                    "one_way_ms": topology.link(region.name, other).one_way_ms,
                },
                self.child(),
            )
            for other, slot in voters.items()
            if other != region.name
        ]
        server = KeeperServer(
            f"{name}-server",
            {
                "stack": topology.environment,
                "block": args.ground,
                "region": region.name,
                "slot": region.slot,
                "voters": voters,
                "partitions": [partition.name for partition in topology.partitions if partition.members],
                # By slot and not by id: it stands beside its member, and waits for nothing that it watches.
                "members": [
                    {"partition": partition, "slot": topology.partition(partition).slot}
                    for partition in (topology.member(member).partition for member in region.members)
                ],
                "service": region.has_service,
                "gateway": region.in_use,
                "certificate": args.key_ids["transit"],
            },
            self.child(depends_on=links),
        )
        self.keeper_id = server.id
        self.expose(keeper_id=self.keeper_id)
