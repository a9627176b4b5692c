"""What a region weighs at phase 4, kind of server by kind, and what importing the local target costs.

Servers share memory (PostgreSQL's processes their buffers, every Envoy its program), so memory is counted as the
proportional set size where the system tells it, in which shared pages count once over all: sums are honest. Elsewhere
it is the resident set, which counts them once for every process.

    python -m benchmarks.memory [--rounds 5]
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks.stacks import PROJECT, brought_up, table

MEBIBYTE = 2**20
KINDS = ("gateway", "service", "PostgreSQL", "Valkey")
PACE = 0.5  # seconds between two looks, so that one busy moment does not count as the rest
REST = 3.0  # seconds that the servers get to come to rest

IMPORTS = {
    "nothing (the interpreter and psutil)": "pass",
    "`pulumi` alone": "import pulumi, pulumi.dynamic",
    "the local target's servers": "\n".join(
        f"import components.local.servers.{name}"
        for name in ("postgres", "valkey", "gateway", "entry", "service", "wan")
    ),
    "the local target": "import components.deploy\n"
    + "\n".join(
        f"import components.local.{name}"
        for name in ("foundation", "keys", "network", "database", "replication", "cache", "service", "traffic")
    ),
}
PROBE = """
import json, sys, time
import psutil
this = psutil.Process()
began = time.perf_counter()
{statement}
took = time.perf_counter() - began
full = this.memory_full_info()
print(json.dumps({{
    "seconds": took,
    "bytes": getattr(full, "uss", full.rss),
    "clouds": sorted(name for name in sys.modules if name.split(".")[0] in ("pulumi_aws", "pulumi_gcp", "boto3")),
}}))
"""


def weight(process: psutil.Process) -> int:
    """Bytes of a process and its children; one that ends meanwhile weighs nothing."""
    total = 0
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            full = one.memory_full_info()
            total += getattr(full, "pss", full.rss)
    return total


def servers(stack: Path) -> dict[tuple[str, str], int]:
    """The number of the process of every server, by where it stands and what it is."""
    found: dict[tuple[str, str], int] = {}
    for record in stack.rglob("server.json"):
        place = record.parent.relative_to(stack).parts
        found[kind(place)] = json.loads(record.read_text())["pid"]
    return found


def kind(place: Sequence[str]) -> tuple[str, str]:
    """Where a server stands and what it is, from its folder within the stack's."""
    if place[0] != "regions":
        return ("the stack", {"wan": "delay proxy"}.get(place[0], place[0]))
    what = {"members": "PostgreSQL", "cache": "Valkey"}.get(place[2], place[2])
    return (place[1], what)


def megabytes(size: float) -> str:
    return f"{size / MEBIBYTE:.0f}"


def rows_of(weights: Mapping[tuple[str, str], float]) -> list[tuple[str, ...]]:
    """One row a region, then the servers that the stack has once."""
    rows: list[tuple[str, ...]] = []
    for region in dict.fromkeys(where for where, _ in weights if where != "the stack"):
        parts = [weights.get((region, name)) for name in KINDS]
        sizes = [megabytes(size) if size is not None else "" for size in parts]
        rows.append((region, *sizes, megabytes(sum(size for size in parts if size is not None))))
    rows += [
        (what, *("" for _ in KINDS), megabytes(size)) for (where, what), size in weights.items() if where == "the stack"
    ]
    return [*rows, ("all", *("" for _ in KINDS), megabytes(sum(weights.values())))]


def of_servers(rounds: int) -> str:
    looks: list[dict[tuple[str, str], int]] = []
    with brought_up(4) as stack:
        time.sleep(REST)
        for _ in range(rounds):
            looks.append({place: weight(psutil.Process(pid)) for place, pid in sorted(servers(stack).items())})
            time.sleep(PACE)
    weights = {place: statistics.median(look[place] for look in looks) for place in looks[0]}
    head = ("where", *KINDS, "sum")
    measured = "proportional" if hasattr(psutil.Process().memory_full_info(), "pss") else "resident"
    return table(f"Memory at phase 4, at rest, in MiB ({measured} set)", head, rows_of(weights))


def imported(statement: str) -> dict[str, object]:
    """What a fresh interpreter says of an import."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(statement=statement)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return json.loads(done.stdout)


def of_imports(rounds: int) -> str:
    rows: list[tuple[str, ...]] = []
    for name, statement in IMPORTS.items():
        imported(statement)  # compiles what was never compiled
        told = [imported(statement) for _ in range(rounds)]
        seconds = statistics.median(float(str(one["seconds"])) for one in told)
        size = statistics.median(float(str(one["bytes"])) for one in told)
        clouds = told[0]["clouds"]
        rows.append((name, f"{seconds * 1000:.0f}", megabytes(size), ", ".join(map(str, clouds)) if clouds else "none"))  # type: ignore[arg-type]
    head = ("import", "ms", "memory of the interpreter's own, MiB", "cloud SDKs")
    return table("What an import costs in a fresh interpreter", head, rows)


def measure(rounds: int) -> str:
    return "\n".join((of_servers(rounds), of_imports(rounds)))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    print(measure(parser.parse_args(arguments).rounds))


if __name__ == "__main__":
    main()
