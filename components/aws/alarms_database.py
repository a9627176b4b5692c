"""A member's alarms, the same on every member whoever is writer: a failover must not leave one unwatched.

Metrics and what they mean: docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.AuroraMonitoring.Metrics.html.
"""

import re
from collections.abc import Iterator

import pulumi

from components.aws.alarms import Alarm, Expression, Metric
from components.contracts import DatabaseOutputs
from topology import AwsPlan, MemberPlan, Objectives

GIB, TIB = 2**30, 2**40

# Half of what may be lost at most, so that there is time to act; half a minute where nobody has said.
RPO_SHARE, LAG_MS = 0.5, 30_000

# Replication takes under a second (Aurora User Guide: aurora-global-database). Ten say that something is wrong with the
# way between the regions long before the objective is at risk.
TRANSIT_MS = 10_000

# Of 128 TiB (Aurora User Guide: CHAP_Limits).
VOLUME_BYTES = 100 * TIB

CPU_PERCENT, ACU_PERCENT = 85, 90
CONNECTIONS_SHARE, MEMORY_SHARE = 0.8, 0.05

# Programs repeat what a deadlock undid; one every ten seconds for a quarter of an hour is a fault in a program.
DEADLOCKS_PER_SECOND = 0.1

# Usually far below 100 ms (Aurora User Guide: Aurora.Replication).
READER_MS = 2000

# At 2,146,483,648 the database takes no more writes; vacuum has begun to hurry at 200 million.
TRANSACTION_IDS = 1_000_000_000

# An instance that is up for less than a minute, again and again, starts over and over.
UPTIME_SECONDS = 60


def alarms(member: MemberPlan, database: DatabaseOutputs, plan: AwsPlan, objectives: Objectives) -> Iterator[Alarm]:
    """A member without instances has metrics of its storage only."""
    # An ARN, "…:cluster:<identifier>", and known only when the instances are there to be watched.
    cluster = pulumi.Output.from_input(database.member_id).apply(lambda arn: arn.rsplit(":", 1)[-1])
    yield from storage(member.partition, cluster, objectives)
    if member.instances:
        yield from instances(member.partition, cluster, plan)


def storage(partition: str, cluster: pulumi.Output[str], objectives: Objectives) -> Iterator[Alarm]:
    """Lag is reported by the copies, each in its own region, so on a writer these have no data and nothing to say."""
    allowed = LAG_MS if objectives.rpo_seconds is None else objectives.rpo_seconds * 1000 * RPO_SHARE
    yield Alarm(
        part=f"{partition}-lag",
        says=f"Were the writer's region lost now, more than {allowed / 1000:g} s of commits would be lost with it.",
        watches=copied("AuroraGlobalDBRPOLag", cluster),
        above=allowed,
        points=3,
        within=5,
        missing="notBreaching",
    )
    yield Alarm(
        part=f"{partition}-replication",
        says="Changes take long from the writer's region to this one.",
        watches=copied("AuroraGlobalDBReplicationLag", cluster),
        above=TRANSIT_MS,
        points=5,
        within=10,
        missing="notBreaching",
    )
    yield Alarm(
        part=f"{partition}-volume",
        says="The volume grows towards the 128 TiB that it may have.",
        watches=of("VolumeBytesUsed", "Maximum", cluster),
        above=VOLUME_BYTES,
        period=3600,
        points=2,
        within=3,
        missing="notBreaching",
    )


