"""What AWS says of a partition: the global database, its clusters, how far the copies are behind, who reaches whom."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from operations.drivers import trial
from operations.drivers.aws_admission import Admission
from operations.drivers.managed import LEASE, Ground, at_once, reached
from operations.failover.driver import MemberFacts, Observation

Client = Callable[[str, str], Any]

LAG_MINUTES = 15  # how far back a last figure is looked for
ROUTE53_REGION = "us-east-1"
HERE = "here"  # the operator's own machine among those who look

# Of a global cluster at rest; the others are those of FailoverState (RDS API).
AVAILABLE = "available"


@dataclass(frozen=True, kw_only=True)
class GlobalDatabase:
    """A global cluster, by its members' regions."""

    writer: str | None
    members: frozenset[str]
    status: str
    towards: str | None  # where Aurora is moving the writer to
    endpoint: str

    @property
    def moving(self) -> bool:
        return self.towards is not None or self.status != AVAILABLE


def described(client: Client, identifier: str, regions: Sequence[str]) -> GlobalDatabase | None:
    """From the first region that answers: each of them knows the whole.

    Raises where nobody answers and somebody refuses: credentials that are wrong are no outage.
    """
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    refused: Exception | None = None
    for region in dict.fromkeys(regions):
        try:
            answer = client("rds", region).describe_global_clusters(GlobalClusterIdentifier=identifier)
        except (ClientError, NoCredentialsError) as fault:
            refused = fault
            continue
        except BotoCoreError:
            continue
        found = answer["GlobalClusters"][0]
        members = {member["DBClusterArn"].split(":")[3]: member["IsWriter"] for member in found["GlobalClusterMembers"]}
        writers = [name for name, writes in members.items() if writes]
        move = found.get("FailoverState") or {}
        target = move.get("ToDbClusterArn")
        return GlobalDatabase(
            writer=writers[0] if len(writers) == 1 else None,
            members=frozenset(members),
            status=move.get("Status") or found["Status"],
            towards=target.split(":")[3] if target else None,
            endpoint=found.get("Endpoint", ""),
        )
    if refused is not None:
        raise refused
    return None


@dataclass(frozen=True, kw_only=True)
class Cluster:
    status: str
    instances: int  # that are available
    of: int


def observe(
    ground: Ground,
    identifier: str,
    client: Client,
    admission: Admission,
    among: Collection[str] | None,
) -> Observation:
    asked = [region for region in ground.members if among is None or region in among]
    with ThreadPoolExecutor(4) as pool:
        looking = pool.submit(sights, ground, client, asked)
        clusters = pool.submit(at_once, lambda region: cluster(client, region, ground.members[region]), asked)
        lags = pool.submit(at_once, lambda region: lag(client, region, ground.members[region]), asked)
        letting = pool.submit(at_once, lambda region: _or_none(lambda: admission.admitted(region)), admission.regions)
        order = [name for name in (ground.vantage, *asked) if name in asked]
        whole = described(client, identifier, order)
        vantages, answers = looking.result()
        known, behind, let_in = clusters.result(), lags.result(), letting.result()
    now, facts = time.time(), {}
    writer = whole.writer if whole is not None else None
    up = {
        region: known.get(region) is not None
        and region in (whole.members if whole else ())
        and reached(region, vantages)
        for region in ground.members
    }
    for region in ground.members:
        own = known.get(region)
        writes = region == writer
        sample = behind.get(region)
        why = why_not(own, region in admission.regions, answers, region)
        facts[region] = MemberFacts(
            role=None if whole is None or region not in whole.members else "writer" if writes else "replica",
            reachable=up[region],
            accepts_writes=writes and up[region] and whole is not None and not whole.moving and _serves(own),
            received_lsn=None,
            replayed_lsn=None,
            lag_bytes=None,
            lag_seconds=0.0 if writes else lag_seconds(sample, now, writer_lives=writer is not None and up[writer]),
            can_take_load=not why,
            why_not=why,
            following=None if writes else writer,
        )
    return Observation(
        at=now,
        writer=writer,
        members=facts,
        vantages=vantages,
        lease=LEASE if whole is not None else None,
        admitted=frozenset(region for region, said in let_in.items() if said),
    )


