"""`python -m operations` is `./meridian` without the making of the environment."""

import os
import sys

from operations.cli import main
from operations.errors import Exit

if __name__ == "__main__":
    status = main(sys.argv[1:])
    if status == Exit.INTERRUPTED:
        # An interrupt inside `exec`, which dataclasses use, would otherwise end the interpreter by signal, although it
        # was caught (CPython: run_eval_code_obj in pythonrun.c).
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
