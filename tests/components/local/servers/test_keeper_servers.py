"""Keepers as processes, beside real members and across real links. Each test goes on where the last one ended."""

import contextlib
import os
import signal
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import psutil
import pytest

from components.local.servers import certificates, keeper, paths, postgres, process, wan
from components.local.servers.keeper import Keepers, KeeperSpec, KeeperView
from components.local.servers.keeper_lease import LENGTH, MARGIN
from components.local.servers.keeper_wire import client_context
from components.local.servers.member import MemberSpec
from components.local.servers.paths import PROJECT
from components.local.servers.postgres_files import DATABASE, OWNER
from components.local.servers.postgres_session import session
from tests.components.local.servers.conftest import Stack, processes_of, stack_of_its_own

pytestmark = pytest.mark.servers

A, B, C = "eu-central", "us-east", "ap-northeast"  # the writer, its replica, a witness
SLOTS = {A: 0, B: 1, C: 2}


@dataclass(frozen=True, kw_only=True)
class Lab:
    stack: Stack
    members: dict[str, MemberSpec]
    specs: dict[str, KeeperSpec]

    def seen_from(self, vantage: str | None = None) -> Keepers:
        return Keepers(stack=self.stack.folder, addresses=self.stack.addresses, slots=SLOTS, vantage=vantage)

    def view(self, region: str) -> KeeperView:
        found = keeper.views(self.seen_from())[region]
        assert found is not None
        return found

    def left(self, region: str) -> float:
        """Seconds for which the member there may still write, by its keeper's word."""
        return self.view(region).holds["main"].left_ms / 1000

    def may_write(self, region: str) -> bool:
        """By the member's own word."""
        return bool(self.ask(region, "select public.may_write()"))

    def ask(self, region: str, query: str) -> Any:
        member = self.members[region]
        with session(member.stack_folder, member.endpoint, OWNER, DATABASE) as connection:
            cursor = connection.execute(query.encode())
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    def restart(self, region: str) -> None:
        server = process.running(paths.keeper_folder(self.stack.folder, region))
        assert server is not None
        os.kill(server.pid, signal.SIGKILL)
        until(lambda: not server.is_alive())
        keeper.ensure_started(self.specs[region])


def until(check: Callable[[], bool], seconds: float = 10) -> float:
    """How long it took."""
    began = time.monotonic()
    while not check():
        assert time.monotonic() < began + seconds, "it did not come about"
        time.sleep(0.02)
    return time.monotonic() - began


@pytest.fixture(scope="module")
def lab() -> Any:
    with stack_of_its_own() as stack:
        certificates.ensure_authority(stack.folder)
        for source, slot in SLOTS.items():
            certificates.ensure_region_certificate(stack.folder, source)
            for target, other in SLOTS.items():
                if source != target:
                    wan.put_link(
                        stack.folder,
                        wan.keeper_link_name(source, target),
                        stack.addresses.keeper_link(slot, other),
                        stack.addresses.keeper(other),
                        10.0,
                    )
        members = {
            region: MemberSpec(
                stack_folder=stack.folder,
                region=region,
                member=f"main-{region}",
                endpoint=stack.addresses.postgres(SLOTS[region], 0),
            )
            for region in (A, B)
        }
        postgres.create_origin(members[A], (PROJECT / "service" / "schema.sql").read_text())
        postgres.create_replica(members[B], members[A].endpoint)
        specs = {
            region: KeeperSpec(
                stack_folder=stack.folder,
                region=region,
                slot=slot,
                addresses=stack.addresses,
                voters=SLOTS,
                partitions=("main",),
                members={"main": members[region].endpoint} if region in members else {},
            )
            for region, slot in SLOTS.items()
        }
        for spec in specs.values():
            keeper.ensure_started(spec)
        made = Lab(stack=stack, members=members, specs=specs)
        made.ask(A, "insert into public.lease_policy (required) values (true)")
        yield made


