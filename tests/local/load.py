"""The drills' load, for tests that climb or fail over under it."""

from operations.drill.load import Load

__all__ = ["Load"]
