"""What the embedded engine adds to a program when it previews it.

The same program, run by the same path through the SDK (`engine.sdk.run`, one thread, dry run), once with the engine and
once with a monitor that answers every registration at once and remembers nothing. Both start from an empty state, so
every resource is one to create. The program is the project's own, for five regions on AWS at phase 5.

Neighbours on the machine stretch the time on the clock; the time on the processor says what was really done.

    python -m benchmarks.preview [--rounds 25]
"""

import argparse
import gc
import runpy
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import engine
from benchmarks.stacks import program, table
from engine import sdk
from engine.recorder import STACK_TYPE, RecordingMonitor

REGIONS = ("eu-west-1", "eu-central-1", "us-east-1", "ap-northeast-1", "sa-east-1")
SETTINGS: dict[str, Any] = {
    "target": "aws",
    "phase": "5",
    "hostname": "api.example.com",
    "regions": [{"name": name, "slot": slot} for slot, name in enumerate(REGIONS)],
    "partitions": [
        {"name": "americas", "slot": 1, "origin": "us-east-1", "serves": ["US", "BR"]},
        {"name": "asia", "slot": 2, "origin": "ap-northeast-1", "serves": ["JP"]},
    ],
    "conflicts": {"model": "home-partition"},
    "service": {"image": "ghcr.io/example/orders:1.4.2"},
    "ownership": {"owner": "platform", "cost_center": "4711"},
    "aws": {"account_id": "123456789012", "zone": {"id": "Z0123456789ABCDEFGHIJ", "name": "example.com"}},
}


class Unknown(Mapping[str, str]):
    """No resource has an id yet, as in a preview: a known one would set more of the program in motion."""

    def __getitem__(self, _name: str) -> str:
        return ""

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 0


class AtOnce(RecordingMonitor):
    """Answers without a look at what it is asked, except for the name."""

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        urn = f"urn:pulumi:{self._stack}::{self._project}::{request.type}::{request.name}"
        if request.type == STACK_TYPE:
            return sdk.RegisterResponse(urn=urn)
        return sdk.RegisterResponse(urn=urn, object=request.object)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        return sdk.EMPTY


def five_regions() -> engine.Program:
    return program(SETTINGS)


def preview(what: engine.Program) -> engine.Plan:
    return engine.preview(what, engine.StateFile(Path("nowhere.json"), "x").load(new=True))


def answered(what: engine.Program, monitor: RecordingMonitor) -> None:
    """What `engine.preview` does, with another monitor."""
    sdk.run(
        lambda: void(runpy.run_path(str(what.folder / "__main__.py"), run_name="__main__")),
        monitor=monitor,
        log=monitor,
        project=what.project,
        stack=what.stack,
        folder=what.folder,
        settings_values=what.config,
        secret_keys=frozenset(),
        dry_run=True,
        threads=1,
    )


def void(_: object) -> None:
    """A Pulumi program gives nothing back."""


class Took(NamedTuple):
    """Seconds."""

    clock: float
    processor: float


def timed(action: Callable[[], object]) -> Took:
    gc.collect()
    clock, processor = time.perf_counter(), time.process_time()
    action()
    return Took(time.perf_counter() - clock, time.process_time() - processor)


def paired(rounds: int, actions: Mapping[str, Callable[[], object]]) -> dict[str, list[Took]]:
    """What each action took by round; the order turns, so that nobody always runs on the heels of the same one."""
    took: dict[str, list[Took]] = {name: [] for name in actions}
    names = list(actions)
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            took[name].append(timed(actions[name]))
    return took


def ratios(ones: list[float], others: list[float]) -> list[float]:
    return [one / other for one, other in zip(ones, others, strict=True)]


def milliseconds(took: list[Took]) -> str:
    return f"{statistics.median(one.clock for one in took) * 1000:.0f}"


def measure(rounds: int) -> str:
    what = five_regions()
    monitors = {
        "a monitor that answers at once": lambda: AtOnce(what.project, what.stack, Unknown()),
        "a monitor that also records": lambda: RecordingMonitor(what.project, what.stack, Unknown()),
    }
    actions: dict[str, Callable[[], object]] = {"engine": lambda: preview(what)}
    actions |= {name: lambda make=make: answered(what, make()) for name, make in monitors.items()}
    count = len(preview(what).steps)
    paired(1, actions)  # imports, and what the SDK keeps
    took = paired(rounds, actions)
    rows = [("embedded preview", milliseconds(took["engine"]), "", "", "")]
    for name in monitors:
        clock = ratios([one.clock for one in took["engine"]], [one.clock for one in took[name]])
        processor = ratios([one.processor for one in took["engine"]], [one.processor for one in took[name]])
        rows.append(
            (
                name,
                milliseconds(took[name]),
                f"{statistics.median(clock):.2f}",
                f"{min(clock):.2f} to {max(clock):.2f}",
                f"{statistics.median(processor):.2f}",
            )
        )
    head = ("who answers", "clock, ms", "preview to this, median ratio", "range", "the same, processor time")
    return table(f"Preview of {count} resources in five regions, {rounds} rounds", head, rows)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25)
    print(measure(parser.parse_args(arguments).rounds))


if __name__ == "__main__":
    main()
