"""The local target's graph of resources at every phase, and what every step of the ladder does to it."""

import itertools
from collections import Counter

import pytest

import engine.recorder as recorder
from components.deploy import deploy
from components.local.cache import ValkeyProvider
from components.local.database import PostgresProvider
from components.local.foundation import AddressBlockProvider, AuthorityProvider, PasswordProvider
from components.local.homes import NewcomersProvider
from components.local.keeper import KeeperServerProvider
from components.local.keys import CertificateProvider
from components.local.lease import LeasePolicyProvider
from components.local.network import GatewayProvider, LinkProvider
from components.local.replication import DurabilityProvider
from components.local.resource import RealProvider
from components.local.service import OrderServiceProvider
from components.local.traffic import EntryProvider, RoutesProvider
from topology import Phase, load, plan

BUILT = tuple(Phase)
PLANNED = ("eu-central", "us-east", "ap-northeast", "sa-east", "eu-west")
ASIA = {
    "name": "asia",
    "slot": 2,
    "origin": "ap-northeast",
    "serves": ["JP"],
    "residency": {"copies": ["JP", "US"]},
}
PROVIDERS: dict[str, type[RealProvider]] = {
    "AddressBlock": AddressBlockProvider,
    "Authority": AuthorityProvider,
    "Password": PasswordProvider,
    "Certificate": CertificateProvider,
    "Link": LinkProvider,
    "Gateway": GatewayProvider,
    "Postgres": PostgresProvider,
    "Durability": DurabilityProvider,
    "KeeperServer": KeeperServerProvider,
    "LeasePolicy": LeasePolicyProvider,
    "Valkey": ValkeyProvider,
    "OrderService": OrderServiceProvider,
    "Newcomers": NewcomersProvider,
    "Entry": EntryProvider,
    "Routes": RoutesProvider,
}


def kind(resource: recorder.Registered) -> str:
    return resource.type.rsplit(":", 1)[1]


def graph(phase: Phase, regions: int = 3, durability: str = "async") -> recorder.Graph:
    settings = load(
        {
            "target": "local",
            "phase": phase.label,
            "regions": [{"name": name} for name in PLANNED[:regions]],
            "database": {"durability": durability},
            # Used by phase 5; a copy of asia may not lie at home.
            "partitions": [
                {"name": "americas", "slot": 1, "origin": "us-east", "serves": ["US"]},
                *([ASIA] if regions > 2 else []),
            ],
            "conflicts": {"model": "home-partition"},
        },
        "test",
    )
    outputs: dict[str, object] = {}

    def program() -> None:
        outputs.update(deploy(plan(settings)))

    return recorder.record(program, ids={"meridian-foundation-addresses": "127.20"})


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        (1, {"Postgres": 1, "Valkey": 1, "OrderService": 1, "Gateway": 1, "Certificate": 1, "Entry": 1, "Link": 2}),
        (2, {"Postgres": 2, "Valkey": 1, "OrderService": 1, "Gateway": 2, "Certificate": 2, "Entry": 1, "Link": 4}),
        # A witness in the third region: its certificate, its keeper, and the six ways between three keepers.
        (3, {"Postgres": 2, "Valkey": 2, "OrderService": 2, "Gateway": 2, "Certificate": 3, "Entry": 1, "Link": 12}),
        (4, {"Postgres": 3, "Valkey": 3, "OrderService": 3, "Gateway": 3, "Certificate": 3, "Entry": 1, "Link": 18}),
        (5, {"Postgres": 8, "Valkey": 3, "OrderService": 3, "Gateway": 3, "Certificate": 3, "Entry": 1, "Link": 18}),
    ],
)
def test_what_each_phase_builds(phase: int, expected: dict[str, int]) -> None:
    counted = Counter(kind(resource) for resource in graph(Phase(phase)) if resource.custom)
    assert {name: counted[name] for name in expected} == expected
    assert counted["AddressBlock"] == counted["WideAreaNetwork"] == counted["Authority"] == 1
    assert (counted["Durability"], counted["Newcomers"]) == ((3, 1) if phase == 5 else (1, 0))


@pytest.mark.parametrize("regions", [2, 3, 5])
@pytest.mark.parametrize(("low", "high"), [*itertools.combinations(BUILT, 2)])
def test_climbing_only_adds(low: Phase, high: Phase, regions: int) -> None:
    before, after = graph(low, regions), graph(high, regions)
    assert set(before.resources) <= set(after.resources)
    for old in before:
        if not old.custom or kind(old) == "WideAreaNetwork":
            continue
        new = after.resources[old.urn]
        result = PROVIDERS[kind(old)]().diff("id", dict(old.inputs), dict(new.inputs))
        assert not result.replaces, f"{old.name}: {result.replaces}"
        if kind(old) == "Postgres":  # of a member nothing but its size may change
            changed = {key for key in {*old.inputs, *new.inputs} if old.inputs.get(key) != new.inputs.get(key)}
            assert changed <= {"size"}, f"{old.name}: {changed}"