def test_the_first_writer_of_a_stack_gets_the_first_term(lab: Lab) -> None:
    until(lambda: lab.may_write(A))
    assert lab.ask(A, "select term from public.lease") == 1
    found = keeper.views(lab.seen_from())
    assert keeper.highest_term(found, "main") == 1
    assert keeper.holder(found, "main") == A
    assert {view.votes["main"].holder for view in found.values() if view} == {A}
    assert lab.view(B).holds["main"] == keeper.HoldView(term=0, left_ms=0.0)
    assert not lab.view(C).holds


def test_a_lease_that_is_renewed_does_not_end(lab: Lab) -> None:
    lowest = min(sample(lambda: lab.left(A), LENGTH + 1))
    assert lowest > LENGTH - MARGIN - 1.5


def sample(look: Callable[[], float], seconds: float) -> list[float]:
    end, found = time.monotonic() + seconds, []
    while time.monotonic() < end:
        found.append(look())
        time.sleep(0.05)
    return found


def test_a_keeper_tells_what_it_sees_from_where_it_stands(lab: Lab) -> None:
    sights = lab.view(C).sights
    assert set(sights) == {A, B, C}
    assert sights[A].heard_ms is not None
    assert (sights[A].heard_ms or 0) < 1000
    assert sights[A].members["main"].role == "writer"
    assert sights[B].members["main"].role == "replica"
    assert sights[B].members["main"].received_lsn > 0
    assert not sights[C].members
    assert not sights[A].service_ready


def test_only_the_stacks_own_certificates_are_listened_to(lab: Lab) -> None:
    with stack_of_its_own() as other:
        certificates.ensure_authority(other.folder)
        certificates.ensure_region_certificate(other.folder, A)
        strangers = replace(lab.seen_from(), stack=other.folder)
        assert keeper.views(strangers)[A] is None
    # A client that would trust anybody, and has nothing to show.
    careless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    careless.check_hostname, careless.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(lab.stack.addresses.keeper(0), 2) as plain, careless.wrap_socket(plain) as connection:
        # With TLS 1.3 the client learns of the refusal only when it reads.
        with contextlib.suppress(OSError):
            connection.sendall(b'{"do": "status"}\n')
        with pytest.raises(OSError):
            answered(connection)
    # A server of another region than the one that was meant.
    trusting = client_context(*certificates.region_files(lab.stack.folder, C))
    with socket.create_connection(lab.stack.addresses.keeper(0), 2) as plain, pytest.raises(ssl.SSLError):
        trusting.wrap_socket(plain, server_hostname=f"keeper.{B}.meridian.internal")


def answered(connection: ssl.SSLSocket) -> bytes:
    if answer := connection.recv(1):
        return answer
    raise ConnectionResetError


def test_a_region_can_vote_for_itself_only(lab: Lab) -> None:
    """Whose lease it is comes from the certificate, not from the message."""
    message = {"do": "grant", "partition": "main", "term": 1, "holder": A, "counted": [sorted(SLOTS)]}
    assert keeper.ask(lab.seen_from(B), C, message) == {"granted": False, "id": None}


def test_a_voter_that_is_killed_and_comes_back_remembers(lab: Lab) -> None:
    lab.restart(C)
    assert lab.view(C).votes["main"].term == 1
    assert lab.view(C).votes["main"].holder == A
    lab.restart(A)
    assert lab.view(A).holds["main"].term == 1
    until(lambda: lab.left(A) > 0, 2)
    assert lab.may_write(A)


def take(keepers: Keepers, region: str, term: int) -> tuple[bool, int]:
    taken = keeper.take(keepers, region, "main", term)
    assert taken is not None
    return taken.done, taken.term


