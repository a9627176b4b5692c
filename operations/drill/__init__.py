"""Drills: a fault on a running stack, under load, measured and held against what the stack promises."""
