"""Every argument of every resource of the example stacks, held against what the SDK and AWS know."""

import pytest

from operations.recording import record
from tests.components.aws.arguments import check_graph
from tests.components.aws.stacks import config

LONG = ("ap-southeast-1", "ap-northeast-3", "eu-central-1")


# Recorded as an `up`, policies can be read; as a preview, what is missing stands out from what is not known yet.
@pytest.mark.parametrize("dry_run", [False, True], ids=["up", "preview"])
@pytest.mark.parametrize("phase", range(1, 6))
@pytest.mark.parametrize("stack", ["production-aws", "staging-aws"])
def test_every_argument_is_one_that_aws_takes(stack: str, phase: int, dry_run: bool) -> None:
    assert check_graph(record(stack, phase=phase, dry_run=dry_run)) == []


def test_the_longest_names_fit_every_service() -> None:
    """The longest app, stack, partition and region that the settings take."""
    longest = "a" * 20
    settings = config(
        phase=5,
        app=longest,
        regions=[{"name": name, "slot": slot} for slot, name in enumerate(LONG)],
        residency={},
        partitions=[{"name": "b" * 20, "slot": 1, "origin": LONG[1], "serves": ["JP"]}],
    )
    for stack in ("s" * 100, "production"):
        assert check_graph(record(settings, stack=stack)) == []
