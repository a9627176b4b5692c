"""The database flags of every member, the same on all of them: a replica that lags behind in one cannot take over
(cloud.google.com/sql/docs/postgres/use-advanced-disaster-recovery: DR replica requirements).

Those that a replica must have at least as high as its primary (max_connections and the like) are not among them:
Cloud SQL derives them from the tier, which is equal too. Nor is cloudsql.logical_decoding, which keeps a replica from
being the one that takes over before PostgreSQL 17 (ibid.); whoever moves customers between partitions sets it then.
"""

from collections.abc import Mapping

SLOW_MS = 1000

FLAGS: Mapping[str, str] = {
    "cloudsql.iam_authentication": "on",  # how the service signs in
    "log_connections": "on",
    "log_disconnections": "on",
    "log_lock_waits": "on",
    "log_min_duration_statement": str(SLOW_MS),
    "log_statement": "ddl",
    "pg_stat_statements.track": "all",
}
