"""What an old writer had committed and the new one never received: found and kept before a rewind takes it away.

The log from the fork on says which transactions were committed there; the rows that they left are read from the old
data themselves, by a server that nobody else can reach. Each run keeps them in a folder of its own, with the log.
Where that log is gone, by the old writer's own checkpoints, whole tables are held against the writer's.
"""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from psycopg import sql

from components.local.servers import paths, postgres, postgres_demotion
from components.local.servers.member import MemberSpec
from components.local.servers.postgres_demotion import Fork, lsn_text
from components.local.servers.postgres_files import DATABASE
from components.local.servers.postgres_session import Connection
from operations.console import say
from operations.drivers import local_rejoin
from operations.drivers.local_ground import Ground
from operations.reconciliation import CHANGES, ORDERS, RECORD, tails_folder

QUESTION = "60s"
BATCH = 1000

_TABLES = """
select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and c.relpersistence = 'p' and n.nspname = 'public' order by 1, 2
"""

# Orders with the key under which each was placed, and as they were placed. The row's own transaction is the one that
# wrote it last. As JSON, because the old data may be of a version whose keys had no `answer`.
_ORDERS = """
select k.key, o.home, o.id::text, o.customer, coalesce(to_jsonb(k) #>> '{{answer,item}}', o.item),
       coalesce((to_jsonb(k) #>> '{{answer,quantity}}')::integer, o.quantity), o.sequence, o.created_at::text
from public.orders o left join public.idempotency_keys k
    on k.order_id = o.id and k.home = o.home and to_jsonb(k) #> '{{answer,change}}' is null
where {}::text = any(%s) order by o.customer, o.sequence
"""

# Changes and cancellations, by the keys that came with them: of a cancelled order nothing else is left.
_CHANGES = """
select k.key, k.home, k.order_id::text, k.customer, (c.change ->> 'cancels')::boolean, c.change ->> 'item',
       (c.change ->> 'quantity')::integer,
       (to_jsonb(k) #>> '{{answer,revision}}')::bigint - case when (c.change ->> 'cancels')::boolean then 0 else 1 end,
       k.created_at::text
from public.idempotency_keys k cross join lateral (select to_jsonb(k) #> '{{answer,change}}') c (change)
where c.change is not null and {}::text = any(%s) order by k.created_at
"""

_PRIMARY_KEY = """
select a.attname from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
where i.indisprimary and i.indrelid = to_regclass(%s) order by array_position(i.indkey::int2[], a.attnum)
"""


def save(ground: Ground, region: str, writer: str) -> Path | None:
    member = ground.member(region)
    ground.require(region)
    ground.require(writer)
    if not member.data.exists() or postgres_demotion.rewind_was_cut_short(member):
        return _kept(ground, region)  # what there was to keep was kept before the rewind began
    if postgres.is_running(member) and local_rejoin.streams(ground, region, writer, 0.0):
        return None
    postgres.stop(member)
    postgres_demotion.demote(member, ground.way_to_writer(region))
    found = postgres_demotion.control(member)
    fork = postgres_demotion.fork(ground.folder, ground.member(writer).endpoint, found.timeline)
    if fork is None or (found.clean and found.last <= fork.at):
        return None
    folder = tails_folder(ground.folder) / f"{member.member}-{fork.timeline}-{fork.at:X}"
    if (folder / RECORD).exists():
        return folder
    return _save(ground, region, writer, fork, folder)


def _kept(ground: Ground, region: str) -> Path | None:
    found = tails_folder(ground.folder).glob(f"{ground.member(region).member}-*/{RECORD}")
    return max((path.parent for path in found), key=lambda path: path.stat().st_mtime, default=None)


