"""`python -m benchmarks [name ...]`: run these benchmarks, or all, and print their tables.

Each runs in an interpreter of its own, so that none finds what another has imported or left on the heap.
"""

import subprocess
import sys
from collections.abc import Sequence

from benchmarks.stacks import PROJECT

NAMES = ("bring_up", "preview", "policies", "requests", "memory", "latency", "hot_spot")


def unknown(names: Sequence[str]) -> str | None:
    """What is wrong with these names, if anything is."""
    wrong = [name for name in names if name not in NAMES]
    return f"no benchmark is called {', '.join(wrong)}; there are {', '.join(NAMES)}" if wrong else None


def run(name: str) -> int:
    child = subprocess.Popen([sys.executable, "-m", f"benchmarks.{name}"], cwd=PROJECT)
    try:
        return child.wait()
    except KeyboardInterrupt:
        child.wait()  # it was told too, and takes its servers down before it ends
        return 1


def main(names: Sequence[str]) -> int:
    problem = unknown(names)
    if problem is not None:
        print(problem, file=sys.stderr)
        return 2
    statuses = [run(name) for name in names or NAMES]  # one that fails does not keep the others from running
    return 1 if any(statuses) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
