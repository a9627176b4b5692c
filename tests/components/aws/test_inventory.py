"""Production on AWS, phase by phase, is what the inventory files say; a change shows up in a review as its lines."""

import pytest

from tests.components.aws import inventory


@pytest.mark.parametrize("phase", range(1, 6))
def test_a_phase_is_what_its_inventory_says(phase: int) -> None:
    assert inventory.text(phase) == inventory.path(phase).read_text(), (
        "the stack has changed: if that is meant, run `python -m tests.components.aws.inventory` and review the lines"
    )
