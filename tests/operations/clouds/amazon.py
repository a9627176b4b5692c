"""AWS by moto, with what moto lacks put in its place: the two moves of a global database, Aurora's lag, and checkers.

What is put in place takes part after botocore has held the request against AWS's own model. A move takes a few looks.
A call can break before or after it was made.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import boto3
from botocore.exceptions import ConnectTimeoutError
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.rds.models import rds_backends

LOOKS = 2
OK = SimpleNamespace(status_code=200, headers={}, content=b"")


class Broken(Exception):  # noqa: N818
    """The operation's process is gone in the middle of a call."""


@dataclass
class Amazon:
    """A partition's global database in these regions, the first one's cluster its writer."""

    regions: list[str]
    identifier: str = "meridian-main"
    headless: frozenset[str] = frozenset()
    dead: set[str] = field(default_factory=set)
    lag_ms: dict[str, float] = field(default_factory=dict)
    sampled: float = 60.0
    checkers: dict[str, str] = field(default_factory=dict)  # what they report, by health check
    calls: list[str] = field(default_factory=list)
    said: list[Any] = field(default_factory=list)
    move: dict[str, Any] | None = None
    looks: int = 0
    fuse: int | None = None
    after: bool = False
    clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    def build(self) -> None:
        home = self.regions[0]
        version = {"Engine": "aurora-postgresql", "EngineVersion": "16.4"}
        boto3.client("rds", region_name=home).create_global_cluster(GlobalClusterIdentifier=self.identifier, **version)
        for region in self.regions:
            rds = boto3.client("rds", region_name=region)
            first = {"MasterUsername": "meridian", "MasterUserPassword": "a good one"} if region == home else {}
            rds.create_db_cluster(
                DBClusterIdentifier=f"main-{region}", GlobalClusterIdentifier=self.identifier, **version, **first
            )
            if region not in self.headless:
                rds.create_db_instance(
                    DBInstanceIdentifier=f"main-{region}-1",
                    DBClusterIdentifier=f"main-{region}",
                    DBInstanceClass="db.r6g.large",
                    Engine="aurora-postgresql",
                )
        self.lead(home)

    def rule(self, region: str, status: str, body: str) -> str:
        """A load balancer's rule that answers so; its ARN."""
        ec2, elb = boto3.client("ec2", region_name=region), boto3.client("elbv2", region_name=region)
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{index}.0/24", AvailabilityZone=f"{region}{zone}")["Subnet"]
            for index, zone in enumerate("ab")
        ]
        balancer = elb.create_load_balancer(Name="entry", Subnets=[subnet["SubnetId"] for subnet in subnets])
        said = {"StatusCode": status, "MessageBody": body, "ContentType": "text/plain"}
        action = {"Type": "fixed-response", "FixedResponseConfig": said}
        listener = elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"],
            Protocol="HTTP",
            Port=80,
            DefaultActions=[action],
        )
        return elb.create_rule(
            ListenerArn=listener["Listeners"][0]["ListenerArn"],
            Conditions=[{"Field": "path-pattern", "Values": ["/healthz/admitted"]}],
            Priority=1,
            Actions=[action],
        )["Rules"][0]["RuleArn"]

    def answer(self, region: str, rule: str) -> str:
        (found,) = boto3.client("elbv2", region_name=region).describe_rules(RuleArns=[rule])["Rules"]
        return found["Actions"][0]["FixedResponseConfig"]["StatusCode"]

    def client(self, service: str, region: str) -> Any:
        if (service, region) not in self.clients:
            made = boto3.client(service, region_name=region)  # type: ignore[call-overload]
            made.meta.events.register("before-call", self.before(region))
            made.meta.events.register("after-call", self.done)
            self.clients[service, region] = made
        return self.clients[service, region]

    @cached_property
    def stand_ins(self) -> dict[str, Callable[[str, dict[str, Any]], Any]]:
        return {
            "SwitchoverGlobalCluster": self.begin,
            "FailoverGlobalCluster": self.begin,
            "GetMetricData": self.metric,
            "GetHealthCheck": lambda _region, _said: {"HealthCheck": {"HealthCheckConfig": {"Type": "HTTPS"}}},
            "GetHealthCheckStatus": self.status,
        }

    def before(self, region: str) -> Any:
        def handle(model: Any, params: dict[str, Any], **_: Any) -> Any:
            if region in self.dead:
                raise ConnectTimeoutError(endpoint_url=region)
            self.burn(before=True)
            self.calls.append(model.name)
            if model.name == "DescribeGlobalClusters":
                self.look()
            body = params.get("body")
            said = body if isinstance(body, dict) else {}
            if model.name in self.stand_ins:
                found = self.stand_ins[model.name](region, {**said, "path": params.get("url_path", "")})
                self.burn(before=False)
                return OK, {"ResponseMetadata": {"HTTPStatusCode": 200}, **found}
            return None

        return handle

    def done(self, model: Any, parsed: dict[str, Any], **_: Any) -> None:
        if model.name == "DescribeGlobalClusters" and self.move is not None and 0 < self.looks <= LOOKS:
            move = {key: value for key, value in self.move.items() if key != "cancelled"}
            parsed["GlobalClusters"][0]["FailoverState"] = move
        if model.name not in self.stand_ins:
            self.burn(before=False)

    def look(self) -> None:
        """The first look after a call shows nothing yet, the last that it has ended."""
        self.looks -= 1
        if self.move is not None and self.looks <= 0:
            if not self.move.get("cancelled"):
                self.lead(self.move["ToDbClusterArn"].split(":")[3])
            self.move = None

    def burn(self, *, before: bool) -> None:
        if self.fuse is None or before is self.after:
            return
        self.fuse -= 1
        if self.fuse < 0:
            self.fuse = None
            raise Broken

    def begin(self, _region: str, said: dict[str, Any]) -> dict[str, Any]:
        assert self.move is None, "one move at a time"
        self.said.append(said)
        target = said["TargetDbClusterIdentifier"]
        self.move, self.looks = {"Status": "pending", "ToDbClusterArn": target, "FromDbClusterArn": "arn"}, LOOKS + 2
        return {"GlobalCluster": {}}

    def metric(self, region: str, _said: dict[str, Any]) -> dict[str, Any]:
        if region not in self.lag_ms:
            return {"MetricDataResults": [{"Id": "lag", "Timestamps": [], "Values": []}]}
        at = datetime.now(UTC) - timedelta(seconds=self.sampled)
        return {"MetricDataResults": [{"Id": "lag", "Timestamps": [at], "Values": [self.lag_ms[region]]}]}

    def status(self, _region: str, said: dict[str, Any]) -> dict[str, Any]:
        check = said["path"].split("/")[-2]
        report = {"StatusReport": {"Status": self.checkers.get(check, "Success: HTTP Status Code 200, OK")}}
        where = ("us-east-1", "eu-west-1", "ap-southeast-1")
        return {"HealthCheckObservations": [{"Region": name, **report} for name in where]}

    # --- moto's own ---

    def clusters(self) -> dict[str, Any]:
        backends = rds_backends[DEFAULT_ACCOUNT_ID]
        return {region: backends[region].clusters[f"main-{region}"] for region in self.regions}

    def lead(self, region: str) -> None:
        for name, cluster in self.clusters().items():
            cluster.is_writer = name == region

    def writers(self) -> list[str]:
        return [region for region, cluster in self.clusters().items() if cluster.is_writer]
