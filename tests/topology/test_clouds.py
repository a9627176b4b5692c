"""Backups lie where they may and where the data does not, and climbing leaves them there."""

from itertools import combinations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.topology.plans import AMERICAS, at, configurations, topology
from topology import GcpPlan, Ownership, Phase, ServicePlan, Topology, steps
from topology.residency import lies_in

EUROPE_FIRST = ("eu-west-1", "eu-central-1", "us-east-1", "us-west-2")
RULES: dict[str, Any] = {"target": "aws", "residency": {"primary": ["EU"], "copies": ["EU", "US"]}}


def legal(planned: Topology, region: str, target: str) -> bool:
    """Whether everything that lies in a region may also lie in another."""
    kept = {planned.member(name).partition for name in planned.region(region).members}
    place = planned.region(target).facts
    return all(lies_in(place, planned.partition(name).copy_jurisdictions) for name in kept)


def targets(planned: Topology) -> dict[str, str | None]:
    return {backup.region: backup.copy_to for backup in planned.backups}


@given(configurations(), st.sampled_from(list(Phase)))
def test_backups_are_copied_where_they_may_be(given_config: dict[str, Any], phase: Phase) -> None:
    planned = at(given_config, phase)
    if planned.target == "local":
        assert planned.backups == ()
        return
    copies = targets(planned)
    assert {region.name for region in planned.regions_in_use} <= set(copies)
    for region, target in copies.items():
        assert target != region
        if target is not None:
            assert target in copies
            assert legal(planned, region, target)
        elif planned.region(region).members:
            assert not any(legal(planned, region, other.name) for other in planned.regions if other.name != region)
        else:
            assert region in copies.values()


@given(configurations())
def test_climbing_leaves_vaults_and_copies_where_they_are(given_config: dict[str, Any]) -> None:
    for low, high in combinations([at(given_config, phase) for phase in Phase], 2):
        before, after = targets(low), targets(high)
        assert set(before) <= set(after)
        for region, target in before.items():
            if target is not None and after[region] != target:
                assert not legal(high, region, target), "moved without need"
                assert after[region] is None


@given(configurations())
def test_a_partition_listed_late_moves_a_copy_only_where_it_must(given_config: dict[str, Any]) -> None:
    before, high = targets(at({**given_config, "partitions": []}, 4)), at(given_config, 5)
    for region, target in before.items():
        if target is not None and targets(high)[region] != target:
            assert not legal(high, region, target)


def test_what_a_partition_will_bring_decides_from_the_first_day() -> None:
    american = {**AMERICAS, "origin": "us-east-1", "residency": {"copies": ["US"]}}
    for phase in (4, 5):
        assert targets(topology(phase, *EUROPE_FIRST, partitions=[american], **RULES))["us-east-1"] == "us-west-2"
    assert targets(topology(4, *EUROPE_FIRST, **RULES))["us-east-1"] == "eu-west-1"


def test_a_region_whose_data_share_no_legal_place_keeps_copies_as_long_as_it_can() -> None:
    canadian = {**AMERICAS, "origin": "us-east-1", "residency": {"copies": ["US", "CA"]}}
    regions = ("eu-west-1", "eu-central-1", "us-east-1", "ca-central-1")
    low, high = (topology(phase, *regions, partitions=[canadian], **RULES) for phase in (4, 5))
    assert [targets(planned)["us-east-1"] for planned in (low, high)] == ["eu-west-1", None]
    (said,) = (step.text for step in steps(low, high) if step.kind == "vault" and step.removes)
    assert said.startswith("Stop copying the backups of us-east-1 to eu-west-1: no listed region may hold")


def test_a_plan_has_what_a_cloud_needs_and_the_local_one_nothing_of_it() -> None:
    local, aws, gcp = topology(1), topology(1, "eu-west-1", target="aws"), topology(1, "us-east4", target="gcp")
    assert (local.service, local.ownership, local.retention, local.aws) == (None, None, None, None)
    for planned in (aws, gcp):
        assert planned.service == ServicePlan(
            image="ghcr.io/example/orders:1.4.2", port=8000, cpu=1, memory_mib=2048, minimum=3, maximum=30
        )
        assert planned.ownership == Ownership(owner="payments", cost_center="cc-4711", data_class="confidential")
        assert planned.retention is not None
        assert planned.retention.log_days == 90
    assert (local.gcp, local.alarm_emails, gcp.aws, aws.gcp) == (None, (), None, None)
    assert aws.aws is not None
    assert (aws.aws.zone_name, aws.aws.instance_class) == ("example.com", "db.serverless")
    assert gcp.gcp == GcpPlan(
        project="example-production",
        project_number="123456789012",
        zone_name="example-com",
        zone_dns_name="example.com",
        service="cloud-run",
        database_version="POSTGRES_17",
        tier="db-perf-optimized-N-4",
        disk_gib=100,
        cache_node_type="STANDARD_SMALL",
        cache_shards=1,
    )
