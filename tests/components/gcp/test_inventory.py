"""Production on Google Cloud, phase by phase, is what the inventory files say; a change is lines in a review."""

import pytest

from tests.components.gcp.inventory import INVENTORY


@pytest.mark.parametrize("phase", range(1, 6))
def test_a_phase_is_what_its_inventory_says(phase: int) -> None:
    assert INVENTORY.text(phase) == INVENTORY.path(phase).read_text(), (
        f"the stack has changed: if that is meant, run `python -m {INVENTORY.module}` and review the lines"
    )