def test_a_writer_that_is_cut_off_stops_by_itself_and_only_then_another_may_begin(lab: Lab) -> None:
    for other in (B, C):
        wan.cut(lab.stack.folder, wan.link_name(A, other, users=False))
        wan.cut(lab.stack.folder, wan.link_name(other, A, users=False))
    cut_at = time.monotonic()
    from_b = lab.seen_from(B)
    found = keeper.views(from_b, timeout=1.0)
    assert found[A] is None  # the operator stands in B
    assert found[C] is not None
    term = keeper.highest_term(found, "main") + 1
    fenced = keeper.fence(from_b, "main", term, timeout=1.0)
    assert fenced[A] is None
    assert [answer.term for answer in fenced.values() if answer] == [term, term]
    assert max(answer.left_ms for answer in fenced.values() if answer) <= LENGTH * 1000
    assert take(from_b, B, term) == (True, term)
    # Both are asked at their own doors: never a moment at which both may write.
    until(lambda: not (lab.left(B) > 0 and lab.left(A) > 0) and lab.left(B) > 0, LENGTH + 2)
    assert time.monotonic() - cut_at < LENGTH + 1.5
    assert lab.left(A) == 0
    assert not lab.may_write(A)
    assert lab.ask(B, "select pg_is_in_recovery()")  # it has the lease before it is promoted

    lab.ask(B, "select pg_promote()")
    assert until(lambda: lab.may_write(B)) < 1.5
    assert lab.ask(B, "select term from public.lease") == term
    assert not lab.may_write(A)


def test_the_old_writer_gets_no_lease_when_it_is_back(lab: Lab) -> None:
    for other in (B, C):
        wan.restore(lab.stack.folder, wan.link_name(A, other, users=False))
        wan.restore(lab.stack.folder, wan.link_name(other, A, users=False))
    until(lambda: (lab.view(A).sights[B].heard_ms or 9999) < 500)
    assert max(sample(lambda: lab.left(A), 2.0)) == 0
    assert lab.left(B) > 0
    # Its term is not given to it again, and a term that somebody has cannot be taken.
    assert take(lab.seen_from(), A, 2) == (True, 2)
    assert max(sample(lambda: lab.left(A), 1.0)) == 0
    assert lab.left(B) > 0


def test_a_lease_that_is_released_ends_at_once_and_for_good(lab: Lab) -> None:
    assert lab.may_write(B)
    assert keeper.release(lab.seen_from(), B, "main") == 2
    assert not lab.may_write(B)
    assert lab.left(B) == 0
    assert keeper.release(lab.seen_from(), B, "main") == 2  # repeated, it gives up nothing more
    assert take(lab.seen_from(), B, 2) == (False, 2)
    assert take(lab.seen_from(), B, 4) == (True, 4)
    assert until(lambda: lab.may_write(B)) < 1.0


def test_a_keeper_follows_its_configuration_without_a_restart(lab: Lab) -> None:
    server = process.running(paths.keeper_folder(lab.stack.folder, C))
    changed = replace(lab.specs[C], partitions=("main", "second"))
    assert keeper.ensure_started(changed) == server
    assert set(lab.view(C).votes) == {"main", "second"}


def link(lab: Lab, slots: dict[str, int]) -> None:
    folder, addresses = lab.stack.folder, lab.stack.addresses
    for source, here in slots.items():
        certificates.ensure_region_certificate(folder, source)
        for target, there in slots.items():
            if source != target:
                name, listen = wan.keeper_link_name(source, target), addresses.keeper_link(here, there)
                wan.put_link(folder, name, listen, addresses.keeper(there), 10.0)


def set_voters(lab: Lab, slots: dict[str, int]) -> None:
    """As `up` does it: those that leave are not started again, and run until it comes to its end."""
    for region, slot in slots.items():
        spec = lab.specs.get(region) or replace(lab.specs[A], region=region, slot=slot, members={})
        keeper.ensure_started(replace(spec, voters=slots))