def cluster(client: Client, region: str, arn: str) -> Cluster | None:
    """None where the region does not answer."""

    def ask() -> Cluster:
        (found,) = client("rds", region).describe_db_clusters(DBClusterIdentifier=arn.rpartition(":")[2])["DBClusters"]
        names = [member["DBInstanceIdentifier"] for member in found["DBClusterMembers"]]
        states = [
            client("rds", region).describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]["DBInstanceStatus"]
            for name in names
        ]
        return Cluster(status=found["Status"], instances=states.count(AVAILABLE), of=len(names))

    return _or_none(ask)


def why_not(own: Cluster | None, serves: bool, answers: Mapping[str, int | None], region: str) -> str:
    if own is None:
        return "its region does not answer"
    if own.of == 0:
        return "it has no instances"
    if own.instances < own.of:
        return f"{own.instances} of its {own.of} instances are available"
    if not serves:
        return "it has no service"
    # Nobody reached from here at all says something of this place, and not of theirs.
    if any(answers.values()) and answers.get(region) != 200:
        return f"its service answers {answers.get(region) or 'nothing'}"
    return ""


def _serves(own: Cluster | None) -> bool:
    return own is not None and own.instances > 0


def lag(client: Client, region: str, arn: str) -> tuple[float, float] | None:
    """When it was measured last, and the seconds that a loss of the writer's region would have cost then.

    By a query, which takes the metric whatever region the copy comes from: that is one of its dimensions, and each
    failover makes it another (components/aws/alarms_database.py).
    """

    def ask() -> tuple[float, float] | None:
        name, end = arn.rpartition(":")[2], datetime.now(UTC)
        # A name of our own cluster, in a query of metrics.
        query = f"SELECT MAX(AuroraGlobalDBRPOLag) FROM \"AWS/RDS\" WHERE DBClusterIdentifier = '{name}'"  # noqa: S608
        found = client("cloudwatch", region).get_metric_data(
            MetricDataQueries=[{"Id": "lag", "Expression": query, "Period": 60}],
            StartTime=end - timedelta(minutes=LAG_MINUTES),
            EndTime=end,
            ScanBy="TimestampDescending",
        )["MetricDataResults"]
        if not found or not found[0]["Values"]:
            return None
        return found[0]["Timestamps"][0].timestamp(), found[0]["Values"][0] / 1000

    return _or_none(ask)


def lag_seconds(sample: tuple[float, float] | None, now: float, *, writer_lives: bool) -> float | None:
    """While the writer lives the figure is what it is; after that all that came since it was measured may be lost."""
    if sample is None:
        return None
    at, seconds = sample
    return seconds if writer_lives else seconds + max(0.0, now - at)


def sights(
    ground: Ground, client: Client, regions: Sequence[str]
) -> tuple[dict[str, dict[str, bool]], dict[str, int | None]]:
    """Who reaches which region: Route 53's checkers on four continents, and this machine; and what it was answered.

    A region reached is one that answers anything: whether it is held out, or ready, is not the question.
    """
    checks = {region: ground.traffic[f"check/{region}"] for region in regions if f"check/{region}" in ground.traffic}
    serving = checks or {region: "" for region in regions if f"endpoint-group/{region}" in ground.traffic}
    with ThreadPoolExecutor(2) as pool:
        asking = pool.submit(trial.answers, {region: ground.own_url(region) for region in serving})
        seen = at_once(lambda region: _or_none(lambda: checkers(client, checks[region])) or {}, list(checks))
        answers = asking.result()
    found: dict[str, dict[str, bool]] = {}
    for region, by_checker in seen.items():
        for checker, sight in by_checker.items():
            found.setdefault(f"route53 {checker}", {})[region] = sight
    if any(answers.values()):
        found[HERE] = {region: answer is not None for region, answer in answers.items()}
    return found, answers


def checkers(client: Client, check: str) -> dict[str, bool]:
    """By the checker's region: whether one there got an answer. A calculated check has no checkers of its own (API)."""
    route53 = client("route53", ROUTE53_REGION)
    config = route53.get_health_check(HealthCheckId=check)["HealthCheck"]["HealthCheckConfig"]
    found: dict[str, bool] = {}
    for each in config.get("ChildHealthChecks") or [check]:
        for seen in route53.get_health_check_status(HealthCheckId=each)["HealthCheckObservations"]:
            said = seen["StatusReport"]["Status"]
            # "Failure: HTTP Status Code 202, …" is an answer; what names no code is none.
            found[seen["Region"]] = found.get(seen["Region"], False) or "HTTP Status Code" in said
    return found


def _or_none(ask: Callable[[], Any]) -> Any:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return ask()
    except (BotoCoreError, ClientError):
        return None
