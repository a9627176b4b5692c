"""A region's own Valkey. Nothing in it is worth keeping."""

import pulumi

from components.component import Component
from components.contracts import CacheArgs
from components.local.resource import Props, Real, RealProvider, endpoint, stack_folder
from components.local.servers import valkey
from components.local.servers.addresses import Addresses


class ValkeyProvider(RealProvider):
    identity = ("stack", "region")

    def ensure(self, props: Props) -> Props:
        listens = Addresses(str(props["block"])).valkey(int(props["slot"]))
        valkey.ensure_started(stack_folder(props), str(props["region"]), listens, programs=props.get("folder"))
        return {}

    def is_in_place(self, props: Props) -> bool:
        return valkey.is_running(stack_folder(props), str(props["region"]))

    def remove(self, props: Props) -> None:
        valkey.remove(stack_folder(props), str(props["region"]))


class Valkey(Real, module="local", name="Valkey"):
    provider = ValkeyProvider


class Cache(Component):
    """Outputs: `cache_id`, `endpoint`."""

    cache_id: pulumi.Output[str]
    endpoint: pulumi.Output[str]

    def __init__(self, name: str, args: CacheArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("local", name, opts)
        server = Valkey(
            f"{name}-valkey",
            {
                "stack": args.topology.environment,
                "block": args.ground,
                "region": args.region.name,
                "slot": args.region.slot,
                "folder": args.topology.local.valkey_folder if args.topology.local else None,
            },
            self.child(),
        )
        self.cache_id = server.id
        self.endpoint = endpoint(args.ground, lambda addresses: addresses.valkey(args.region.slot))
        self.expose(cache_id=self.cache_id, endpoint=self.endpoint)
