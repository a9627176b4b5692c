"""One member: a PostgreSQL server with its own data, made anew at the origin and copied from the writer elsewhere."""

from contextlib import suppress
from hashlib import sha256

import pulumi

from components.component import Component
from components.contracts import DatabaseArgs
from components.local.resource import Props, Real, RealProvider, endpoint, stack_folder
from components.local.servers import paths, postgres, postgres_demotion
from components.local.servers.addresses import Addresses, Endpoint
from components.local.servers.errors import ServerFault
from components.local.servers.member import Vault
from topology.vaults import vault

SCHEMA = paths.PROJECT / "service" / "schema.sql"


class PostgresProvider(RealProvider):
    """Whether it is writer or replica now is nobody's input: the data folder knows, and operations change it."""

    identity = ("stack", "region", "member")
    at_creation = ("network", "source")

    def identify(self, props: Props) -> str:
        return str(props["member"])

    def ensure(self, props: Props) -> Props:
        member = spec(props)
        if postgres_demotion.is_away(member, str(props["partition"])):
            return {}  # operations bring it back: `failback`
        if props["origin"]:
            # Applied again, it changes nothing: homes that were moved meanwhile stay where they are.
            founding = f"select public.found_partition({int(props['partition_slot'])});"
            postgres.create_origin(member, f"{SCHEMA.read_text()}\n{founding}\n")
        else:
            postgres.create_replica(member, writer_endpoint(props))
        return {}

    def is_in_place(self, props: Props) -> bool:
        member = spec(props)
        return postgres.is_running(member) or postgres_demotion.is_away(member, str(props["partition"]))

    def remove(self, props: Props) -> None:
        member = spec(props)
        if not props["origin"] or postgres.is_running(member):
            # The writer may be gone, as it is when the whole stack is taken down; what it keeps for a slot is capped.
            with suppress(ServerFault):
                postgres.drop_slot(member.stack_folder, writer_endpoint(props), member.slot)
        postgres.remove(member)


def writer_endpoint(props: Props) -> Endpoint:
    """Through the region's own gateway, which leads to the writer of the moment, wherever that is."""
    return Addresses(str(props["block"])).gateway_database(int(props["slot"]), int(props["partition_slot"]))


def spec(props: Props) -> postgres.MemberSpec:
    return postgres.MemberSpec(
        stack_folder=stack_folder(props),
        region=str(props["region"]),
        member=str(props["member"]),
        endpoint=Addresses(str(props["block"])).postgres(int(props["slot"]), int(props["partition_slot"])),
        size=props["size"],
        folder=props.get("folder"),
        vault=vault_of(props),
    )


def vault_of(props: Props) -> Vault | None:
    """None for what a version without backups recorded."""
    if (region := props.get("vault")) is None:
        return None
    return Vault(
        region=str(region), folder=paths.vault_folder(stack_folder(props), str(region), str(props["partition"]))
    )


class Postgres(Real, module="local", name="Postgres"):
    provider = PostgresProvider


class Database(Component):
    """Outputs: `member_id`, `endpoint`, `access_id` (the member: who may connect is in its own files)."""

    member_id: pulumi.Output[str]
    endpoint: pulumi.Output[str]
    access_id: pulumi.Output[str]

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("local", name, opts)
        topology, member = args.topology, args.member
        region, partition = topology.region(member.region), topology.partition(member.partition)
        props = {
            "stack": topology.environment,
            "block": args.ground,
            "region": region.name,
            "slot": region.slot,
            "member": member.name,
            "partition": partition.name,
            "partition_slot": partition.slot,
            "origin": member.is_origin,
            "size": member.size,
            "folder": topology.local.postgres_folder if topology.local else None,
            "vault": vault(topology, partition.name),
        }
        if member.is_origin:
            props["schema"] = sha256(SCHEMA.read_bytes()).hexdigest()[:16]  # a newer one is applied in place
        else:
            # Only a copy needs the gateway and the writer to be there first; both only for the making of it.
            props |= {"network": args.network.network_id, "source": args.source}
        server = Postgres(f"{name}-postgres", props, self.child(protect=True, ignore_changes=["network", "source"]))
        self.member_id = self.access_id = server.id
        self.endpoint = endpoint(args.ground, lambda addresses: addresses.postgres(region.slot, partition.slot))
        self.expose(member_id=self.member_id, endpoint=self.endpoint, access_id=self.access_id)
