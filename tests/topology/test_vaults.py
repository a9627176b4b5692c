"""Where a partition's backups lie: in another region where that is allowed, and in the same one at every phase."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.topology.plans import at, config, configurations, topology
from topology import Phase, load, plan
from topology.residency import Residency
from topology.vaults import vault


def test_it_is_the_region_after_the_origin() -> None:
    planned = topology(5)
    assert vault(planned, "main") == "us-east"
    assert vault(planned, "americas") == "ap-northeast"


def test_the_region_after_the_last_is_the_first() -> None:
    planned = topology(5, partitions=[{"name": "east", "slot": 1, "origin": "ap-northeast", "serves": ["JP"]}])
    assert vault(planned, "east") == "eu-central"


def test_residency_goes_before_distance() -> None:
    names = ("eu-central", "us-east", "eu-west")
    planned = plan(load(config(*names, residency={"copies": ["EU"]}), "test"))
    assert vault(planned, "main") == "eu-west"
    planned = plan(load(config("eu-central", "us-east", residency={"copies": ["EU"]}), "test"))
    assert vault(planned, "main") == "eu-central"


@given(configurations(), st.sampled_from(list(Phase)), st.sampled_from(list(Phase)))
def test_climbing_moves_no_vault(given_config: dict[str, Any], one: Phase, other: Phase) -> None:
    low, high = at(given_config, min(one, other)), at(given_config, max(one, other))
    for partition in low.partitions:
        place = vault(low, partition.name)
        assert place == vault(high, partition.name)
        rules = Residency(primary=partition.primary_jurisdictions, copies=partition.copy_jurisdictions)
        others = [region for region in low.regions if region.name != partition.origin]
        assert (place == partition.origin) == (not any(rules.allows_copy(region.facts) for region in others))
