"""A member's alarms, the same on every member whoever is writer: a failover must not leave one unwatched.

Metrics and what they mean: cloud.google.com/sql/docs/postgres/admin-api/metrics. Each is sampled every minute and shows
165 seconds later at most.

No metric says who is writer. A copy reports how far it is behind, and nothing, or a number below zero, when it follows
nobody (ibid., database/replication/replica_lag). So whoever is up and does not follow counts as a primary.
"""

from collections.abc import Iterator, Sequence

import pulumi

from components.contracts import DatabaseOutputs
from components.gcp import names, paths
from components.gcp.alarms import Alarm, Metric, Query
from components.gcp.database import NAME_LIMIT
from topology import GcpPlan, MemberPlan, Objectives, Topology

RESOURCE = "cloudsql_database"

# Half of what may be lost at most, so that there is time to act; half a minute where nobody has said.
RPO_SHARE, LAG_SECONDS = 0.5, 30

# From one region to another takes well under a second. Ten say that something is wrong with the way between them long
# before the objective is at risk.
TRANSIT_SECONDS = 10

# It grows by itself whenever less than 5 GB, or more on a larger one, are free, which is looked at every 30 seconds
# (cloud.google.com/sql/docs/postgres/instance-settings, automatic storage increase). With less it has not, or is at the
# 64 TB that it may have.
FREE_BYTES = 5 * 10**9

# Down for more than three minutes of fifteen. A zone's loss takes one.
UP_SHARE = 0.8

CPU_SHARE, MEMORY_SHARE, CONNECTIONS_SHARE = 0.85, 0.95, 0.8

# Programs repeat what a deadlock undid; one every ten seconds for a quarter of an hour is a fault in a program.
DEADLOCKS_PER_SECOND = 0.1

# Of the 2.1 billion at which the database takes no more writes; vacuum has begun to hurry at a tenth.
TRANSACTION_IDS_SHARE = 0.5

# How many an instance takes by default, by its memory in GiB at least
# (cloud.google.com/sql/docs/postgres/flags, max_connections). An N machine of Enterprise Plus has eight GiB for each
# processor (…/machine-series-overview).
CONNECTIONS = {120: 1000, 60: 800, 30: 600, 15: 500}
GIB_PER_CPU = 8

# Write-ahead logs are archived every five minutes or sooner where point-in-time recovery is on
# (cloud.google.com/sql/docs/postgres/backup-recovery/pitr).
ARCHIVED_WITHIN = "1h"

# One backup a day begins within four hours of its time, so that two may be more than a day apart. An hour more than a
# day, and the alarm's own waiting after that, make the two days after which AWS rings.
BACKED_UP_WITHIN, BACKED_UP_MINUTES = "25h", 20 * 60


def alarms(topology: Topology, member: MemberPlan, database: DatabaseOutputs, backups: str) -> Iterator[Alarm]:
    """`backups`: the metric that counts what Cloud SQL has backed up by itself."""
    assert topology.gcp is not None, "checked with the settings"
    # Known only when the instance is there to be watched.
    own = pulumi.Output.from_input(database.member_id).apply(database_id)
    others = [topology.member(name) for name in topology.partition(member.partition).members if name != member.name]
    yield from replication(topology, member.partition, own, others)
    yield from primary(member.partition, own, backups)
    yield from instance(member.partition, own, topology.gcp)


def replication(
    topology: Topology, partition: str, own: pulumi.Output[str], others: Sequence[MemberPlan]
) -> Iterator[Alarm]:
    allowed = behind(topology.objectives)
    yield Alarm(
        part=f"{partition}-lag",
        says=f"Were the writer's region lost now, more than {allowed:g} s of commits would be lost with it.",
        act="Look for long queries on this copy, for its load, and for what the writer is busy with. Until it is over, "
        "no failover to this region but in need.",
        severity="ERROR",
        watches=Query(
            text=pulumi.Output.format("{0} > {1:g}", of("database/replication/replica_lag", own), allowed), minutes=3
        ),
    )
    yield Alarm(
        part=f"{partition}-replication",
        says="Changes take long from the writer's region to this one.",
        act="Look for what the writer is busy with, and at Google's status page for the network between the regions.",
        severity="WARNING",
        watches=Query(
            text=pulumi.Output.format("{0} > {1}", of("database/replication/network_lag", own), TRANSIT_SECONDS),
            minutes=10,
        ),
    )
    if others:
        # By names, because alarms of one region wait for no other region.
        ids = "|".join(id_of(topology, other) for other in others)
        yield Alarm(
            part=f"{partition}-primaries",
            says="This member follows nobody, and another of the partition does not either: both may take writes that "
            "the other never sees, or one of them is a copy that has stopped.",
            act="Find out which is the writer (`instanceType` of each instance), and keep clients from the other at "
            "once. A former writer is made anew as a copy; what was written to it alone must be saved before.",
            severity="CRITICAL",
            # Longer than a switchover, and than a copy that is new takes until it follows.
            watches=Query(
                text=pulumi.Output.format("({0}) and on () ({1})", leading(own), leading(among=ids)), minutes=15
            ),
        )