def _save(ground: Ground, region: str, writer: str, fork: Fork, folder: Path) -> Path | None:
    member = ground.member(region)
    with postgres_demotion.apart(member):
        last = local_rejoin.last_replayed(ground, region)
        if last <= fork.at:
            return None
        transactions = committed(member, fork, last)
        with ground.owner(region, DATABASE) as old, ground.owner(writer, DATABASE) as new:
            for connection in (old, new):
                # Nothing but this question uses the old server, and the tables may be long. Times are compared as text.
                connection.execute("select set_config('statement_timeout', %s, false)", (QUESTION,))
                connection.execute("set timezone = 'UTC'")
            if transactions is None:
                say(
                    f"{member.member}: its log from {lsn_text(fork.at)} to {lsn_text(last)} is not whole any more, so "
                    f"whole tables are compared with those of {writer}"
                )
                rows = [row for table in _tables(old) for row in differing(old, new, table)]
                ids = [row["row"]["id"] for row in rows if row["table"] == "public.orders" and row["there"] is None]
                lost = _compare(new, _orders(old, "o.id", ids))
                keys = [
                    row["row"] for row in rows if row["table"] == "public.idempotency_keys" and row["there"] is None
                ]
                names = {(key["customer"], key["key"]) for key in keys}
                found_changes = _changes(old, "k.key", [key["key"] for key in keys])
                changes = _again(new, [each for each in found_changes if (each["customer"], each["key"]) in names])
            else:
                rows = _rows(old, transactions)
                lost = _compare(new, _orders(old, "o.xmin", transactions))
                changes = _again(new, _changes(old, "k.xmin", transactions))
    if not rows and not transactions:
        return None
    draft = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    paths.make_folder(draft)
    _write_lines(draft / "rows.jsonl", rows)
    _write_lines(draft / ORDERS, lost)
    _write_lines(draft / CHANGES, changes)
    _keep_log(member, fork, draft)
    paths.write_json(
        draft / RECORD,
        {
            "partition": ground.partition.name,
            "region": region,
            "writer": writer,
            "timeline": fork.timeline,
            "from": lsn_text(fork.at),
            "to": lsn_text(last),
            "found_by": "tables" if transactions is None else "log",
            "transactions": None if transactions is None else len(transactions),
            "rows": len(rows),
            "orders": len(lost),
            "changes": len(changes),
            "saved_at": time.time(),
        },
        durable=True,
    )
    draft.rename(folder)
    paths.sync_folder(folder.parent)
    return folder


