"""The parameters of every member, the same on all of them: a cluster that is promoted inherits none.

Static ones stand there from phase 1 on, because they take effect with a restart of the writer.
"""

from collections.abc import Mapping

from topology import PartitionPlan, Topology

# A commit waits while no other region is as close behind as the setting says. With two members it would wait for ever
# once the other's region is gone, which is when writes must go on, so AWS advises against it there
# (docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-disaster-recovery.html, managing RPOs).
# With three, a region can be lost and one still follows: from phase 4 on. By then the second has long been copied.
RPO_MEMBERS = 3

# These take effect with a restart (RDS calls them static), the others at once.
STATIC = frozenset({"rds.logical_replication", "shared_preload_libraries"})

SLOW_MS = 1000

# What an instance logs, and what it remembers of statements (Aurora User Guide: AuroraPostgreSQL.Reference,
# instance-level parameters).
INSTANCE: Mapping[str, str] = {
    "log_connections": "1",
    "log_disconnections": "1",
    "log_lock_waits": "1",
    "log_min_duration_statement": str(SLOW_MS),
    "log_statement": "ddl",
    "pg_stat_statements.track": "ALL",
}


def family(engine_version: str) -> str:
    return f"aurora-postgresql{engine_version.partition('.')[0]}"


def cluster(topology: Topology, partition: PartitionPlan) -> Mapping[str, str]:
    """Nothing of IAM is among them: signing in with it is an argument of the cluster, and only asks for TLS."""
    assert topology.aws is not None, "checked with the settings"
    found = {
        "rds.force_ssl": "1",
        "rds.logical_replication": "1",  # a customer moves from one partition to another with it, in phase 5
        "shared_preload_libraries": "pg_stat_statements",
    }
    if topology.aws.rpo_seconds is not None and len(partition.members) >= RPO_MEMBERS:
        found["rds.global_db_rpo"] = str(topology.aws.rpo_seconds)
    return found


def apply_method(name: str) -> str:
    """Another than AWS reports would show as a change for ever."""
    return "pending-reboot" if name in STATIC else "immediate"
