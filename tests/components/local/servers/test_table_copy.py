"""What is brought back from a restored server, of the service's own tables, on two real servers."""

import json

import pytest

from components.local.servers import paths, postgres, table_copy
from components.local.servers.member import MemberSpec
from components.local.servers.postgres_files import DATABASE, OWNER
from components.local.servers.postgres_session import session
from tests.components.local.servers.conftest import stack_of_its_own

pytestmark = pytest.mark.servers

SCHEMA = (paths.PROJECT / "service" / "schema.sql").read_text()
HOME = "00/eu-central/7f"
MISSING = "select sequence from public.orders order by 1"


def test_an_order_that_was_cancelled_since_is_not_brought_back_and_one_that_is_missing_is() -> None:
    with stack_of_its_own() as stack:
        writer, restored = (
            MemberSpec(
                stack_folder=stack.folder,
                region="eu-central",
                member=f"{name}-eu-central",
                endpoint=stack.addresses.postgres(0, slot),
            )
            for slot, name in enumerate(("main", "restored"))
        )
        for member in (writer, restored):
            postgres.create_origin(member, f"{SCHEMA}\nselect public.found_partition(0);")
        with (
            session(stack.folder, writer.endpoint, OWNER, DATABASE) as now,
            session(stack.folder, restored.endpoint, OWNER, DATABASE) as then,
        ):
            for key in ("a", "b", "c"):
                now.execute(
                    "call public.place_order(%s, 'ada', '\\x', 'lamp', 1, %s, '\\x00', '5s', "
                    "null, null, null, null, null, null, null)",
                    (HOME, key),
                )
            rows = [row[0] for row in now.execute("select to_jsonb(o) from public.orders o order by sequence")]
            then.execute(
                "insert into public.orders select * from jsonb_populate_recordset(null::public.orders, %s::jsonb)",
                (json.dumps(rows),),
            )
            now.execute(
                "call public.change_order(null, 'ada', '\\x', %s::uuid, null, null, true, null, 'x', '\\x00', '5s', "
                "null, null, null, null, null, null, null, null, null)",
                (rows[0]["id"],),
            )
            now.execute("delete from public.orders where sequence = 2")  # by hand, and by mistake
            assert now.execute(MISSING).fetchall() == [(3,)]
            with table_copy.pending(restored, writer, "public", "orders") as pending:
                assert (pending.found.rows, pending.found.missing) == (3, 1)
                assert pending.apply() == 1
            assert now.execute(MISSING).fetchall() == [(2,), (3,)]
