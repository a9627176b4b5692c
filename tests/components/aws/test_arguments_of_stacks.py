"""Every argument of every resource of the example stacks, held against what the SDK and AWS know."""

import pytest

from operations.recording import record
from tests.components.aws.arguments import check_graph


# Recorded as an `up`, policies can be read; as a preview, what is missing stands out from what is not known yet.
@pytest.mark.parametrize("dry_run", [False, True], ids=["up", "preview"])
@pytest.mark.parametrize("phase", range(1, 6))
@pytest.mark.parametrize("stack", ["production-aws", "staging-aws"])
def test_every_argument_is_one_that_aws_takes(stack: str, phase: int, dry_run: bool) -> None:
    assert check_graph(record(stack, phase=phase, dry_run=dry_run)) == []
