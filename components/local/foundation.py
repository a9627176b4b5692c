"""What a local stack has once: its address block, its certificate authority, its passwords, and the wide area
network that lies between its regions.
"""

import pulumi
from pulumi.dynamic import DiffResult, UpdateResult

from components.component import Component
from components.contracts import FoundationArgs
from components.local.resource import Props, Real, RealProvider, stack_folder
from components.local.servers import addresses, certificates, secrets, wan

# `directory` is nobody's password: it is the key under which customers of other partitions are known to `main`.
CREDENTIALS = ("meridian", "replicator", "service", "monitor", "keeper", "cache", "directory")


class AddressBlockProvider(RealProvider):
    """Claims a free block at the first `up`; the stack keeps it, so its id never changes."""

    def ensure(self, props: Props) -> Props:
        return {"id": addresses.claim(stack_folder(props))}

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        found = super().diff(_id, _olds, _news)
        found.changes = found.changes or addresses.claimed(stack_folder(_news)) != _id
        return found

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        # Its servers are on the block that the state knows, whatever became of the file that says so.
        addresses.claim(stack_folder(_news), kept=_id)
        return UpdateResult({**_news})

    def is_in_place(self, props: Props) -> bool:
        return addresses.claimed(stack_folder(props)) is not None

    def remove(self, props: Props) -> None:
        addresses.release(stack_folder(props))


class AddressBlock(Real, module="local", name="AddressBlock"):
    provider = AddressBlockProvider


class AuthorityProvider(RealProvider):
    def ensure(self, props: Props) -> Props:
        certificates.ensure_authority(stack_folder(props))
        return {}

    def is_in_place(self, props: Props) -> bool:
        return certificates.has_authority(stack_folder(props))

    def remove(self, props: Props) -> None:
        certificates.remove_authority(stack_folder(props))


class Authority(Real, module="local", name="Authority"):
    provider = AuthorityProvider


class PasswordProvider(RealProvider):
    """A generated password: secret in the state, and in a file that only the owner reads, for the servers."""

    identity = ("stack", "role")
    computed = ("value",)

    def ensure(self, props: Props) -> Props:
        return {"value": secrets.ensure_password(stack_folder(props), str(props["role"]))}

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        # The file is gone, and the servers know the password that the state remembers: a new one would lock all out.
        if not secrets.has_password(stack_folder(_news), str(_news["role"])):
            secrets.restore_password(stack_folder(_news), str(_news["role"]), str(_olds["value"]))
        return super().update(_id, _olds, _news)

    def is_in_place(self, props: Props) -> bool:
        return secrets.has_password(stack_folder(props), str(props["role"]))

    def remove(self, props: Props) -> None:
        secrets.remove_password(stack_folder(props), str(props["role"]))


class Password(Real, module="local", name="Password"):
    provider = PasswordProvider
    value: pulumi.Output[str]

    def __init__(self, name: str, props: Props, opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, {**props, "value": None}, opts)


class WideAreaNetworkProvider(RealProvider):
    """The process that gives every path between regions its delay. It belongs to no region."""

    def ensure(self, props: Props) -> Props:
        wan.ensure_wan(stack_folder(props))
        return {}

    def is_in_place(self, props: Props) -> bool:
        return wan.is_running(stack_folder(props))

    def remove(self, props: Props) -> None:
        wan.stop(stack_folder(props))


class WideAreaNetwork(Real, module="local", name="WideAreaNetwork"):
    provider = WideAreaNetworkProvider


class Foundation(Component):
    """Outputs: `ground` (the address block that every server's address comes from), `transit` (the same, for what
    leads through the wide area network), `credentials` (by role); the rest is empty: partitions, ways to the writer
    and certificates are the gateways' files here.
    """

    ground: pulumi.Output[str]
    transit: pulumi.Output[str]
    credentials: dict[str, pulumi.Output[str]]
    partition_ids: dict[str, pulumi.Output[str]]
    write_endpoints: dict[str, pulumi.Output[str]]
    certificate_ids: dict[str, pulumi.Output[str]]
    provider: pulumi.ProviderResource | None
    directory_key: pulumi.Output[str] | None

    def __init__(self, name: str, args: FoundationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("local", name, opts)
        stack = {"stack": args.topology.environment}
        block = AddressBlock(f"{name}-addresses", stack, self.child())
        authority = Authority(f"{name}-authority", stack, self.child())
        network = WideAreaNetwork(f"{name}-wan", stack, self.child(depends_on=[block]))
        passwords = {
            role: Password(f"{name}-{role}", {**stack, "role": role}, self.child(additional_secret_outputs=["value"]))
            for role in CREDENTIALS
        }
        self.credentials = {role: password.value for role, password in passwords.items()}
        # Servers find the passwords and the authority in files: whoever stands on the ground stands on those too.
        files = [authority.id, *(password.id for password in passwords.values())]
        self.ground = pulumi.Output.all(block.id, *files).apply(lambda ids: ids[0])
        self.transit = pulumi.Output.all(block.id, network.id).apply(lambda ids: ids[0])
        self.partition_ids, self.write_endpoints, self.certificate_ids = {}, {}, {}
        self.provider = self.directory_key = None
        self.expose(
            ground=self.ground,
            transit=self.transit,
            credentials=self.credentials,
            partition_ids=self.partition_ids,
            write_endpoints=self.write_endpoints,
            certificate_ids=self.certificate_ids,
        )