def test_a_fourth_voter_joins_while_the_lease_goes_on(lab: Lab) -> None:
    folder, fourth = lab.stack.folder, "eu-west"
    slots = {**SLOTS, fourth: 3}
    link(lab, slots)
    set_voters(lab, slots)
    everybody = replace(lab.seen_from(), slots=slots)
    lefts: list[float] = []

    def settled() -> bool:
        found = keeper.views(everybody)
        lefts.extend(view.holds["main"].left_ms for region, view in found.items() if view and region == B)
        return all(view is not None and view.settled for view in found.values())

    assert not settled()
    until(settled)
    assert min(lefts) > 0
    assert lab.may_write(B)
    assert keeper.views(everybody)[fourth] is not None
    # And out again, so that the tests that follow find three.
    for region in SLOTS:
        keeper.ensure_started(lab.specs[region])
    keeper.remove(folder, fourth)
    until(lambda: all(lab.view(region).settled for region in SLOTS))
    assert lab.may_write(B)


def test_two_of_three_voters_are_replaced_at_once_while_the_lease_goes_on(lab: Lab) -> None:
    """Of the old voters one stays, so those that leave have to be told, and asked until the new ones have settled."""
    folder, new = lab.stack.folder, {B: 1, "eu-west": 3, "sa-east": 4}
    link(lab, {**SLOTS, **new})
    for before, after in ((SLOTS, new), (new, SLOTS)):
        set_voters(lab, after)
        asked = replace(lab.seen_from(), slots=after)
        lefts: list[float] = []

        def settled(asked: Keepers = asked, lefts: list[float] = lefts) -> bool:
            found = keeper.views(asked)
            lefts.extend(view.holds["main"].left_ms for region, view in found.items() if view and region == B)
            return all(view is not None and view.settled for view in found.values())

        assert not settled()
        until(settled)
        assert min(lefts) > 0
        for region in before.keys() - after.keys():
            keeper.remove(folder, region)
        assert min(sample(lambda: lab.left(B), LENGTH + 1)) > 0
        assert set(lab.view(B).sights) == set(after)
    assert lab.may_write(B)


def test_a_released_lease_below_a_fence_is_not_waited_for(lab: Lab) -> None:
    found = keeper.views(lab.seen_from())
    term = keeper.highest_term(found, "main")
    fenced = keeper.fence(lab.seen_from(), "main", term + 5)
    assert min(answer.left_ms for answer in fenced.values() if answer) > 0
    assert keeper.release(lab.seen_from(), B, "main") == term
    assert (
        until(lambda: all(view and view.votes["main"].left_ms == 0 for view in keeper.views(lab.seen_from()).values()))
        < 1
    )
    assert {view.votes["main"].term for view in keeper.views(lab.seen_from()).values() if view} == {term + 5}
    assert take(lab.seen_from(), B, term + 5) == (True, term + 5)
    assert until(lambda: lab.may_write(B)) < 1.0


def test_a_damaged_memory_is_a_fault_and_not_a_clean_sheet(lab: Lab) -> None:
    keeper.stop(lab.stack.folder, C)
    (paths.keeper_folder(lab.stack.folder, C) / "lease.json").write_text("{")
    with pytest.raises(Exception, match=r"lease\.json is damaged"):
        keeper.ensure_started(lab.specs[C])
    assert lab.may_write(B)  # two of three are enough


def test_keepers_are_small(lab: Lab) -> None:
    server = process.running(paths.keeper_folder(lab.stack.folder, B))
    assert server is not None
    found = psutil.Process(server.pid)
    assert found.memory_full_info().uss < 60 * 2**20
    before = found.cpu_times()
    time.sleep(3)
    after = found.cpu_times()
    print(found.memory_full_info(), (after.user + after.system - before.user - before.system) / 3)


def test_nothing_is_left_when_they_are_removed(lab: Lab) -> None:
    for region in SLOTS:
        keeper.remove(lab.stack.folder, region)
        assert not paths.keeper_folder(lab.stack.folder, region).exists()
    assert not [left for left in processes_of(lab.stack.folder) if "keeper_process" in " ".join(left.cmdline())]
