"""The one global entry, and the ways that lead users from where they are to the regions that serve."""

import shutil
from pathlib import Path

import pulumi

from components.component import Component
from components.contracts import TrafficArgs
from components.local.network import Link
from components.local.resource import Props, Real, RealProvider, endpoint, stack_folder
from components.local.servers import entry, paths, process, service
from components.local.servers.addresses import Addresses, Endpoint

READY_SECONDS = 30.0


class EntryProvider(RealProvider):
    """The global Envoy: there from phase 1, at one address, changed by its files and never restarted."""

    def ensure(self, props: Props) -> Props:
        alone = entry.EntrySpec(
            stack=stack_folder(props),
            addresses=Addresses(str(props["block"])),
            regions={str(name): int(slot) for name, slot in props["regions"].items()},
            home=str(props["home"]),
            serving=(),
            policy="home",
            programs=programs(props),
        )
        # With its first files it knows nobody; whom it knows later is the business of its routes.
        if not (alone.folder / "bootstrap.json").exists():
            entry.ensure_files(alone)
        entry.start(alone)
        return {}

    def is_in_place(self, props: Props) -> bool:
        return process.running(paths.entry_folder(stack_folder(props))) is not None

    def remove(self, props: Props) -> None:
        entry.stop(stack_folder(props))
        shutil.rmtree(paths.entry_folder(stack_folder(props)), ignore_errors=True)


class Entry(Real, module="local", name="Entry"):
    provider = EntryProvider


class RoutesProvider(RealProvider):
    """Whom the entry sends where: it names no region before that region's service and members are there."""

    def ensure(self, props: Props) -> Props:
        users = spec(props)
        gateways = [users.addresses.gateway_http(users.regions[region]) for region in users.serving]
        # Not named before it is ready: the entry's first check of it would fail, and two more would have to pass.
        wait_ready(gateways, "the services behind the entry")
        entry.ensure_started(users)
        wait_ready([users.addresses.entry()], "the entry")
        return {}

    def is_in_place(self, props: Props) -> bool:
        return entry.is_written(spec(props))

    def remove(self, props: Props) -> None:
        """They go with the entry."""


def wait_ready(endpoints: list[Endpoint], what: str) -> None:
    process.wait_ready(
        lambda: all(service.answers(endpoint, "/healthz/ready") for endpoint in endpoints),
        timeout=READY_SECONDS,
        what=what,
    )


def spec(props: Props) -> entry.EntrySpec:
    return entry.EntrySpec(
        stack=stack_folder(props),
        addresses=Addresses(str(props["block"])),
        regions={str(name): int(slot) for name, slot in props["regions"].items()},
        home=str(props["home"]),
        serving=tuple(props["serving"]),
        policy=props["policy"],
        preference={str(user): tuple(order) for user, order in props["preference"].items()},
        programs=programs(props),
    )


def programs(props: Props) -> Path | None:
    return Path(props["folder"]) if props.get("folder") else None


class Routes(Real, module="local", name="Routes"):
    provider = RoutesProvider


class Traffic(Component):
    """Outputs: `entry`, the URL users call; `levers` (none: a region is held out by a file that operations own)."""

    entry: pulumi.Output[str]
    levers: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: TrafficArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("local", name, opts)
        topology = args.topology
        serving = [region for region in topology.regions_in_use if region.has_service]
        links: list[pulumi.Input[pulumi.Resource]] = [
            Link(
                f"{name}-{user.name}-to-{region.name}",
                {
                    "stack": topology.environment,
                    "block": args.transit,
                    "users": True,
                    "source": user.name,
                    "source_slot": user.slot,
                    "target": region.name,
                    "target_slot": region.slot,
                    "one_way_ms": topology.link(user.name, region.name).one_way_ms,
                },
                self.child(),
            )
            for user in topology.regions
            for region in serving
            if user.name != region.name
        ]
        users = {
            "stack": topology.environment,
            "block": args.ground,
            "regions": {planned.name: planned.slot for planned in topology.regions},
            "home": topology.home,
            "folder": topology.local.envoy_folder if topology.local else None,
        }
        server = Entry(f"{name}-envoy", users, self.child())
        routes = Routes(
            f"{name}-routes",
            {
                **users,
                "serving": [region.name for region in serving],
                "policy": topology.entry.policy,
                "preference": {user: list(order) for user, order in topology.entry.preference.items()},
                # Service and members before traffic.
                "entry": server.id,
                "services": [args.services[region.name].service_id for region in serving],
                "members": list(args.member_ids.values()),
            },
            self.child(depends_on=links),
        )
        # The address is known from the block alone, but nobody should be told to call it before it answers.
        self.entry = pulumi.Output.all(routes.id, endpoint(args.ground, Addresses.entry)).apply(
            lambda known: f"http://{known[1]}"
        )
        self.levers = {}
        self.expose(entry=self.entry, levers=self.levers)
