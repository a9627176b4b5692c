"""How each thing that a check finds is mended: commands as a person would type them. Nothing here runs one."""

# ruff: noqa: S608

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from operations.partitions.check import Kind, Suspect


@dataclass(frozen=True, kw_only=True)
class Words:
    """What a mend is written with."""

    command: Callable[..., str]  # a command of this stack, as a user would type it
    writers: Mapping[str, str]  # the writing member, by partition
    folders: Mapping[str, str]  # where a member's data are, by member
    regions: Mapping[str, str]  # by member
    maps: Mapping[str, str]  # the file of the partition map, by region
    newest: str = ""  # the region whose copy is the newest

    def psql(self, member: str, statement: str) -> str:
        return f"{self.command('psql', member, '--owner')} -- -c {shlex.quote(statement)}"


def mend(suspect: Suspect, words: Words) -> list[str]:
    """Commands, in their order; nothing runs them but a person who has looked."""
    return _MENDS[suspect.kind](suspect, words)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _where(suspect: Suspect) -> str:
    return " and ".join(f"{column} = {quoted(value)}" for column, value in suspect.key)


def _value(suspect: Suspect, column: str) -> str:
    return quoted(dict(suspect.key)[column])


def _sql(suspect: Suspect, words: Words, *statements: str) -> list[str]:
    return [words.psql(suspect.member, each) for each in statements]


def _copy_anew(suspect: Suspect, words: Words) -> list[str]:
    data = shlex.quote(words.folders[suspect.member])
    region = words.regions[suspect.member]
    return [
        f"pid=$(head -1 {data}/postmaster.pid); kill -INT $pid; while kill -0 $pid; do sleep 1; done",
        f"mv {data} {data}.differs",
        words.command("failback", "--partition", suspect.partition, "--to", region, "--rejoin-only"),
    ]


def _rejoin(suspect: Suspect, words: Words) -> list[str]:
    region = words.regions[suspect.member]
    return [words.command("failback", "--partition", suspect.partition, "--to", region, "--rejoin-only")]


def _resume(suspect: Suspect, words: Words) -> list[str]:
    return [words.command("failover", "--partition", suspect.partition, "--resume")]


def _delete(suspect: Suspect, words: Words) -> list[str]:
    return _sql(suspect, words, f"delete from {suspect.table} where {_where(suspect)}")


def _bring_over(suspect: Suspect, words: Words) -> list[str]:
    """By a file, so that it does not matter which columns a table has."""
    chosen = f"select * from {suspect.table} where {_where(suspect)}"
    if suspect.other not in words.writers:  # no partition has such homes
        change = f"update {suspect.table} set home = 'A HOME THAT IS' where {_where(suspect)}"
        return _sql(suspect, words, chosen, change)
    return [
        words.psql(suspect.member, f"\\copy ({chosen}) to 'outside.rows'"),
        words.psql(words.writers[suspect.other], f"\\copy {suspect.table} from 'outside.rows'"),
        *_delete(suspect, words),
    ]


def _take_home(suspect: Suspect, words: Words) -> list[str]:
    home = f"(select home from public.customers where customer = {quoted(suspect.value)})"
    return _sql(suspect, words, f"update {suspect.table} set home = {home} where {_where(suspect)}")


def _add_customer(suspect: Suspect, words: Words) -> list[str]:
    who = _value(suspect, "customer")
    return _sql(
        suspect,
        words,
        "insert into public.customers (home, customer, last_sequence, cancelled) "
        "select home, customer, max(sequence), max(sequence) - count(*) "
        f"from public.orders where customer = {who} group by home, customer",
    )


def _search(suspect: Suspect, words: Words) -> list[str]:
    """An order that is gone: in what a failover left behind, or in a backup."""
    return [
        words.command("reconcile", "list"),
        words.command("restore", "--partition", suspect.partition, "--to", "TIME"),
        words.command("restore", "--partition", suspect.partition, "--copy", "orders"),
    ]


def _renumber(suspect: Suspect, words: Words) -> list[str]:
    who, which = _value(suspect, "customer"), _value(suspect, "id")
    return _sql(
        suspect,
        words,
        f"with next as (update public.customers set last_sequence = last_sequence + 1 where customer = {who} "
        f"returning last_sequence) update public.orders set sequence = next.last_sequence from next where id = {which}",
    )


def _raise_counter(suspect: Suspect, words: Words) -> list[str]:
    who = _value(suspect, "customer")
    highest = f"(select greatest(max(sequence), count(*) + cancelled) from public.orders where customer = {who})"
    return _sql(suspect, words, f"update public.customers set last_sequence = {highest} where customer = {who}")


