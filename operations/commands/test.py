"""`meridian test`: format, lint, types and every test. All of them run; the first that failed gives the exit status."""

import subprocess
import sys
import time

from operations import project
from operations.console import say
from operations.errors import Exit, Refused

MODULES = ("ruff", "basedpyright", "pytest", "xdist")

# These only compute, so they share the cores, a file at a time: its tests have their graphs in common. All others wait
# for real servers, whose deadlines must not suffer from what else runs.
COMPUTING = (
    "tests/benchmarks",
    "tests/components/aws",
    "tests/components/gcp",
    "tests/components/test_local_graph.py",
    "tests/components/test_writers.py",
    "tests/operations/clouds",
    "tests/operations/failover",
    "tests/operations/partitions",
    "tests/operations/test_cli.py",
    "tests/operations/test_engines.py",
    "tests/operations/test_partition_steps.py",
    "tests/operations/test_preview.py",
    "tests/operations/test_preview_step.py",
    "tests/operations/test_recording.py",
    "tests/operations/test_reference.py",
    "tests/operations/test_rotation.py",
    "tests/operations/test_walks.py",
    "tests/policies",
    "tests/test_architecture.py",
    "tests/topology",
)


# What takes longest has a run of its own: `./meridian test -m deep`.
SHALLOW = ("-m", "not deep")


def checks(arguments: list[str]) -> list[tuple[str, list[str]]]:
    python = [sys.executable, "-m"]
    tests = [("tests", [*python, "pytest", *arguments])]
    if not arguments:
        apart = [f"--ignore={folder}" for folder in COMPUTING]
        tests = [
            (
                "planning",
                [*python, "pytest", *SHALLOW, "--quiet", "--numprocesses=auto", "--dist=loadfile", *COMPUTING],
            ),
            ("servers", [*python, "pytest", *SHALLOW, *apart]),
        ]
    return [
        ("format", [*python, "ruff", "format", "--check", "--quiet", "."]),
        ("lint", [*python, "ruff", "check", "--quiet", "."]),
        ("types", [*python, "basedpyright", "--level", "error", "--pythonpath", sys.executable]),
        *tests,
    ]


def run(arguments: list[str]) -> int:
    from importlib.util import find_spec

    missing = [module for module in MODULES if find_spec(module) is None]
    if missing:
        raise Refused(
            f"{', '.join(missing)}: not installed for {sys.executable}. `./meridian test` installs it; "
            "in an environment of your own: pip install -r requirements-dev.txt"
        )
    rows: list[tuple[str, int, float]] = []
    began = time.monotonic()
    for name, command in checks(arguments):
        say(f"== {name}")
        start = time.monotonic()
        status = subprocess.run(command, cwd=project.FOLDER, check=False).returncode
        rows.append((name, status, time.monotonic() - start))
    say("")
    for name, status, seconds in rows:
        say(f"{name:<8} {'passed' if status == 0 else f'failed ({status})':<12} {seconds:7.1f} s")
    say(f"{'total':<21} {time.monotonic() - began:7.1f} s")
    return next((Exit.FAULT for _, status, _ in rows if status != 0), Exit.DONE)