def primary(partition: str, own: pulumi.Output[str], backups: str) -> Iterator[Alarm]:
    """What only a writer has, and each one must have: a failover does not bring it along."""
    archived = of("database/replication/log_archive_success_count", own)
    yield Alarm(
        part=f"{partition}-archiving",
        says=f"The writer has archived nothing for {ARCHIVED_WITHIN}: it cannot be restored to a point in time.",
        act="Turn point-in-time recovery on (`gcloud sql instances patch --enable-point-in-time-recovery`). After a "
        "failover it is off on the new writer until somebody does.",
        severity="ERROR",
        watches=Query(
            text=pulumi.Output.format(
                "({0}) unless on (database_id) (increase({1}[{2}]) > 0)", leading(own), archived, ARCHIVED_WITHIN
            ),
            minutes=30,
        ),
    )
    counted = Metric(type=f"logging.googleapis.com/user/{backups}", resource=RESOURCE, labels={"database_id": own})
    yield Alarm(
        part=f"{partition}-backups",
        says="Cloud SQL has not backed up the writer for nearly two days.",
        act="Look at the instance's backups, and turn them on where they are off: after a failover they are, on the "
        "new writer, until somebody does. Make one by hand meanwhile.",
        severity="ERROR",
        watches=Query(
            text=pulumi.Output.format(
                # Only of what was up a day ago: a new member has had no time for one.
                "(({0}) unless on (database_id) (increase({1}[{2}]) > 0)) and on (database_id) ({3} offset 1d)",
                leading(own),
                counted.select(),
                BACKED_UP_WITHIN,
                of("database/up", own),
            ),
            minutes=BACKED_UP_MINUTES,
            every=600,
        ),
    )


def instance(partition: str, own: pulumi.Output[str], plan: GcpPlan) -> Iterator[Alarm]:
    up = of("database/up", own)
    yield Alarm(
        part=f"{partition}-uptime",
        says="The instance is down, starts over and over, or says nothing.",
        act="Look at the instance's operations and at its log. If it is the writer's and its region is lost, decide on "
        "a failover.",
        severity="CRITICAL",
        watches=Query(
            text=pulumi.Output.format("avg_over_time({0}[15m]) < {1} or absent_over_time({0}[15m])", up, UP_SHARE),
            minutes=5,
        ),
    )
    yield Alarm(
        part=f"{partition}-volume",
        says="The disk is nearly full and does not grow.",
        act="Look for what has grown, and at the instance's operations for why the disk has not. When it is full the "
        "instance stops.",
        severity="CRITICAL",
        watches=Query(
            text=pulumi.Output.format(
                "{0} - on (database_id) {1} < {2}",
                of("database/disk/quota", own),
                of("database/disk/bytes_used", own),
                FREE_BYTES,
            ),
            minutes=30,
        ),
    )
    yield Alarm(
        part=f"{partition}-cpu",
        says="The instance's processors are busy nearly all the time.",
        act="Look at query insights for what they do. More of them are a larger `gcp.database.tier`.",
        severity="WARNING",
        watches=Query(
            text=pulumi.Output.format("{0} > {1}", of("database/cpu/utilization", own), CPU_SHARE), minutes=15
        ),
    )
    yield Alarm(
        part=f"{partition}-connections",
        says="The instance will soon refuse connections.",
        act="Look for who holds them and does nothing.",
        severity="ERROR",
        watches=Query(
            text=pulumi.Output.format(
                "sum by (database_id) ({0}) > {1}",
                of("database/postgresql/num_backends", own),
                CONNECTIONS_SHARE * connections(plan.tier),
            ),
            minutes=10,
        ),
    )
    yield Alarm(
        part=f"{partition}-memory",
        says="The instance has hardly any memory left.",
        act="Look at query insights for large sorts and for the number of connections; an instance that runs out "
        "starts anew.",
        severity="WARNING",
        watches=Query(
            text=pulumi.Output.format("{0} > {1}", of("database/memory/utilization", own), MEMORY_SHARE), minutes=15
        ),
    )
    yield Alarm(
        part=f"{partition}-deadlocks",
        says="Transactions lock each other out, again and again.",
        act="The instance's log names the statements.",
        severity="WARNING",
        watches=Query(
            text=pulumi.Output.format(
                "sum by (database_id) (rate({0}[5m])) > {1}",
                of("database/postgresql/deadlock_count", own),
                DEADLOCKS_PER_SECOND,
            ),
            minutes=15,
        ),
    )
    yield Alarm(
        part=f"{partition}-transaction-ids",
        says="Vacuum does not keep up: at 2.1 billion unvacuumed transactions the database takes no more writes.",
        act="Look for transactions that are open for days, prepared ones, and replication slots that nobody reads.",
        severity="ERROR",
        watches=Query(
            text=pulumi.Output.format(
                "{0} > {1}", of("database/postgresql/transaction_id_utilization", own), TRANSACTION_IDS_SHARE
            ),
            minutes=30,
        ),
    )


def of(metric: str, own: pulumi.Input[str] | None = None, *, among: str | None = None) -> pulumi.Output[str]:
    """Of one member, or of those whose ids a pattern has."""
    return Metric(
        type=f"cloudsql.googleapis.com/{metric}",
        resource=RESOURCE,
        labels={} if own is None else {"database_id": own},
        patterns={} if among is None else {"database_id": among},
    ).select()


def leading(own: pulumi.Input[str] | None = None, *, among: str | None = None) -> pulumi.Output[str]:
    """Those that are up and follow nobody."""
    return pulumi.Output.format(
        "{0} > 0 unless on (database_id) {1} >= 0",
        of("database/up", own, among=among),
        of("database/replication/replica_lag", own, among=among),
    )


def database_id(member_id: str) -> str:
    """As the metrics have it, "project:instance", from the connection name "project:region:instance"."""
    project, _, instance = member_id.rsplit(":", 2)
    return f"{project}:{instance}"


def id_of(topology: Topology, member: MemberPlan) -> str:
    return f"{paths.project(topology)}:{names.name(topology, member.name, limit=NAME_LIMIT)}"


def behind(objectives: Objectives) -> float:
    return LAG_SECONDS if objectives.rpo_seconds is None else objectives.rpo_seconds * RPO_SHARE


def connections(tier: str) -> int:
    gib = int(tier.rpartition("-")[2]) * GIB_PER_CPU
    return next(most for least, most in CONNECTIONS.items() if gib >= least)
