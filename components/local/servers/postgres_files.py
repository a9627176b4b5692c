"""The configuration of a member as text.

It lies beside the data folder, not in it: base backups and rewinds copy the
source's whole data folder and would bring its configuration along.
"""

from collections.abc import Mapping

from components.local.servers.addresses import Endpoint
from components.local.servers.member import MemberSpec, Size

DATABASE = "orders"
OWNER, REPLICATOR, SERVICE, MONITOR, KEEPER = "meridian", "replicator", "service", "monitor", "keeper"
ROLES = (OWNER, REPLICATOR, SERVICE, MONITOR, KEEPER)

SETTINGS, HOST_RULES = "postgresql.conf", "pg_hba.conf"
UPSTREAM, PASSWORD_FILE = "upstream.conf", "upstream.pgpass"
ARCHIVE, ARCHIVE_PROGRAM = "archive.conf", "archive.sh"

# A standby refuses to start with less than its primary has of these (PostgreSQL, "Hot Standby", "Administrator's
# Overview"), and any member may become writer, so they are the same everywhere and do not depend on the size.
EQUAL = {
    "max_connections": "100",
    "max_prepared_transactions": "0",
    "max_locks_per_transaction": "64",
    "max_worker_processes": "8",
    "max_wal_senders": "20",
    "max_replication_slots": "20",
}

REPLICATION = {
    "wal_level": "logical",  # what active-active needs; changing it later takes a restart
    "hot_standby": "on",
    # Readers of a replica are not cancelled, and logical decoding on a replica keeps its rows; the price is that a long
    # read there holds back vacuum on the writer, which the service's short deadlines bound.
    "hot_standby_feedback": "on",
    "wal_retrieve_retry_interval": "200ms",  # default 5 s: the pause before a replica tries the writer again
    "wal_sender_timeout": "5s",
    "wal_receiver_timeout": "5s",
    "wal_receiver_status_interval": "1s",
    "max_slot_wal_keep_size": "1GB",  # a replica that is gone for good must not fill the writer's disk
    "wal_keep_size": "128MB",  # for a rewind after a failover, which needs WAL from before the fork
    "max_wal_size": "512MB",
}

ARCHIVING = {
    "archive_mode": "on",  # changing it later takes a restart
    "archive_command": "'true'",  # throws away; a member with a vault has its own in archive.conf, which comes last
    "archive_timeout": "60s",  # what a partition that is rarely written loses at most with all its members
}

SECURITY = {
    "password_encryption": "scram-sha-256",
    "unix_socket_directories": "''",
    "log_parameter_max_length_on_error": "0",
}

LOG = {
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_line_prefix": "'%m [%p] %q%u@%d %a '",
    "log_lock_waits": "on",
    "log_checkpoints": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
}

# Small on purpose: several regions share one machine. Only what a reload can change may depend on the size, because a
# member that grows must not be restarted.
MEMORY = {
    "shared_buffers": "32MB",
    "huge_pages": "off",
    "io_method": "sync",  # no worker processes for reading ahead in a database that lies in memory
}
BY_SIZE: Mapping[Size, Mapping[str, str]] = {
    "minimal": {"work_mem": "1MB", "maintenance_work_mem": "16MB", "effective_cache_size": "64MB"},
    "full": {"work_mem": "4MB", "maintenance_work_mem": "64MB", "effective_cache_size": "512MB"},
}


def configuration(member: MemberSpec) -> str:
    settings = {
        "data_directory": quoted(str(member.data)),
        "hba_file": quoted(str(member.home / HOST_RULES)),
        "listen_addresses": quoted(member.endpoint.host),
        "port": str(member.endpoint.port),
        "cluster_name": quoted(member.member),  # also its name towards the writer, in synchronous_standby_names
        **EQUAL,
        **REPLICATION,
        **ARCHIVING,
        **SECURITY,
        **LOG,
        **MEMORY,
        **BY_SIZE[member.size],
    }
    head = f"# {member.member}, written by Meridian, which replaces it. Settings of your own: ALTER SYSTEM.\n"
    body = "".join(f"{name} = {value}\n" for name, value in settings.items())
    more = "".join(f"include_if_exists = {quoted(str(member.home / name))}\n" for name in (UPSTREAM, ARCHIVE))
    return f"{head}{body}{more}"


def upstream(member: MemberSpec, source: Endpoint, slot: str) -> str:
    """What a replica follows. It stays when the member becomes writer, which ignores it, and later a replica again."""
    return f"primary_conninfo = {quoted(conninfo(member, source))}\nprimary_slot_name = {quoted(slot)}\n"


def conninfo(member: MemberSpec, source: Endpoint) -> str:
    """How a member reaches its writer. The password is in a file, not here: this text is visible in pg_settings."""
    words = {
        "host": source.host,
        "port": str(source.port),
        "user": REPLICATOR,
        "dbname": "postgres",  # for the synchronisation of logical slots; physical replication ignores it
        "passfile": str(member.home / PASSWORD_FILE),
        "connect_timeout": "5",
        # The gateway at the other end of the road does the encryption.
        "sslmode": "disable",
        "gssencmode": "disable",
        "channel_binding": "disable",
    }
    return " ".join(f"{key}={_conninfo_value(value)}" for key, value in words.items())


def host_rules() -> str:
    """Who may connect: named roles, from this machine, with a password."""
    rules = [
        ("postgres", OWNER),
        (DATABASE, OWNER),
        (DATABASE, SERVICE),
        ("postgres", MONITOR),
        (DATABASE, MONITOR),
        (DATABASE, KEEPER),
        (DATABASE, REPLICATOR),  # copies the homes that are moved to another partition
        ("postgres", REPLICATOR),  # makes its slots
        ("replication", REPLICATOR),
    ]
    return "# TYPE DATABASE USER ADDRESS METHOD\n" + "".join(
        f"host {database} {role} 127.0.0.0/8 scram-sha-256\n" for database, role in rules
    )


def password_line(role: str, password: str) -> str:
    """A line of a password file, for every server."""
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    return f"*:*:*:{role}:{escaped}\n"


def synchronous_standbys(names: list[str]) -> str:
    """One of these has to have every commit before it is acknowledged; empty: none has to."""
    return f"ANY 1 ({', '.join(_identifier(name) for name in sorted(names))})" if names else ""


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _conninfo_value(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