def committed(member: MemberSpec, fork: Fork, last: int) -> list[str] | None:
    """The transactions whose commit lies behind the fork, with their parts; None where the log up to `last` has gaps.

    pg_waldump ends with an error where it cannot read from the start to the end that it was given.
    """
    dump = subprocess.run(
        [
            postgres.programs(member) / "pg_waldump",
            f"--path={member.data / 'pg_wal'}",
            f"--timeline={fork.timeline}",
            f"--start={lsn_text(fork.at)}",
            f"--end={lsn_text(last)}",
            "--rmgr=Transaction",
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if dump.returncode != 0:
        return None
    found: set[str] = set()
    for line in dump.stdout.splitlines():
        if match := re.search(r"\btx:\s+(\d+),.*\bdesc: COMMIT\b(.*)", line):
            found.add(match[1])
            if parts := re.search(r"subxacts: ([\d ]+)", match[2]):
                found.update(parts[1].split())
    return sorted(found - {"0"}, key=int)


def _orders(connection: Connection, column: Literal["o.xmin", "o.id"], values: list[str]) -> list[dict[str, Any]]:
    names = ("key", "home", "id", "customer", "item", "quantity", "sequence", "created_at")
    question = sql.SQL(_ORDERS).format(sql.SQL(column))
    rows = connection.execute(question, (values,)).fetchall()
    return [dict(zip(names, row, strict=True)) for row in rows]


def _changes(connection: Connection, column: Literal["k.xmin", "k.key"], values: list[str]) -> list[dict[str, Any]]:
    names = ("key", "home", "id", "customer", "cancels", "item", "quantity", "based_on", "made_at")
    rows = connection.execute(sql.SQL(_CHANGES).format(sql.SQL(column)), (values,)).fetchall()
    return [dict(zip(names, row, strict=True)) for row in rows]


def _again(connection: Connection, changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`known`: the writer has the key too, because its user has sent the change again."""
    rows = connection.execute(
        "select customer, key from public.idempotency_keys where key = any(%s)", ([each["key"] for each in changes],)
    ).fetchall()
    known = {(str(row[0]), str(row[1])) for row in rows}
    return [{**each, "known": (each["customer"], each["key"]) in known} for each in changes]


def _tables(connection: Connection) -> list[tuple[str, str]]:
    return [(str(schema), str(table)) for schema, table in connection.execute(_TABLES).fetchall()]


def _rows(connection: Connection, transactions: list[str]) -> list[dict[str, Any]]:
    """Every row that these transactions left, of whatever table: also of those that the service does not know."""
    rows: list[dict[str, Any]] = []
    for schema, table in _tables(connection):
        name = sql.Identifier(schema, table)
        question = sql.SQL("select to_jsonb(t)::text from {} t where t.xmin::text = any(%s)").format(name)
        rows += [
            {"table": f"{schema}.{table}", "row": json.loads(row[0])}
            for row in connection.execute(question, (transactions,)).fetchall()
        ]
    return rows


def differing(old: Connection, new: Connection, table: tuple[str, str]) -> Iterator[dict[str, Any]]:
    """The old member's rows that the writer has not, or has otherwise: `there` is what it has under the same key.

    More than was lost: a row that the writer has changed or removed since is among them. Without a log nobody can tell.
    """
    name = sql.Identifier(*table)
    names = [str(row[0]) for row in old.execute(_PRIMARY_KEY, (name.as_string(old),)).fetchall()]
    # By its key a row is found in an index; a row without one is its own.
    columns = sql.SQL(", ").join(sql.Identifier("t", column) for column in names)
    key = sql.SQL("jsonb_build_array({})::text").format(columns) if names else sql.SQL("to_jsonb(t)::text")
    every = sql.SQL("select {}, to_jsonb(t)::text from {} t").format(key, name)
    same = (
        sql.SQL("{} join jsonb_populate_recordset(null::{}, %s::jsonb) k using ({})").format(
            every, name, sql.SQL(", ").join(map(sql.Identifier, names))
        )
        if names
        else sql.SQL("{} where to_jsonb(t)::text in (select jsonb_array_elements(%s::jsonb)::text)").format(every)
    )
    with old.transaction(), old.cursor("rows") as cursor:
        cursor.execute(every)
        while batch := cursor.fetchmany(BATCH):
            asked = f"[{','.join(str(row[1]) for row in batch)}]"
            there = dict(new.execute(same, (asked,)).fetchall()) if table in _tables(new) else {}
            for own, row in batch:
                if there.get(own) != row:
                    found = json.loads(there[own]) if own in there else None
                    yield {"table": ".".join(table), "row": json.loads(row), "there": found}


def _compare(connection: Connection, orders: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the orders that the writer lacks. `known_as`: the order that the same key has there by now, because its
    user has sent it again."""
    here = {
        str(row[0])
        for row in connection.execute(
            "select id::text from public.orders where id = any(%s::uuid[])", ([order["id"] for order in orders],)
        ).fetchall()
    }
    keys = {
        (str(row[0]), str(row[1])): str(row[2])
        for row in connection.execute(
            "select customer, key, order_id::text from public.idempotency_keys where key = any(%s)",
            ([order["key"] for order in orders if order["key"]],),
        ).fetchall()
    }
    return [
        {**order, "known_as": keys.get((order["customer"], str(order["key"])))}
        for order in orders
        if order["id"] not in here
    ]


def _keep_log(member: MemberSpec, fork: Fork, draft: Path) -> None:
    """The old timeline's log from the fork on, for whoever wants to read more out of it than rows."""
    paths.make_folder(draft / "wal")
    size = postgres_demotion.control(member).segment
    each = 2**32 // size  # a file's name counts in stretches of 4 GB
    number = fork.at // size
    first = f"{fork.timeline:08X}{number // each:08X}{number % each:08X}"
    for path in sorted((member.data / "pg_wal").glob(f"{fork.timeline:08X}????????????????")):
        if path.name >= first:
            shutil.copyfile(path, draft / "wal" / path.name)


def _write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    paths.write_atomic(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), durable=True)
