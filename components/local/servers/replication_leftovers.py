"""What replication leaves in a server when something that used it did not come to its end, by the names it has."""

from collections.abc import Collection

from components.local.servers.postgres_session import Connection

# Those of a move, of the first copy of a subscription, and the physical ones of members. Others are somebody else's.
_SLOTS = """
select slot_name from pg_replication_slots
where not temporary and not synced and (
    slot_type = 'logical' and (slot_name ~ '^move_[0-9]+$' or slot_name ~ '^pg_[0-9]+_sync_')
    or slot_type = 'physical' and starts_with(slot_name, %s))
order by 1
"""
_PUBLICATIONS = "select pubname from pg_publication where pubname ~ '^move_[0-9]+$' order by 1"
_SUBSCRIPTIONS = "select subname from pg_subscription where subname ~ '^move_[0-9]+$' order by 1"


def slots(connection: Connection, prefix: str, wanted: Collection[str]) -> list[str]:
    """`prefix` is what the slots of a partition's members begin with; `wanted` are those that are needed."""
    return [name for (name,) in connection.execute(_SLOTS, (prefix,)).fetchall() if name not in wanted]


def publications(connection: Connection) -> list[str]:
    return [str(name) for (name,) in connection.execute(_PUBLICATIONS).fetchall()]


def subscriptions(connection: Connection) -> list[str]:
    return [str(name) for (name,) in connection.execute(_SUBSCRIPTIONS).fetchall()]
