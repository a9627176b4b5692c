"""What holds for every test."""

import signal

# A shell that runs the tests in the background has interrupts ignored, and every child inherits that: the tests that
# interrupt a command would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
