"""Production on AWS, phase by phase, is what the inventory files say; a change shows up in a review as its lines."""

import pytest

from tests.components.aws.inventory import INVENTORY


@pytest.mark.parametrize("phase", range(1, 6))
def test_a_phase_is_what_its_inventory_says(phase: int) -> None:
    assert INVENTORY.text(phase) == INVENTORY.path(phase).read_text(), (
        f"the stack has changed: if that is meant, run `python -m {INVENTORY.module}` and review the lines"
    )
