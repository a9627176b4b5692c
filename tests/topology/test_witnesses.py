"""Which regions keep the lease: a quorum that the loss of one survives, or none at all."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.topology.plans import at, config, configurations, topology
from topology import Phase, load, plan, steps, summary
from topology.witnesses import LEAST, keepers, witnesses


@pytest.mark.parametrize(
    ("phase", "kept", "without_data"),
    [(1, 0, 0), (2, 0, 0), (3, 3, 1), (4, 3, 0), (5, 3, 0)],
)
def test_from_phase_three_on_a_quorum_keeps_the_lease(phase: int, kept: int, without_data: int) -> None:
    planned = topology(phase)
    assert len(keepers(planned)) == kept
    assert len(witnesses(planned)) == without_data


def test_the_clouds_have_none() -> None:
    for target, names in (
        ("aws", ("eu-central-1", "us-east-1", "ap-northeast-1")),
        ("gcp", ("europe-west3", "us-east4", "asia-northeast1")),
    ):
        planned = plan(load(config(*names, target=target, phase="active-passive"), "test"))
        assert keepers(planned) == ()


@given(configurations(), st.sampled_from(list(Phase)), st.sampled_from(list(Phase)))
def test_climbing_only_adds_keepers(given_config: dict[str, Any], one: Phase, other: Phase) -> None:
    low, high = at(given_config, min(one, other)), at(given_config, max(one, other))
    assert set(keepers(low)) <= set(keepers(high))
    assert keepers(summary.summarise(high)) == keepers(high)
    if keepers(high):
        assert len(keepers(high)) >= LEAST
        assert {region.name for region in high.regions_in_use} <= set(keepers(high))


def test_a_witness_is_named_as_one() -> None:
    said = [step.text for step in steps(topology(2), topology(3)) if step.kind == "keeper"]
    assert said[0].startswith("Start a keeper in eu-central.")
    assert said[2].startswith("Start a witness, a keeper without data, in ap-northeast.")
    gone = [step.text for step in steps(topology(3), topology(2)) if step.kind == "keeper"]
    assert gone[0].startswith("Stop the keeper of eu-central: from then on no lease")
