"""How long the first `up` and each step up the ladder take, next to the least that they could take.

The floor does the same work with nothing around it, as parallel as it can be: initdb and base backups by their own
programs, and every server's and service's start until it is ready. Both run on stacks of their own, in turn, in one
process that has imported everything before, so that neither pays for the interpreter, imports or an environment.

    python -m benchmarks.bring_up [--rounds 3]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path

import engine
from benchmarks.stacks import REGIONS, program, runtime, state_file, table, topology, values
from components.local import cache, database, foundation, keys, network, replication, service, traffic
from components.local.servers import (
    binaries,
    certificates,
    entry,
    gateway,
    keeper,
    partition_map,
    paths,
    postgres,
    process,
    secrets,
    valkey,
    wan,
)
from components.local.servers import service as orders
from components.local.servers.account import account
from components.local.servers.addresses import Addresses, claim
from components.local.servers.postgres_files import HOST_RULES, SETTINGS, configuration, host_rules, upstream

IMPORTED = (cache, database, foundation, keys, network, replication, service, traffic)
STEPS = {1: "first up, single-region", 2: "async-replica", 3: "active-passive", 4: "multi-region-reads"}


class Floor:
    """The same stack by hand: only what has to be done, and nothing that has to be decided."""

    def __init__(self, home: Path) -> None:
        self.stack = home / "stacks" / "floor"
        self.addresses = Addresses(claim(self.stack))
        for role in foundation.CREDENTIALS:
            secrets.ensure_password(self.stack, role)
        certificates.ensure_authority(self.stack)
        for region in REGIONS:
            certificates.ensure_region_certificate(self.stack, region)
        self.voters = {region: slot for slot, region in enumerate(REGIONS)}
        self.plans = {phase: topology(values(phase), "floor") for phase in STEPS}

    def step(self, phase: int) -> None:
        """Everything that the phase adds, all at once; a copy alone has to wait for its way to the writer."""
        with ThreadPoolExecutor(16) as pool:
            ran = [pool.submit(action) for action in self.actions(phase)]
            wait(ran)
            for one in ran:
                one.result()

    def actions(self, phase: int) -> list[Callable[[], object]]:
        actions: list[Callable[[], object]] = []
        if phase == 1:
            actions += [
                lambda: wan.ensure_wan(self.stack),
                lambda: self.origin(),
                lambda: self.gateway("eu-central", 1),
                lambda: self.valkey("eu-central"),
                lambda: self.service("eu-central", 1),
                lambda: self.entry(1),
            ]
        if phase == 2:
            actions += [lambda: self.copy("us-east", 2)]
        if phase == 3:
            actions += [
                lambda: self.valkey("us-east"),
                lambda: self.service("us-east", 3),
                *(partial(self.keeper, region, 3) for region in REGIONS),
                self.lease,
            ]
        if phase == 4:
            actions += [
                lambda: self.copy("ap-northeast", 4),
                lambda: self.valkey("ap-northeast"),
                lambda: self.service("ap-northeast", 4),
                # The standby becomes a full region, which its service has to be started anew for.
                lambda: (orders.stop(self.stack, "us-east"), self.service("us-east", 4)),
                lambda: self.keeper("ap-northeast", 4),
            ]
        return actions

    def member(self, region: str) -> postgres.MemberSpec:
        slot = REGIONS.index(region)
        return postgres.MemberSpec(
            stack_folder=self.stack,
            region=region,
            member=f"main-{region}",
            endpoint=self.addresses.postgres(slot, 0),
        )

    def origin(self) -> None:
        member = self.member("eu-central")
        self.tool(
            member,
            "initdb",
            f"--pgdata={member.data}",
            "--username=meridian",
            f"--pwfile={secrets.password_file(self.stack, 'meridian')}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--data-checksums",
            "--no-sync",
        )
        # Roles, database and schema, without which the service would never be ready.
        postgres.create_origin(member, database.SCHEMA.read_text())

    def copy(self, region: str, phase: int) -> None:
        member, slot = self.member(region), REGIONS.index(region)
        for one, other in ((0, slot), (slot, 0)):
            link = self.plans[phase].link(REGIONS[one], REGIONS[other])
            wan.put_link(
                self.stack,
                f"{REGIONS[one]}--{REGIONS[other]}",
                self.addresses.link(one, other),
                self.addresses.gateway_peer(other),
                link.one_way_ms,
            )
        self.gateway(region, phase)
        source = self.addresses.gateway_database(slot, 0)
        password = secrets.read_password(self.stack, "replicator")
        paths.write_atomic(member.home / "upstream.pgpass", f"*:*:*:replicator:{password}\n")
        self.tool(
            member,
            "pg_basebackup",
            f"--pgdata={member.data}",
            f"--host={source.host}",
            f"--port={source.port}",
            "--username=replicator",
            "--no-password",
            "--wal-method=stream",
            "--create-slot",
            f"--slot={member.slot}",
            "--checkpoint=fast",
            "--no-manifest",
            "--no-sync",
        )
        (member.data / "standby.signal").touch()
        paths.write_atomic(member.home / "upstream.conf", upstream(member, source, member.slot))
        self.start(member)

    def tool(self, member: postgres.MemberSpec, name: str, *words: str) -> None:
        status = process.run(
            process.ServerSpec(
                name=name,
                folder=paths.make_folder(member.home),
                stack_folder=self.stack,
                record="tool.json",
                log=member.home / f"{name}.log",
                environment={"PGPASSFILE": str(member.home / "upstream.pgpass")},
                command=(str(binaries.postgres() / name), *words),
            ),
            stall=60,
        )
        if status != 0:
            raise RuntimeError(f"{name}: {(member.home / f'{name}.log').read_text()}")

    def start(self, member: postgres.MemberSpec) -> None:
        paths.write_atomic(member.home / SETTINGS, configuration(member))
        paths.write_atomic(member.home / HOST_RULES, host_rules())
        postgres.ensure_started(member)

    def gateway(self, region: str, phase: int) -> None:
        plan, slot = self.plans[phase], REGIONS.index(region)
        spec = gateway.GatewaySpec(
            stack=self.stack,
            region=region,
            slot=slot,
            addresses=self.addresses,
            partitions={"main": 0},
            members={"main": self.addresses.postgres(slot, 0)},
            service=self.addresses.service(slot) if plan.region(region).has_service else None,
        )
        gateway.ensure_started(spec, {"main": ("eu-central", 0)})

    def valkey(self, region: str) -> None:
        valkey.ensure_started(self.stack, region, self.addresses.valkey(REGIONS.index(region)))

    def service(self, region: str, phase: int) -> None:
        slot = REGIONS.index(region)
        partition_map.ensure(self.stack, region, {"main": "eu-central"})
        orders.ensure_started(
            orders.ServiceSpec(
                stack_folder=self.stack,
                region=region,
                planned_regions=REGIONS,
                listen=self.addresses.service(slot),
                members={"main": self.addresses.postgres(slot, 0)},
                cache=self.addresses.valkey(slot),
                egress=self.addresses.gateway_egress(slot),
                partition_map=paths.partition_map(self.stack, region),
                capacity=self.plans[phase].region(region).capacity,
            )
        )

        process.wait_ready(
            lambda: orders.answers(self.addresses.service(slot), "/healthz/ready"), timeout=30, what="the service"
        )

    def keeper(self, region: str, phase: int) -> None:
        plan, slot = self.plans[phase], REGIONS.index(region)
        for other, target in self.voters.items():
            if other != region:
                wan.put_link(
                    self.stack,
                    wan.keeper_link_name(region, other),
                    self.addresses.keeper_link(slot, target),
                    self.addresses.keeper(target),
                    plan.link(region, other).one_way_ms,
                )
        here = plan.region(region)
        keeper.ensure_started(
            keeper.KeeperSpec(
                stack_folder=self.stack,
                region=region,
                slot=slot,
                addresses=self.addresses,
                voters=self.voters,
                partitions=("main",),
                members={"main": self.addresses.postgres(slot, 0)} if here.members else {},
                service=self.addresses.service(slot) if here.has_service else None,
                gateway=self.addresses.gateway_http(slot) if here.in_use else None,
            )
        )

    def lease(self) -> None:
        """Keepers are ready when the writer may write by their leave."""
        asked = keeper.Keepers(stack=self.stack, addresses=self.addresses, slots=self.voters)

        def held() -> bool:
            return keeper.holder(keeper.views(asked), "main") is not None

        process.wait_ready(held, timeout=30, what="a lease")

    def entry(self, phase: int) -> None:
        plan = self.plans[phase]
        entry.ensure_started(
            entry.EntrySpec(
                stack=self.stack,
                addresses=self.addresses,
                regions={region.name: region.slot for region in plan.regions},
                home=plan.home,
                serving=tuple(region.name for region in plan.regions if region.has_service),
                policy=plan.entry.policy,
                preference=plan.entry.preference,
            )
        )


def measure() -> dict[int, tuple[float, float]]:
    """Seconds of `up` and of the floor, for each phase."""
    engine.preview(program(values(4)), engine.StateFile(Path("nowhere.json"), "x").load(new=True))  # imports the rest
    account()  # how servers are started is found out once a process
    binaries.postgres()
    took: dict[int, tuple[float, float]] = {}
    with runtime() as home:
        state = state_file(home)
        floor = Floor(home)
        for phase in STEPS:
            began = time.monotonic()
            engine.up(program(values(phase)), state)
            middle = time.monotonic()
            floor.step(phase)
            took[phase] = (middle - began, time.monotonic() - middle)
    return took


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = [measure() for _ in range(parser.parse_args(arguments).rounds)]
    rows: list[tuple[str, ...]] = []
    for phase, name in STEPS.items():
        ups, floors = zip(*(took[phase] for took in rounds), strict=True)
        ratios = [up / least for up, least in zip(ups, floors, strict=True)]
        rows.append(
            (
                f"{phase} {name}",
                f"{statistics.median(ups):.2f}",
                f"{statistics.median(floors):.2f}",
                f"{statistics.median(ratios):.2f}",
                f"{min(ratios):.2f} to {max(ratios):.2f}",
            )
        )
    print(table("Bringing a stack up", ("step", "up, s", "floor, s", "ratio, median", "ratio, range"), rows))


if __name__ == "__main__":
    main()
