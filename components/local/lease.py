"""Whether a partition may be written only under a lease: from the moment on at which somebody holds it."""

from contextlib import suppress

import pulumi

from components.component import Component
from components.contracts import LeaseArgs
from components.local.resource import Props, Real, RealProvider, stack_folder
from components.local.servers import keeper, process
from components.local.servers.addresses import Addresses, Endpoint
from components.local.servers.errors import ServerFault
from components.local.servers.postgres_files import DATABASE, OWNER
from components.local.servers.postgres_session import session
from topology.witnesses import keepers

HELD_SECONDS = 30.0

_REQUIRE = """
insert into public.lease_policy (required) values (%s)
on conflict (only_row) do update set required = excluded.required
where lease_policy.required <> excluded.required"""


class LeasePolicyProvider(RealProvider):
    """A row in the partition itself, so that every member has it that becomes writer."""

    identity = ("stack", "partition")

    def ensure(self, props: Props) -> Props:
        # Asked for before somebody holds one, it would stop the writes.
        process.wait_ready(
            lambda: is_held(props), timeout=HELD_SECONDS, what=f"a lease for the writer of {props['partition']}"
        )
        require(props, required=True)
        return {}

    def is_in_place(self, props: Props) -> bool:
        with suppress(ServerFault):
            return is_held(props) and any(is_required(props, member) for member in members(props))
        return False

    def remove(self, props: Props) -> None:
        with suppress(ServerFault):  # the members may be gone, as when the whole stack is taken down
            require(props, required=False)


def is_held(props: Props) -> bool:
    """By whom is the keepers' business; and all that answer have settled who may vote."""
    found = keeper.views(
        keeper.Keepers(
            stack=stack_folder(props),
            addresses=Addresses(str(props["block"])),
            slots={str(name): int(slot) for name, slot in props["keepers"].items()},
        )
    )
    settled = all(view.settled for view in found.values() if view is not None)
    return settled and keeper.holder(found, str(props["partition"])) is not None


def require(props: Props, *, required: bool) -> None:
    """Set it on the member that writes now."""
    for member in members(props):
        with suppress(ServerFault), session(stack_folder(props), member, OWNER, DATABASE) as connection:
            if connection.execute("select pg_is_in_recovery()").fetchone() == (False,):
                # A commit would wait for a standby, which a stack that is taken down has no way to any more.
                connection.execute("set synchronous_commit = local")
                connection.execute(_REQUIRE, (required,))
                return
    raise ServerFault(f"no member of {props['partition']} answers as its writer")


def is_required(props: Props, member: Endpoint) -> bool:
    with suppress(ServerFault), session(stack_folder(props), member, OWNER, DATABASE) as connection:
        return connection.execute("select required from public.lease_policy").fetchone() == (True,)
    return False


def members(props: Props) -> list[Endpoint]:
    addresses = Addresses(str(props["block"]))
    return [addresses.postgres(int(entry["slot"]), int(props["partition_slot"])) for entry in props["members"]]


class LeasePolicy(Real, module="local", name="LeasePolicy"):
    provider = LeasePolicyProvider


class Lease(Component):
    """Outputs: `lease_id`."""

    lease_id: pulumi.Output[str]

    def __init__(self, name: str, args: LeaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("local", name, opts)
        topology, partition = args.topology, args.partition
        policy = LeasePolicy(
            f"{name}-policy",
            {
                "stack": topology.environment,
                "block": args.ground,
                "partition": partition.name,
                "partition_slot": partition.slot,
                "keepers": {name: topology.region(name).slot for name in keepers(topology)},
                "members": [
                    {"slot": topology.region(member.region).slot, "id": args.member_ids[member.name]}
                    for member in map(topology.member, partition.members)
                ],
                "keeper_ids": list(args.keeper_ids.values()),
            },
            self.child(),
        )
        self.lease_id = policy.id
        self.expose(lease_id=self.lease_id)
