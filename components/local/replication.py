"""How long a commit of a partition waits for its other members: set on all of them, since any may become writer."""

import pulumi

from components.component import Component
from components.contracts import ReplicationArgs
from components.local.resource import Props, Real, RealProvider, stack_folder
from components.local.servers import postgres
from components.local.servers.addresses import Addresses


class DurabilityProvider(RealProvider):
    identity = ("stack", "partition")

    def ensure(self, props: Props) -> Props:
        found = members(props)
        postgres.set_synchronous(found, props["durability"])
        # A region that was lost cannot take back its slot when it is given up, and the log would be kept for it.
        postgres.drop_departed_slots(found, str(props["partition"]))
        return {}

    def is_in_place(self, props: Props) -> bool:
        return True  # PostgreSQL keeps it; what would differ is an input

    def remove(self, props: Props) -> None:
        """It goes with the members."""


def members(props: Props) -> list[postgres.MemberSpec]:
    addresses = Addresses(str(props["block"]))
    return [
        postgres.MemberSpec(
            stack_folder=stack_folder(props),
            region=str(entry["region"]),
            member=str(entry["name"]),
            endpoint=addresses.postgres(int(entry["slot"]), int(props["partition_slot"])),
            size=entry["size"],
        )
        for entry in props["members"]
    ]


class Durability(Real, module="local", name="Durability"):
    provider = DurabilityProvider


class Replication(Component):
    """Outputs: `replication_id`."""

    replication_id: pulumi.Output[str]

    def __init__(self, name: str, args: ReplicationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("local", name, opts)
        topology, partition = args.topology, args.partition
        durability = Durability(
            f"{name}-durability",
            {
                "stack": topology.environment,
                "block": args.ground,
                "partition": partition.name,
                "partition_slot": partition.slot,
                "durability": partition.durability,
                "members": [
                    {
                        "name": member.name,
                        "region": member.region,
                        "slot": topology.region(member.region).slot,
                        "size": member.size,
                        "id": args.member_ids[member.name],
                    }
                    for member in map(topology.member, partition.members)
                ],
            },
            self.child(),
        )
        self.replication_id = durability.id
        self.expose(replication_id=self.replication_id)
