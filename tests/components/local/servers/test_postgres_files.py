"""A member's configuration as text: equal where it must be, quoted where it could break out."""

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from components.local.servers import postgres_files
from components.local.servers.addresses import Addresses, Endpoint
from components.local.servers.member import MemberSpec, slot_name


def member(name: str = "main-us-east", **changes: object) -> MemberSpec:
    return MemberSpec(
        **{  # pyright: ignore[reportArgumentType]
            "stack_folder": Path("/stack"),
            "region": "us-east",
            "member": name,
            "endpoint": Addresses("127.20").postgres(1, 0),
            **changes,
        }
    )


def settings(text: str) -> dict[str, str]:
    return dict(line.split(" = ", 1) for line in text.splitlines() if not line.startswith("#"))


def test_only_what_a_reload_changes_depends_on_the_size() -> None:
    small, large = (settings(postgres_files.configuration(member(size=size))) for size in ("minimal", "full"))
    assert {name for name in small if small[name] != large[name]} == set(postgres_files.BY_SIZE["full"])
    restart = {"shared_buffers", "max_connections", "max_wal_senders", "wal_level", "huge_pages", "io_method"}
    assert not restart & set(postgres_files.BY_SIZE["full"])


def test_what_a_standby_needs_as_much_of_as_its_primary_is_equal_everywhere() -> None:
    texts = [
        settings(postgres_files.configuration(member(name, size=size)))
        for name, size in (("main-us-east", "minimal"), ("main-eu-central", "full"))
    ]
    for name in postgres_files.EQUAL:
        assert texts[0][name] == texts[1][name]


def test_nothing_but_the_member_s_own_loopback_address_is_listened_on() -> None:
    text = settings(postgres_files.configuration(member()))
    assert text["listen_addresses"] == "'127.20.2.10'"
    assert text["unix_socket_directories"] == "''"


def test_every_rule_is_for_a_named_role_on_this_machine_with_a_password() -> None:
    rules = [line.split() for line in postgres_files.host_rules().splitlines() if not line.startswith("#")]
    assert rules
    for kind, database, role, address, method in rules:
        assert (kind, address, method) == ("host", "127.0.0.0/8", "scram-sha-256")
        assert role in postgres_files.ROLES
        assert database in ("postgres", "orders", "replication")
    assert {database for _, database, role, *_ in rules if role == "service"} == {"orders"}


def test_what_a_replica_follows_holds_no_password() -> None:
    text = postgres_files.upstream(member(), Endpoint("127.20.2.1", 6400), "main_us_east")
    assert "passfile=" in text
    assert "password=" not in text
    assert "primary_slot_name = 'main_us_east'" in text


@given(st.text(st.characters(blacklist_characters="\x00\n\r", blacklist_categories=["Cs"])))
def test_no_value_breaks_out_of_its_quotes(value: str) -> None:
    # As guc-file.l reads a string: pairs of quotes and of backslashes stand for one, anything single would end it.
    quoted = postgres_files.quoted(value)
    read = re.fullmatch(r"'((?:[^'\\]|''|\\\\)*)'", quoted, re.DOTALL)
    assert read is not None
    assert re.sub(r"''|\\\\", lambda pair: pair[0][0], read[1]) == value


@given(st.text(min_size=1, max_size=40))
def test_a_slot_s_name_is_one_that_postgresql_takes(name: str) -> None:
    assert set(slot_name(name)) <= set("abcdefghijklmnopqrstuvwxyz0123456789_")


def test_a_quorum_is_one_of_the_others_by_name() -> None:
    assert postgres_files.synchronous_standbys(["b-1", "a"]) == 'ANY 1 ("a", "b-1")'
    assert postgres_files.synchronous_standbys([]) == ""


def test_a_password_line_is_escaped() -> None:
    assert postgres_files.password_line("replicator", "a:b\\c") == "*:*:*:replicator:a\\:b\\\\c\n"
