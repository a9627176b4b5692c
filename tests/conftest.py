"""What holds for every test."""

import signal

from hypothesis import settings

# Property tests are quick, the same on every run, and not timed: a machine that does other work is not a finding.
settings.register_profile("repeatable", max_examples=60, deadline=None, derandomize=True)
settings.load_profile("repeatable")

# A shell that runs the tests in the background has interrupts ignored, and every child inherits that: the tests that
# interrupt a command would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
