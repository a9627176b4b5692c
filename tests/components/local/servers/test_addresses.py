"""One scheme for all addresses; blocks that nobody shares."""

import json
import multiprocessing
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.local.servers import addresses, paths
from components.local.servers.addresses import ADDRESS_BLOCKS, PARTITION_SLOTS, PORT_BLOCKS, SLOTS, Addresses, Endpoint
from components.local.servers.errors import ServerFault

slots = st.integers(0, SLOTS - 1)
partition_slots = st.integers(0, PARTITION_SLOTS - 1)
blocks = st.sampled_from(ADDRESS_BLOCKS + PORT_BLOCKS)
REGIONAL = ("gateway_http", "gateway_peer", "gateway_egress", "gateway_admin", "valkey", "service", "keeper")


@pytest.fixture(autouse=True)
def own_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("MERIDIAN_ADDRESSING", raising=False)


@st.composite
def questions(draw: st.DrawFn) -> tuple[str, tuple[int, ...]]:
    kind = draw(st.sampled_from(("regional", "partition", "pair", "global")))
    if kind == "regional":
        return draw(st.sampled_from(REGIONAL)), (draw(slots),)
    if kind == "partition":
        return draw(st.sampled_from(("gateway_database", "postgres"))), (draw(slots), draw(partition_slots))
    if kind == "pair":
        return draw(st.sampled_from(("link", "user_link", "keeper_link"))), (draw(slots), draw(slots))
    return draw(st.sampled_from(("entry", "entry_admin"))), ()


@given(blocks, questions(), questions())
def test_two_servers_never_share_an_endpoint(
    block: str, one: tuple[str, tuple[int, ...]], other: tuple[str, tuple[int, ...]]
) -> None:
    scheme = Addresses(block)
    answers = [getattr(scheme, name)(*arguments) for name, arguments in (one, other)]
    assert (answers[0] == answers[1]) == (one == other)


@given(blocks, blocks)
def test_two_blocks_share_nothing(one: str, other: str) -> None:
    if one != other:
        assert not set(Addresses(one).every()) & set(Addresses(other).every())


@given(blocks)
def test_every_endpoint_is_loopback_and_below_the_ephemeral_ports(block: str) -> None:
    every = list(Addresses(block).every())
    assert len(every) == len(set(every))
    assert all(host.startswith("127.") and 1024 < port < 32768 for host, port in every)
    assert all(0 < int(part) < 255 for host, _ in every for part in host.split(".")[3:])


@given(blocks, st.integers().filter(lambda slot: not 0 <= slot < SLOTS))
def test_a_slot_without_addresses_is_refused(block: str, slot: int) -> None:
    with pytest.raises(ServerFault, match="outside 0 to 15"):
        Addresses(block).gateway_http(slot)
    with pytest.raises(ServerFault, match="outside 0 to 15"):
        Addresses(block).link(0, slot)


def test_the_documented_addresses() -> None:
    scheme = Addresses("127.20")
    assert str(scheme.gateway_http(0)) == "127.20.1.1:8080"
    assert str(scheme.postgres(2, 1)) == "127.20.3.11:5432"
    assert str(scheme.gateway_database(1, 0)) == "127.20.2.1:6400"
    assert str(scheme.link(0, 2)) == "127.20.128.3:8443"
    assert str(scheme.user_link(1, 0)) == "127.20.65.1:8080"
    assert str(scheme.keeper(2)) == "127.20.3.90:7600"
    assert str(scheme.keeper_link(0, 2)) == "127.20.128.3:7600"
    assert str(scheme.entry()) == "127.20.0.1:8080"


def test_a_claim_is_kept_and_not_given_twice(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    block = addresses.claim(first)
    assert addresses.claim(first) == block
    assert addresses.claimed(first) == block
    assert addresses.claim(second) != block
    assert json.loads((first / "block.json").read_text()) == {"block": block}


def test_a_released_block_is_free_again(tmp_path: Path) -> None:
    block = addresses.claim(tmp_path / "a")
    addresses.release(tmp_path / "a")
    assert addresses.claimed(tmp_path / "a") is None
    assert addresses.claim(tmp_path / "b") == block


def test_the_claim_of_a_folder_that_is_gone_is_stale(tmp_path: Path) -> None:
    block = addresses.claim(tmp_path / "a")
    (tmp_path / "a" / "block.json").unlink()
    assert addresses.claim(tmp_path / "b") == block


def test_a_moved_folder_keeps_its_block(tmp_path: Path) -> None:
    block = addresses.claim(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "moved")
    assert addresses.claimed(tmp_path / "moved") is None
    assert addresses.claim(tmp_path / "moved") == block
    assert addresses.claimed(tmp_path / "moved") == block


def test_a_copied_folder_is_refused(tmp_path: Path) -> None:
    block = addresses.claim(tmp_path / "a")
    paths.write_json(tmp_path / "copy" / "block.json", {"block": block})
    with pytest.raises(ServerFault, match="was the folder copied"):
        addresses.claim(tmp_path / "copy")


def test_a_damaged_block_file_is_named(tmp_path: Path) -> None:
    paths.write_atomic(tmp_path / "a" / "block.json", "{")
    with pytest.raises(ServerFault, match=r"block\.json is damaged"):
        addresses.claim(tmp_path / "a")


def test_a_block_in_which_somebody_listens_is_left_alone(tmp_path: Path) -> None:
    block = addresses.claim(tmp_path / "a")
    addresses.release(tmp_path / "a")
    with socket.create_server(Addresses(block).gateway_http(3)):
        assert addresses.claim(tmp_path / "a") != block


def test_ports_where_a_standard_port_is_taken_on_every_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = addresses.is_free
    monkeypatch.setattr(addresses, "is_free", lambda endpoint: endpoint.port != 5432 and really(endpoint))
    assert addresses.claim(tmp_path / "a").startswith("127.0.0.1:")


def test_registries_that_do_not_know_each_other_begin_at_different_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begins = set()
    for number in range(12):
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / f"state-{number}"))
        begins.add(addresses.claim(tmp_path / str(number)))
    assert len(begins) > 6
    monkeypatch.delenv("XDG_STATE_HOME")
    assert next(iter(addresses._candidates())) == ADDRESS_BLOCKS[0]


def test_ports_can_be_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MERIDIAN_ADDRESSING", "ports")
    assert addresses.claim(tmp_path / "a") in PORT_BLOCKS


def test_an_unknown_way_of_addressing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MERIDIAN_ADDRESSING", "names")
    with pytest.raises(ServerFault, match="MERIDIAN_ADDRESSING is 'names'; it may be addresses or ports"):
        addresses.claim(tmp_path / "a")


def test_simultaneous_claims_differ(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        taken = pool.map(addresses.claim, [tmp_path / str(number) for number in range(6)])
    assert len(set(taken)) == 6


def test_is_free_sees_a_listener() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = Endpoint(*listener.getsockname())
        assert not addresses.is_free(endpoint)
    assert addresses.is_free(endpoint)
