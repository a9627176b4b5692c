"""A region's gateway, and its paths through the wide area network to the other regions in use."""

import shutil
from pathlib import Path

import pulumi

from components.component import Component
from components.contracts import NetworkArgs
from components.local.resource import Props, Real, RealProvider, stack_folder
from components.local.servers import gateway, partition_map, paths, process, wan
from components.local.servers.addresses import Addresses
from topology.homes import born


class LinkProvider(RealProvider):
    """A directed path through the wide area network, with the delay of the real distance.

    `users` marks a path from a place where users are to a region's entrance: cutting what lies between two regions
    must not cut the users' ways. `keeper` marks the part of a path over which two regions' keepers speak.
    """

    identity = ("stack", "users", "keeper", "source", "target")

    def identify(self, props: Props) -> str:
        return link_name(props)

    def ensure(self, props: Props) -> Props:
        addresses = Addresses(str(props["block"]))
        source, target = int(props["source_slot"]), int(props["target_slot"])
        if props.get("keeper"):
            listen, leads_to = addresses.keeper_link(source, target), addresses.keeper(target)
        elif props["users"]:
            listen, leads_to = addresses.user_link(source, target), addresses.gateway_http(target)
        else:
            listen, leads_to = addresses.link(source, target), addresses.gateway_peer(target)
        wan.put_link(
            stack_folder(props),
            link_name(props),
            listen=listen,
            target=leads_to,
            one_way_ms=float(props["one_way_ms"]),
        )
        return {}

    def is_in_place(self, props: Props) -> bool:
        return wan.has_link(stack_folder(props), link_name(props))

    def remove(self, props: Props) -> None:
        wan.remove_link(stack_folder(props), link_name(props))


def link_name(props: Props) -> str:
    if props.get("keeper"):
        return wan.keeper_link_name(str(props["source"]), str(props["target"]))
    return wan.link_name(str(props["source"]), str(props["target"]), users=bool(props["users"]))


class Link(Real, module="local", name="Link"):
    provider = LinkProvider


class GatewayProvider(RealProvider):
    """The region's Envoy. Its files change while it runs; no change of the topology restarts it."""

    identity = ("stack", "region")

    def ensure(self, props: Props) -> Props:
        stack, region = stack_folder(props), str(props["region"])
        # Who writes a partition is read from what runs; the origin counts only while nothing does.
        origins = {entry["name"]: str(entry["origin"]) for entry in props["partitions"]}
        first = {entry["name"]: born(int(entry["slot"])) for entry in props["partitions"]}
        partition_map.ensure(stack, region, origins, first)
        slots = {str(name): int(slot) for name, slot in props["slots"].items()}
        writers = {name: (writer, slots[writer]) for name, writer in partition_map.writers(stack, origins).items()}
        gateway.ensure_started(spec(props), writers)
        return {}

    def is_in_place(self, props: Props) -> bool:
        stack, region = stack_folder(props), str(props["region"])
        return process.running(paths.gateway_folder(stack, region)) is not None and partition_map.is_there(
            stack, region
        )

    def remove(self, props: Props) -> None:
        stack, region = stack_folder(props), str(props["region"])
        gateway.stop(stack, region)
        shutil.rmtree(paths.gateway_folder(stack, region), ignore_errors=True)
        paths.partition_map(stack, region).unlink(missing_ok=True)


def spec(props: Props) -> gateway.GatewaySpec:
    addresses, slot = Addresses(str(props["block"])), int(props["slot"])
    partitions = {str(entry["name"]): int(entry["slot"]) for entry in props["partitions"]}
    return gateway.GatewaySpec(
        stack=stack_folder(props),
        region=str(props["region"]),
        slot=slot,
        addresses=addresses,
        partitions=partitions,
        members={name: addresses.postgres(slot, partitions[name]) for name in props["members"]},
        service=addresses.service(slot) if props["service"] else None,
        programs=Path(props["folder"]) if props.get("folder") else None,
    )


class Gateway(Real, module="local", name="Gateway"):
    provider = GatewayProvider


class Network(Component):
    """Outputs: `network_id`, the region's gateway; there are no subnets on loopback, so the rest is empty."""

    network_id: pulumi.Output[str]
    subnet_ids: dict[str, list[pulumi.Output[str]]]
    group_ids: dict[str, pulumi.Output[str]]
    route_table_ids: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("local", name, opts)
        topology, region = args.topology, args.region
        links: list[pulumi.Input[pulumi.Resource]] = [
            Link(
                f"{name}-to-{link.target}",
                {
                    "stack": topology.environment,
                    "block": args.transit,
                    "users": False,
                    "source": link.source,
                    "source_slot": region.slot,
                    "target": link.target,
                    "target_slot": topology.region(link.target).slot,
                    "one_way_ms": link.one_way_ms,
                },
                self.child(),
            )
            for link in args.links
        ]
        gateway_ = Gateway(
            f"{name}-gateway",
            {
                "stack": topology.environment,
                "block": args.ground,
                "region": region.name,
                "slot": region.slot,
                # A writer may be in any planned region after a failover, also in one that the settings never named.
                "slots": {planned.name: planned.slot for planned in topology.regions},
                "partitions": [
                    {"name": partition.name, "slot": partition.slot, "origin": partition.origin}
                    for partition in topology.partitions
                    if partition.members
                ],
                "members": [topology.member(member).partition for member in region.members],
                "service": region.has_service,
                "folder": topology.local.envoy_folder if topology.local else None,
                "certificate": args.key_ids["transit"],
            },
            self.child(depends_on=links),
        )
        self.network_id = gateway_.id
        self.subnet_ids, self.group_ids, self.route_table_ids = {}, {}, {}
        self.expose(
            network_id=self.network_id,
            subnet_ids=self.subnet_ids,
            group_ids=self.group_ids,
            route_table_ids=self.route_table_ids,
        )
