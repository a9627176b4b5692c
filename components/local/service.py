"""A region's instance of the order service."""

import pulumi

from components.component import Component
from components.contracts import ServiceArgs
from components.local.resource import Props, Real, RealProvider, endpoint, stack_folder
from components.local.servers import paths, service
from components.local.servers.addresses import Addresses


class OrderServiceProvider(RealProvider):
    identity = ("stack", "region")

    def ensure(self, props: Props) -> Props:
        service.ensure_started(spec(props))
        return {}

    def is_in_place(self, props: Props) -> bool:
        return service.is_running(stack_folder(props), str(props["region"]))

    def remove(self, props: Props) -> None:
        service.remove(stack_folder(props), str(props["region"]))


def spec(props: Props) -> service.ServiceSpec:
    stack, region, slot = stack_folder(props), str(props["region"]), int(props["slot"])
    addresses = Addresses(str(props["block"]))
    return service.ServiceSpec(
        stack_folder=stack,
        region=region,
        planned_regions=tuple(props["planned_regions"]),
        listen=addresses.service(slot),
        members={str(entry["partition"]): addresses.postgres(slot, int(entry["slot"])) for entry in props["members"]},
        cache=addresses.valkey(slot) if props["cache"] else None,
        egress=addresses.gateway_egress(slot),
        partition_map=paths.partition_map(stack, region),
        capacity=float(props["capacity"]),
    )


class OrderService(Real, module="local", name="OrderService"):
    provider = OrderServiceProvider


class Service(Component):
    """Outputs: `service_id`, `endpoint`, `attachments` (none: the entry knows a region by its gateway's address)."""

    service_id: pulumi.Output[str]
    endpoint: pulumi.Output[str]
    attachments: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("local", name, opts)
        topology, region = args.topology, args.region
        server = OrderService(
            f"{name}-orders",
            {
                "stack": topology.environment,
                "block": args.ground,
                "region": region.name,
                "slot": region.slot,
                "planned_regions": [planned.name for planned in topology.regions],
                # By slot and not by id: the process starts beside its members instead of after them. It says that it
                # is not ready until they answer, and the entry's routes wait for both.
                "members": [
                    {"partition": partition, "slot": topology.partition(partition).slot}
                    for partition in (topology.member(name).partition for name in region.members)
                ],
                "cache": args.cache is not None,
                "capacity": region.capacity,
            },
            self.child(),
        )
        self.service_id = server.id
        self.endpoint = endpoint(args.ground, lambda addresses: addresses.service(region.slot))
        self.attachments = {}
        self.expose(service_id=self.service_id, endpoint=self.endpoint, attachments=self.attachments)
