"""Every argument of every resource of the example stacks, held against what the SDK and Google know."""

import pytest

from operations.recording import record
from tests.components.gcp.arguments import check_graph
from tests.components.gcp.stacks import config


# As an `up`, what is made of outputs can be read; as a preview, what is missing stands out from what is not known yet.
@pytest.mark.parametrize("dry_run", [False, True], ids=["up", "preview"])
@pytest.mark.parametrize("phase", range(1, 6))
@pytest.mark.parametrize("stack", ["production-gcp", "staging-gcp"])
def test_every_argument_is_one_that_google_takes(stack: str, phase: int, dry_run: bool) -> None:
    assert check_graph(record(stack, phase=phase, dry_run=dry_run)) == []


@pytest.mark.parametrize("dry_run", [False, True], ids=["up", "preview"])
@pytest.mark.parametrize("service", ["cloud-run", "instance-group"])
def test_the_longest_legal_settings_fit(service: str, dry_run: bool) -> None:
    settings = {
        **config(
            phase=5,
            app="a" * 20,
            partitions=[{"name": "p" * 20, "slot": 1, "origin": "northamerica-northeast1", "serves": ["US"]}],
            regions=[{"name": "europe-west3"}, {"name": "australia-southeast1"}, {"name": "northamerica-northeast1"}],
            residency={},
            gcp={
                "project": "p" * 30,
                "project_number": "123456789012",
                "zone": {"name": "z" * 63, "dns_name": "example.com"},
                "service": service,
            },
            ownership={"owner": "Owner.Of-It_@" + "o" * 50, "cost_center": "C" * 63},
        )
    }
    assert check_graph(record(settings, stack="s" * 100, dry_run=dry_run)) == []
