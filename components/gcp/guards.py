"""What `up` leaves alone on a member, its databases, its users and the write endpoint, because Cloud SQL, a failover or
operations change it.

An argument that stands here is written once, when the resource is made, and never again. The replacement, promotion or
refusal that follows where one is missing is in replacement.csv; tests/components/gcp/test_failover.py takes them off
one by one. Paths of more than one part are written as the provider has them: Pulumi translates only the others.
"""

INSTANCE_IGNORES = [
    # Empty on the writer and the writer's name on all others, so each failover moves it. It makes the copy and nothing
    # else: unignored, the new writer is replaced by an empty copy of a database that may be gone (provider:
    # isSwitchoverFromOldPrimarySide).
    "masterInstanceName",
    # Never an input. Said of a former writer, it promotes it: two writers (provider: isReplicaPromoteRequested).
    "instanceType",
    # Never inputs either. They change hands with the roles (terraform-provider-google #25246, #25713), and everything
    # in the second replaces the instance.
    "replicaNames",
    "replicaConfiguration",
    # Which member is kept ready to take over. Only the writer may say so, and creation does not send it: operations do
    # (provider: resourceSqlDatabaseInstanceUpdate; Config Connector #13151).
    "replicationCluster",
    # A replica has no backups: to turn them on is refused, and Cloud SQL turns them on and off when roles change
    # (Config Connector #12759). So a change of what is kept is an operation, on whoever is writer.
    "settings.backupConfiguration",
    # A replica has none of its own, and is refused one (terraform-provider-google #7609).
    "settings.maintenanceWindow",
    # It grows by itself; another size than the one at birth would be asked for at each `up` (SDK: disk_autoresize).
    "settings.diskSize",
]

# Bound to the origin's instance, by whose data all members have them. Of another instance they would be others: each
# failover would drop the database (replacement.csv: instance).
DATABASE_IGNORES = ["instance"]

# The password changes by API where the writer is: a former writer refuses it.
USER_IGNORES = ["instance", "password"]

# Where the writes go. Unignored, `up` would send them back to the origin after a failover.
WRITE_ENDPOINT_IGNORES = ["rrdatas"]