@pytest.mark.parametrize("phase", BUILT)
def test_every_resource_is_guarded_and_in_its_place(phase: Phase) -> None:
    built = graph(phase, 5)
    for resource in built:
        assert resource.parent, resource.name
        words = {"primary", "replica", "standby", "writer", "origin"} & set(resource.name.split("-"))
        assert not words, f"the logical name {resource.name} carries a role"
        assert phase.label not in resource.name
        if kind(resource) == "Postgres":
            assert resource.protect
            assert {"network", "source"} <= set(resource.ignore_changes) or resource.inputs["origin"]
        if resource.custom:
            assert not any(word in str(resource.inputs).lower() for word in ("password=", "secret"))


@pytest.mark.parametrize(
    ("phase", "regions", "kept"),
    [(1, 3, 0), (2, 5, 0), (3, 2, 0), (3, 3, 3), (3, 5, 3), (4, 2, 0), (4, 3, 3), (4, 5, 5), (5, 2, 0), (5, 3, 3)],
)
def test_a_lease_needs_three_keepers(phase: int, regions: int, kept: int) -> None:
    counted = Counter(kind(resource) for resource in graph(Phase(phase), regions) if resource.custom)
    partitions = 3 if phase == 5 else 1
    assert (counted["KeeperServer"], counted["LeasePolicy"]) == (kept, partitions if kept else 0)


def test_a_keeper_waits_for_no_member_and_the_lease_for_all_keepers() -> None:
    """A keeper has to be there while its member is not; to ask for a lease before there is one would stop writes."""
    built = graph(Phase.ACTIVE_PASSIVE)
    witness = built.named("meridian-ap-northeast-keeper-server")
    assert not witness.inputs["members"]
    assert witness.inputs["voters"] == {"eu-central": 0, "us-east": 1, "ap-northeast": 2}
    names = {built.resources[urn].name for urn in witness.dependencies if urn in built.resources}
    assert not any("postgres" in name or "gateway" in name for name in names)
    policy = built.named("meridian-main-lease-policy")
    waits = {built.resources[urn].name for urn in policy.dependencies if urn in built.resources}
    assert {f"meridian-{region}-keeper-server" for region in PLANNED[:3]} <= waits


def test_an_identity_that_changes_is_a_replacement() -> None:
    """The check above can fail: another member under the same name would be caught."""
    member = graph(Phase.SINGLE_REGION).named("main-eu-central-postgres")
    moved = {**member.inputs, "region": "us-east"}
    assert PostgresProvider().diff("id", dict(member.inputs), moved).replaces == ["region"]


def test_a_copy_waits_for_its_source_and_traffic_for_its_services() -> None:
    built = graph(Phase.MULTI_REGION_READS)

    def reaches(start: recorder.Registered) -> set[str]:
        found, todo = set(), [start.urn]
        while todo:
            for urn in built.resources[todo.pop()].dependencies:
                if urn in built.resources and urn not in found:
                    found.add(urn)
                    todo.append(urn)
        return {built.resources[urn].name for urn in found}

    copy = reaches(built.named("main-us-east-postgres"))
    assert {"main-eu-central-postgres", "meridian-us-east-network-gateway"} <= copy
    entry = reaches(next(resource for resource in built if kind(resource) == "Routes"))
    assert {f"meridian-{region}-service-orders" for region in ("eu-central", "us-east", "ap-northeast")} <= entry
    assert {f"main-{region}-postgres" for region in ("eu-central", "us-east", "ap-northeast")} <= entry
    # A region stands alone: nothing that it needs to serve waits for another region's cache or service.
    service = reaches(built.named("meridian-us-east-service-orders"))
    assert not any(name.startswith(("main-ap-northeast", "meridian-ap-northeast")) for name in service)


def test_new_customers_wait_for_all_that_serves_them() -> None:
    built = graph(Phase.ACTIVE_ACTIVE)
    newcomers = built.named("meridian-homes-newcomers")
    waits = {built.resources[urn].name for urn in newcomers.dependencies if urn in built.resources}
    assert {"americas-us-east-postgres", "asia-us-east-postgres", "meridian-americas-lease-policy"} <= waits
    assert {"meridian-eu-central-service-orders", "meridian-asia-lease-policy"} <= waits
    assert newcomers.inputs["newcomers"] == {
        "eu-central": "00/eu-central/",
        "us-east": "01/us-east/",
        "ap-northeast": "02/ap-northeast/",
    }
    assert newcomers.inputs["kept"] == {"main": 0, "americas": 1, "asia": 2}
    assert {region["name"]: set(region["partitions"]) for region in newcomers.inputs["regions"]} == {
        "eu-central": {"main", "americas"},
        "us-east": {"main", "americas", "asia"},
        "ap-northeast": {"main", "americas", "asia"},
    }


def test_providers_are_serialised_by_reference() -> None:
    """The same text in every process, or every `up` would see a change: classes by name, nothing by value."""
    first, second = graph(Phase.SINGLE_REGION), graph(Phase.SINGLE_REGION)
    for resource in first:
        if resource.custom:
            text = resource.inputs["__provider"]
            assert text == second.resources[resource.urn].inputs["__provider"]
            assert len(text) < 200, f"{resource.name} carries its provider by value"


def test_quorum_takes_effect_in_phase_four() -> None:
    assert (
        graph(Phase.ACTIVE_PASSIVE, durability="quorum")
        .named("meridian-main-replication-durability")
        .inputs["durability"]
        == "async"
    )
    assert (
        graph(Phase.MULTI_REGION_READS, durability="quorum")
        .named("meridian-main-replication-durability")
        .inputs["durability"]
        == "quorum"
    )
