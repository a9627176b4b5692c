"""What `up` leaves alone on a member of a global database, because AWS or a failover changes it.

An argument that stands here is written once, when the resource is made, and never again. The replacement, promotion or
detachment that follows where one is missing is in replacement.csv; tests/components/aws/test_failover.py takes them off
one by one.
"""

CLUSTER_IGNORES = [
    # Empty on a member that is out of its global database: by hand, or while a lost region's member is rebuilt after a
    # failover. Putting it back is refused ("existing RDS Clusters cannot be added"), and emptying it detaches the
    # member for good (provider: resourceClusterUpdate; terraform-provider-aws #10965).
    "global_cluster_identifier",
    # The writer's ARN on every other member, so each failover moves it. Never an input here, and absent where the state
    # has one, it promotes the replica: two writers (provider: resourceClusterUpdate; terraform-provider-aws #42919).
    "replication_source_identifier",
    # The global cluster upgrades its members. Repeated here, the plan does not hold: "inconsistent final plan"
    # (SDK, rds.GlobalCluster; terraform-aws-rds-aurora #425, #512).
    "engine_version",
    # AWS picks three itself. As an argument they replace the cluster (SDK, rds.Cluster; terraform-provider-aws #29149,
    # pulumi-aws #1793).
    "availability_zones",
    # Left by a restore that was taken into the state; another value replaces the cluster (provider: resourceCluster).
    "snapshot_identifier",
    # The origin's alone: they make what the others copy. AWS reports both on every member, and each of them replaces
    # it (provider: resourceCluster, ForceNew).
    "master_username",
    "database_name",
    # Not ForceNew, but a secondary refuses a password, and a former writer is one. `./meridian rotate` sets it by API
    # where the writer is.
    "master_password",
]

INSTANCE_IGNORES = [
    # Its cluster's (RDS API: CreateDBInstance, "managed by the DB cluster").
    "engine_version",
    # AWS spreads instances over the subnet group's zones; one that it has put somewhere would be replaced.
    "availability_zone",
    # The cluster's; set here too it is refused (SDK, rds.ClusterInstance).
    "preferred_backup_window",
]