def instances(partition: str, cluster: pulumi.Output[str], plan: AwsPlan) -> Iterator[Alarm]:
    yield Alarm(
        part=f"{partition}-uptime",
        says="An instance starts over and over, or none says anything.",
        watches=of("EngineUptime", "Minimum", cluster),
        below=UPTIME_SECONDS,
        points=5,
        within=10,
        missing="breaching",
        warm_up=60,
    )
    yield Alarm(
        part=f"{partition}-cpu",
        says="An instance's processors are busy nearly all the time.",
        watches=of("CPUUtilization", "Maximum", cluster),
        above=CPU_PERCENT,
        points=12,
        within=15,
        missing="notBreaching",
    )
    if plan.instance_class == "db.serverless":
        yield Alarm(
            part=f"{partition}-capacity",
            says="An instance is near `aws.database.maximum_acu` and cannot grow much more.",
            watches=of("ACUUtilization", "Maximum", cluster),
            above=ACU_PERCENT,
            points=12,
            within=15,
            missing="notBreaching",
        )
    yield Alarm(
        part=f"{partition}-connections",
        says="An instance will soon refuse connections.",
        watches=of("DatabaseConnections", "Maximum", cluster),
        above=CONNECTIONS_SHARE * connections(plan),
        points=5,
        within=10,
        missing="notBreaching",
    )
    yield Alarm(
        part=f"{partition}-memory",
        says="An instance has hardly any memory left.",
        watches=of("FreeableMemory", "Minimum", cluster),
        below=MEMORY_SHARE * memory_gib(plan) * GIB,
        points=10,
        within=15,
        missing="notBreaching",
    )
    yield Alarm(
        part=f"{partition}-deadlocks",
        says="Transactions lock each other out, again and again.",
        watches=of("Deadlocks", "Average", cluster),
        above=DEADLOCKS_PER_SECOND,
        period=300,
        points=3,
        within=4,
        missing="notBreaching",
    )
    yield Alarm(
        part=f"{partition}-readers",
        says="A reader is behind its own region's storage, and answers with what is old.",
        watches=of("AuroraReplicaLag", "Maximum", cluster),
        above=READER_MS,
        points=5,
        within=10,
        missing="notBreaching",
    )
    yield Alarm(
        part=f"{partition}-transaction-ids",
        says="Vacuum does not keep up: at 2.1 billion unvacuumed transactions the database takes no more writes.",
        watches=of("MaximumUsedTransactionIDs", "Maximum", cluster),
        above=TRANSACTION_IDS,
        period=300,
        points=3,
        within=6,
        missing="notBreaching",
    )


def of(metric: str, statistic: str, cluster: pulumi.Output[str]) -> Metric:
    return Metric(namespace="AWS/RDS", name=metric, statistic=statistic, dimensions={"DBClusterIdentifier": cluster})


def copied(metric: str, cluster: pulumi.Output[str]) -> Expression:
    """By a query, which takes the metric whatever other dimensions it has: one of them names the region that the copy
    comes from, and each failover makes that another one.
    """
    return Expression(
        text=pulumi.Output.format("SELECT MAX({0}) FROM \"AWS/RDS\" WHERE DBClusterIdentifier = '{1}'", metric, cluster)
    )


def memory_gib(plan: AwsPlan) -> float:
    """Of one instance at its largest. An ACU has 2 GiB, and FreeableMemory of Serverless v2 counts what it may still
    grow by (Aurora User Guide: aurora-serverless-v2.setting-capacity). Classes optimised for memory have 16 GiB where
    they are called large, X2g twice that, and twice as much with each step.
    """
    if plan.instance_class == "db.serverless":
        return plan.maximum_acu * 2
    _, family, size = plan.instance_class.split(".")
    large = 32 if family.startswith("x") else 16
    steps = re.fullmatch(r"(\d*)(x?)large", size)
    assert steps is not None, "checked with the settings"
    return large * (int(steps[1] or 1) * 2 if steps[2] else 1)


def connections(plan: AwsPlan) -> int:
    """How many an instance takes by default: LEAST({DBInstanceClassMemory/9531392}, 5000), and 2,000 where Serverless
    v2 may shrink to half an ACU or less (Aurora User Guide: AuroraPostgreSQL.Managing and
    aurora-serverless-v2.setting-capacity).
    """
    most = 2000 if plan.instance_class == "db.serverless" and plan.minimum_acu <= 0.5 else 5000
    return min(int(memory_gib(plan) * GIB / 9_531_392), most)
