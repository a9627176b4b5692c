"""What is refused before anything is done, with the reason and the remedy; and what a failover says it may lose."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operations.errors import Refused
from operations.failover import decision
from operations.failover.decision import Kind, Request
from operations.failover.driver import LeaseFacts, Observation
from operations.failover.loss import NOTHING, Limit, Loss, announced, limit, loss, parse
from tests.operations.failover.cluster import Cluster
from tests.operations.failover.runs import ground, request


def world(kind: Kind = "switchover", *, quorum: bool = False) -> Cluster:
    cluster = Cluster(quorum=quorum)
    cluster.tick(20)
    if kind == "failover":
        cluster.kill("a")
        cluster.tick(5)
    return cluster


def with_member(now: Observation, region: str, **words: object) -> Observation:
    return replace(now, members={**now.members, region: replace(now.members[region], **words)})  # type: ignore[arg-type]


def with_lease(now: Observation, **words: object) -> Observation:
    assert now.lease is not None
    return replace(now, lease=replace(now.lease, **words))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "change", "told"),
    [
        (request("switchover", to="d"), lambda now: now, ("'d'", "a, b, c")),
        (request("switchover", to="a"), lambda now: now, ("a writes main already",)),
        (request("switchover", to="b"), lambda now: with_member(now, "b", reachable=False), ("b cannot be reached",)),
        (request("switchover"), lambda now: with_member(now, "a", reachable=False), ("`failover`",)),
        (request("switchover"), lambda now: with_member(now, "a", accepts_writes=False), ("no lease", "--resume")),
        (request("switchover"), lambda now: with_lease(now, quorum_reachable=False), ("majority of the keepers",)),
        (request("switchover", to="b"), lambda now: with_member(now, "b", lag_bytes=2**30), ("1,073,741,824", "wait")),
        (request("switchover", to="b"), lambda now: with_member(now, "b", lag_bytes=None), ("unknown",)),
        (
            request("switchover", to="b"),
            lambda now: with_member(now, "b", can_take_load=False, why_not="it has no service"),
            ("it has no service", "--despite-capacity"),
        ),
        (
            request("switchover", to="b"),
            lambda now: replace(now, vantages={"a": {"b": False}, "c": {"b": False}}),
            ("0 of the 2",),
        ),
        (request("failover"), lambda now: now, ("a answers and takes writes", "`switchover`")),
        (request("failback"), lambda now: now, ("nothing to bring back",)),
        (request("rejoin"), lambda now: now, ("nothing to bring as a replica",)),
        (request("switchover"), lambda now: replace(now, writer=None), ("--from",)),
    ],
)
def test_what_is_refused_while_the_writer_lives(asked: Request, change: object, told: tuple[str, ...]) -> None:
    cluster = world()
    now = change(cluster.observe())  # type: ignore[operator]
    with pytest.raises(Refused) as refusal:
        decision.decide(ground(cluster), asked, now)
    for word in told:
        assert word in str(refusal.value)


@pytest.mark.parametrize(
    ("asked", "change", "told"),
    [
        (request("failover"), lambda now: replace(now, lease=None), ("no lease", "--old-writer-is-fenced")),
        (request("failover"), lambda now: with_lease(now, quorum_reachable=False), ("--old-writer-is-fenced",)),
        (request("failover", limit=Limit(seconds=0.5)), lambda now: now, ("may lose", "0.5 s", "Nothing was changed")),
        (request("failover", limit=Limit(bytes=10)), lambda now: now, ("10 bytes",)),
        (request("failover", limit=None), lambda now: now, ("--max-loss", "objectives.rpo_seconds")),
        (
            request("failover", limit=Limit(bytes=10**9)),
            lambda now: with_member(with_member(now, "b", lag_bytes=None), "c", lag_bytes=None),
            ("unknown number of bytes",),
        ),
        (
            request("failover"),
            lambda now: with_member(with_member(now, "b", role="writer"), "c", reachable=False),
            ("b is no replica", "c cannot be reached"),
        ),
        (
            request("failover"),
            lambda now: with_lease(replace(now, vantages={"c": {"a": True}}), holder="a", left_seconds=2.0),
            ("a holds its lease", "--from"),
        ),
    ],
)
def test_what_is_refused_once_the_writer_is_gone(asked: Request, change: object, told: tuple[str, ...]) -> None:
    cluster = world("failover")
    now = change(cluster.observe())  # type: ignore[operator]
    with pytest.raises(Refused) as refusal:
        decision.decide(ground(cluster), asked, now)
    for word in told:
        assert word in str(refusal.value)


def test_residency_is_asked_before_anything_else_is_weighed() -> None:
    cluster = world("failover")
    eu = replace(ground(cluster), legal=frozenset("ac"), rules="residency allows primary EU")
    now = with_member(cluster.observe(), "b", received_lsn=10**9)
    assert decision.decide(eu, request("failover"), now).target == "c"
    with pytest.raises(Refused, match="b may not write main: residency allows primary EU"):
        decision.decide(eu, request("switchover", to="b"), world().observe())


def test_the_member_with_the_most_goes_before_the_one_that_was_asked_for() -> None:
    cluster = world("failover")
    now = with_member(cluster.observe(), "c", received_lsn=10**6)
    found = decision.decide(ground(cluster), request("failover", to="b"), now)
    assert found.target == "c"
    assert "switchover --to b" in found.notes[0]
    equal = with_member(now, "b", received_lsn=10**6)
    assert decision.decide(ground(cluster), request("failover", to="b"), equal).target == "b"


def test_one_region_takes_all_users_only_where_the_entry_says_so() -> None:
    cluster = world("failover")
    now = cluster.observe()
    assert decision.decide(ground(cluster), request("failover"), now).hold_out == frozenset()
    home = replace(ground(cluster), home_only=True)
    assert decision.decide(home, request("failover"), now).hold_out == {"a"}


# --- loss ----------------------------------------------------------------------------------------------------------


def test_a_quorum_loses_nothing_only_while_everybody_who_may_have_voted_is_asked() -> None:
    cluster = world("failover", quorum=True)
    now = cluster.observe()
    assert loss(now, "b") == NOTHING
    assert not loss(with_member(now, "c", reachable=False), "b").nothing
    assert not loss(with_member(now, "c", received_lsn=10**6), "b").nothing


def test_the_rest_of_the_lease_counts_until_the_writer_is_silent() -> None:
    now = with_member(world("failover").observe(), "b", lag_seconds=0.5, lag_bytes=700)
    now = replace(
        now, bytes_per_second=None, lease=LeaseFacts(holder="a", term=1, left_seconds=2.0, quorum_reachable=True)
    )
    assert loss(now, "b") == Loss(seconds=2.5, bytes=700)
    assert loss(now, "b", fenced_at=now.at - 0.25) == Loss(seconds=0.25, bytes=700)
    assert loss(replace(now, silent_seconds=0.375), "b", fenced_at=now.at - 0.25) == Loss(seconds=0.125, bytes=700)
    assert loss(replace(now, bytes_per_second=1000.0), "b") == Loss(seconds=2.5, bytes=2500)
    # An hour later nothing more can have been acknowledged.
    later = replace(with_member(now, "b", lag_seconds=3600.0), silent_seconds=3598.0)
    assert loss(with_lease(later, holder=None, left_seconds=0.0), "b") == Loss(seconds=2.0, bytes=700)


def test_what_is_announced_is_above_what_is_found_later() -> None:
    now = with_member(world("failover").observe(), "b", lag_seconds=0.5, lag_bytes=700)
    lease = LeaseFacts(holder="a", term=1, left_seconds=2.0, quorum_reachable=True)
    now = replace(now, bytes_per_second=1000.0, lease=lease)
    assert loss(now, "b") == Loss(seconds=2.5, bytes=2500)
    assert announced(now, "b") == Loss(seconds=2.8, bytes=2800)
    assert announced(with_member(now, "b", lag_seconds=None), "b") == Loss(seconds=None, bytes=700)
    assert announced(with_member(now, "b", lag_bytes=None), "b") == Loss(seconds=2.8, bytes=None)
    assert announced(world("failover", quorum=True).observe(), "b") == NOTHING
    # The figure that is announced is the one that is held against the limit.
    gone = with_member(now, "c", reachable=False)
    with pytest.raises(Refused, match=r"may lose .* the last 2\.8 s, about 2,800 bytes.*Allowed: 2\.6 s"):
        decision.decide(ground(Cluster()), request("failover", to="b", limit=Limit(seconds=2.6)), gone)
    assert decision.decide(ground(Cluster()), request("failover", to="b"), gone).loss == announced(now, "b")


@given(st.floats(0, 1e6), st.integers(0, 10**15))
def test_what_is_printed_is_a_bound(seconds: float, size: int) -> None:
    found = Loss(seconds=seconds, bytes=size)
    rounded = found.rounded
    assert rounded.seconds is not None
    assert rounded.bytes is not None
    assert seconds - 1e-6 <= rounded.seconds <= max(seconds + 0.1, seconds + (seconds >= 9.9))
    assert size <= rounded.bytes <= size * 1.1
    assert rounded.rounded == rounded
    if not rounded.nothing:
        said = re.search(r"the last ([\d.]+) s, about ([\d,]+) bytes", str(rounded))
        assert said is not None
        assert (float(said[1]), int(said[2].replace(",", ""))) == (rounded.seconds, rounded.bytes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10s", Limit(seconds=10.0)),
        ("500ms", Limit(seconds=0.5)),
        ("2min", Limit(seconds=120.0)),
        ("1MB", Limit(bytes=10**6)),
        ("1.5 MiB", Limit(bytes=3 * 2**19)),
        ("0", Limit(seconds=0.0)),
        ("any", Limit()),
    ],
)
def test_amounts(text: str, expected: Limit) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize("text", ["", "ten", "10", "-1s", "1e9s", "10 days", "1mb", "s"])
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(Refused, match=r"--max-loss: .* Allowed: seconds"):
        parse(text)


@given(st.floats(0, 1e6), st.integers(0, 10**12), st.floats(0, 1e6), st.integers(0, 10**12))
def test_a_limit_allows_exactly_what_is_not_above_it(seconds: float, size: int, most: float, largest: int) -> None:
    found = Loss(seconds=seconds, bytes=size)
    assert Limit(seconds=most).allows(found) == (seconds <= most or found.nothing)
    assert Limit(bytes=largest).allows(found) == (size <= largest or found.nothing)
    assert Limit().allows(found)
    assert not Limit(seconds=most).allows(Loss(seconds=None, bytes=size))


def test_the_objectives_are_the_limit_where_none_is_given() -> None:
    assert limit(None, 5) == Limit(seconds=5.0, source="objectives.rpo_seconds")
    assert limit("1MB", 5) == Limit(bytes=10**6)
    assert limit(None, None) is None


# --- who is seen, and who may come back ------------------------------------------------------------------------------


def test_half_of_those_who_look_are_enough_and_nobody_speaks_for_himself() -> None:
    cluster = world()
    now = replace(cluster.observe(), vantages={"a": {"b": False}, "b": {"b": True}, "c": {"b": True}})
    assert decision.seen(now, "b") == (1, 2)
    assert decision.decide(ground(cluster), request("switchover", to="b"), now).target == "b"
    alone = replace(now, vantages={"a": {"b": False}, "b": {"b": True}})
    with pytest.raises(Refused, match="0 of the 1"):
        decision.decide(ground(cluster), request("switchover", to="b"), alone)


def test_a_region_that_may_not_write_may_come_back_as_a_replica() -> None:
    cluster = world()
    eu = replace(ground(cluster), legal=frozenset("ac"), rules="residency allows primary EU")
    assert decision.decide(eu, request("rejoin", to="b"), cluster.observe()).away == "b"
    with pytest.raises(Refused, match="b may not write main"):
        decision.decide(eu, request("failback", to="b"), cluster.observe())


def test_a_server_that_is_down_in_a_region_that_is_reached_is_replaced_while_its_lease_still_runs() -> None:
    """Nobody is cut off then: its keeper lives, answers, and has no answer of it either."""
    cluster = world("failover")
    seen = replace(cluster.observe(), vantages={"b": {"a": True}, "c": {"a": True}})
    now = with_lease(seen, holder="a", left_seconds=2.0)
    with pytest.raises(Refused, match="a holds its lease"):
        decision.decide(ground(cluster), request("failover"), now)
    found = decision.decide(ground(cluster), request("failover"), replace(now, down=frozenset({"a"})))
    assert (found.writer, found.kind) == ("a", "failover")
