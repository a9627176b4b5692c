"""Moving a partition's writer on AWS: Aurora's global database, and what admits regions to the entry.

Every call goes to a region that has to live for it: the global database is moved from the target's region, and each
region's admission is written in that region. No record is edited.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from operations.drivers import aws_observation, managed
from operations.drivers.aws_admission import Admission
from operations.drivers.managed import Ground, Managed, at_once
from operations.errors import Fault
from operations.failover.driver import Done, Observation

if TYPE_CHECKING:
    from operations.stack import Stack

# How often nothing moves, and the writer is who it was, before a move is taken for one that was given up.
QUIET_LOOKS = 6

Client = Callable[[str, str], Any]  # of a service, in a region

# A region that is gone does not answer; two tries of this long are enough to know.
CONNECT_SECONDS, READ_SECONDS, TRIES = 3, 10, 2


def open_driver(stack: "Stack", outputs: Mapping[str, Any], partition: str, vantage: str | None) -> "AwsDriver":
    found = managed.ground(stack, outputs, partition, vantage)
    return AwsDriver(found, str(outputs["levers"]["partitions"][partition]), clients())


def clients() -> Client:
    """boto3's own chain of credentials."""
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retries={"total_max_attempts": TRIES})

    @cache
    def client(service: str, region: str) -> Any:
        return boto3.client(service, region_name=region, config=config)  # type: ignore[call-overload]

    return client


@contextmanager
def as_faults() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as fault:
        raise Fault(f"AWS answered: {fault}") from None


class AwsDriver(Managed):
    service = "Aurora"

    def __init__(self, ground: Ground, global_cluster: str, client: Client) -> None:
        super().__init__(ground)
        self.global_cluster = global_cluster
        self.client = client
        self.admission = Admission(client, ground.traffic, home_only=ground.home_only)

    def observe(self, among: Collection[str] | None = None) -> Observation:
        with as_faults():
            return aws_observation.observe(self.ground, self.global_cluster, self.client, self.admission, among)

    def described(self, first: str | None = None) -> aws_observation.GlobalDatabase:
        with as_faults():
            order = [first] if first else [self.ground.vantage, *self.ground.members]
            found = aws_observation.described(self.client, self.global_cluster, [name for name in order if name])
            if found is None:
                raise Fault(f"no region answers for {self.global_cluster}")
            return found

    def writer(self) -> str | None:
        found = self.described()
        return None if found.moving else found.writer

    # --- the writer ---

    def prepare(self, target: str, others: Collection[str]) -> Done:
        """Aurora moves no writer to a member without instances (phase 2)."""
        name = self.ground.require(target).rpartition(":")[2]
        with as_faults():
            clusters = self.client("rds", target).describe_db_clusters(DBClusterIdentifier=name)["DBClusters"]
        if not clusters[0]["DBClusterMembers"]:
            more = self.ground.stack.command("up", "--phase", "active-passive")
            raise Fault(f"{name} has no instances, so it cannot write. `{more}` adds them; it keeps its data")
        return Done(already=True)

    def stop_writer(self, region: str) -> Done:
        found = self.described()
        if region in found.members and region != found.writer:
            return Done(detail="it writes no more", already=True)
        if region not in found.members:
            raise Fault(
                f"{self.ground.require(region)} is in no global database any more, and writes by itself. Take its "
                "users away, save what it alone has, and remove it; docs/aws/failover.md says how"
            )
        return Done(detail=f"{self.service} does so as it switches over", already=True)

    def catch_up(self, target: str, writer: str) -> Done:
        return self.move(target, planned=True)

    def promote(self, target: str, term: int) -> Done:
        return self.move(target, planned=False)

    def move(self, target: str, *, planned: bool) -> Done:
        """One call, and then as long as Aurora takes. A move that is under way already is waited for."""
        self.ground.require(target)
        found = self.described(target)
        if found.moving:
            if found.towards != target:
                raise Fault(
                    f"{self.service} is moving the writer to {found.towards} ({found.status}); wait for its end"
                )
        elif found.writer == target:
            return Done(already=True)
        else:
            self.ask(target, planned=planned)
        quiet = iter(range(QUIET_LOOKS))
        self.wait(
            lambda: self.arrived(target, quiet),
            f"{target} does not write {self.ground.partition}",
            why=lambda: self.described(target).status,
        )
        return Done(detail="without a loss" if planned else "")

    def ask(self, target: str, *, planned: bool) -> None:
        wanted = {
            "GlobalClusterIdentifier": self.global_cluster,
            "TargetDbClusterIdentifier": self.ground.members[target],
        }
        with as_faults():
            rds = self.client("rds", target)
            if planned:
                rds.switchover_global_cluster(**wanted)
            else:
                # `Switchover` must be left out; with neither of them it would be a switchover (API).
                rds.failover_global_cluster(**wanted, AllowDataLoss=True)

    def arrived(self, target: str, quiet: Iterator[int]) -> bool | None:
        """Raises where Aurora went back: a switchover that it cancels leaves the writer where it was. The first looks
        may be too early to show anything of a move.
        """
        found = self.described(target)
        if found.moving:
            return None
        if found.writer != target:
            if next(quiet, None) is not None:
                return None
            raise Fault(f"{self.service} did not move the writer: {found.writer or 'nobody'} has it ({found.status})")
        return True

    def point(self, target: str) -> Done:
        """The global cluster's endpoint follows the writer by itself, and no service knows another."""
        found = self.described(target)
        if found.writer != target:
            raise Fault(f"the write endpoint leads to {found.writer}")
        return Done(detail=found.endpoint, already=True)

    def admit(self, target: str, hold_out: Collection[str]) -> Done:
        """The target first. A region that is gone cannot be told; Route 53 sees that it does not answer."""
        with as_faults():
            changed = self.admission.let_in(target)

        def out(region: str) -> bool | str:
            try:
                with as_faults():
                    return self.admission.hold_out(region)
            except Fault as fault:
                return str(fault)

        regions = [region for region in hold_out if region != target]
        told = at_once(out, regions)
        deaf = [region for region, said in told.items() if isinstance(said, str)]
        changed = changed or any(said is True for said in told.values())
        return Done(detail=f"could not be told: {', '.join(deaf)}" if deaf else "", already=not changed and not deaf)

    def follows(self, region: str, writer: str) -> str | None:
        found = self.described(writer)
        if found.moving:
            return found.status
        if region not in found.members:
            return "it is not in the global database"
        if region == found.writer or found.writer != writer:
            return f"{found.writer} is the writer"
        name = self.ground.require(region).rpartition(":")[2]
        with as_faults():
            clusters = self.client("rds", region).describe_db_clusters(DBClusterIdentifier=name)["DBClusters"]
        status = clusters[0]["Status"]
        return None if status == "available" else f"it is {status}"
