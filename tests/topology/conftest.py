"""Property tests here are quick and the same on every run."""

from hypothesis import settings

settings.register_profile("repeatable", max_examples=60, deadline=None, derandomize=True)
settings.load_profile("repeatable")