def _cancel_again(suspect: Suspect, words: Words) -> list[str]:
    """By the keys of the cancellations, which are kept for a day. It was counted then."""
    who = _value(suspect, "customer")
    cancelled = (
        f"customer = {who} and id in (select order_id from public.idempotency_keys "
        f"where customer = {who} and answer #>> '{{change,cancels}}' = 'true')"
    )
    return _sql(
        suspect,
        words,
        f"select * from public.orders where customer = {who} order by sequence",
        f"delete from public.orders where {cancelled}",
    )


def _look_at_both(suspect: Suspect, words: Words) -> list[str]:
    """What the partition has where nobody looks for it is kept in a file, for a person to place again."""
    chosen = f"select * from public.orders where customer = {_value(suspect, 'customer')}"
    there = words.writers[suspect.other]
    return [
        *_sql(suspect, words, chosen),
        words.psql(there, chosen),
        words.psql(there, f"\\copy ({chosen}) to 'second.rows'"),
        *(
            words.psql(there, f"delete from {table} where customer = {_value(suspect, 'customer')}")
            for table in ("public.idempotency_keys", "public.orders", "public.customers")
        ),
    ]


def _list(suspect: Suspect, words: Words) -> list[str]:
    digest = _value(suspect, "digest")
    return _sql(
        suspect, words, f"insert into public.directory (digest, home) values ({digest}, {quoted(suspect.home)})"
    )


def _correct(suspect: Suspect, words: Words) -> list[str]:
    digest = _value(suspect, "digest")
    return _sql(suspect, words, f"update public.directory set home = {quoted(suspect.home)} where digest = {digest}")


def _homes(suspect: Suspect, words: Words, change: str, *more: str) -> list[str]:
    """At `member`: a change of what it says of the homes, which may lie within a range that is larger."""
    first, last = _value(suspect, "first"), _value(suspect, "last")
    within = f"first >= {first} and first < {last}"
    return _sql(
        suspect,
        words,
        f"select public.begin_range({first}), public.begin_range({last}); "
        f"update public.home_ranges set {change}, changed_at = now() where {' and '.join((within, *more))}",
    )


def _close(suspect: Suspect, words: Words) -> list[str]:
    """`value` is the partition that keeps them."""
    change = f"owned = false, moving_to = null, timeline = null, moved_to = {quoted(suspect.value)}"
    return _homes(suspect, words, change)


def _open(suspect: Suspect, words: Words) -> list[str]:
    return _homes(suspect, words, "owned = true, moving_to = null, timeline = null, moved_to = null")


def _point(suspect: Suspect, words: Words) -> list[str]:
    return _homes(suspect, words, f"moved_to = {quoted(suspect.value)}", "not owned")


def _forget(suspect: Suspect, words: Words) -> list[str]:
    return _homes(suspect, words, "moving_to = null, timeline = null", "moving_to is not null")


def _edit_map(suspect: Suspect, words: Words) -> list[str]:
    given = dict(suspect.key)
    span = f"the homes from {given['first']!r} up to {given['last']!r}"
    return [
        f"in {file}: give {span} to {suspect.partition} in `ranges`, and raise `version` to the same new number in all"
        for file in words.maps.values()
    ]


def _copy_map(suspect: Suspect, words: Words) -> list[str]:
    newest, there = shlex.quote(words.maps[words.newest]), shlex.quote(words.maps[suspect.other])
    return [f"cp {newest} {there}.new && mv {there}.new {there}"]


def _drop_slot(suspect: Suspect, words: Words) -> list[str]:
    return _sql(suspect, words, f"select pg_drop_replication_slot({_value(suspect, 'slot')})")


def _drop_publication(suspect: Suspect, words: Words) -> list[str]:
    return _sql(suspect, words, f'drop publication "{dict(suspect.key)["publication"]}"')


def _drop_subscription(suspect: Suspect, words: Words) -> list[str]:
    name = f'"{dict(suspect.key)["subscription"]}"'
    return _sql(
        suspect,
        words,
        f"alter subscription {name} disable",
        f"alter subscription {name} set (slot_name = none)",
        f"drop subscription {name}",
    )


_MENDS: dict[Kind, Callable[[Suspect, Words], list[str]]] = {
    "row_differs": _copy_anew,
    "second_writer": _rejoin,
    "map_writer": _resume,
    "outside_home": _bring_over,
    "left_behind": _delete,
    "other_home": _take_home,
    "order_without_customer": _add_customer,
    "sequence_twice": _renumber,
    "counter_behind": _raise_counter,
    "orders_lacking": _search,
    "order_uncancelled": _cancel_again,
    "orphaned_key": _delete,
    "customer_in_two": _look_at_both,
    "directory_lacks": _list,
    "directory_contradicts": _correct,
    "homes_of_two": _close,
    "homes_of_none": _open,
    "homes_astray": _point,
    "move_note": _forget,
    "map_contradicts": _edit_map,
    "map_old": _copy_map,
    "slot_left": _drop_slot,
    "publication_left": _drop_publication,
    "subscription_left": _drop_subscription,
}
