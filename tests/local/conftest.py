"""One running stack for the tests that only look at it, and clones for those that change it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.clone import Clone


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    """A fresh clone; whatever it started is gone afterwards."""
    made = Clone.make(tmp_path)
    yield made
    made.end()


@pytest.fixture(scope="module")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A stack at multi-region-reads, shared by a module."""
    made = Clone.make(tmp_path_factory.mktemp("climbed"))
    made.must("up", "--phase", "multi-region-reads")
    yield made
    made.end()
