"""A throw-away local stack for a benchmark: its own runtime folder and its own register of addresses."""

import json
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

import engine
from topology import Topology, load, plan

if TYPE_CHECKING:
    from components.local.servers.addresses import Addresses

PROJECT = Path(__file__).resolve().parents[1]
REGIONS = ("eu-central", "us-east", "ap-northeast")


def values(phase: int, regions: tuple[str, ...] = REGIONS, **more: Any) -> dict[str, Any]:
    return {"target": "local", "phase": str(phase), "regions": [{"name": name} for name in regions], **more}


def partitioned(phase: int, **more: Any) -> dict[str, Any]:
    """With the partitions that the dev stack has, which wait for phase 5."""
    partitions = [
        {"name": "americas", "slot": 1, "origin": "us-east", "serves": ["US"]},
        {"name": "asia", "slot": 2, "origin": "ap-northeast", "serves": ["JP"]},
    ]
    return values(phase, partitions=partitions, conflicts={"model": "home-partition"}, **more)


def topology(settings: Mapping[str, Any], stack: str = "bench") -> Topology:
    return plan(load(settings, stack))


def program(settings: Mapping[str, Any], stack: str = "bench", folder: Path = PROJECT) -> engine.Program:
    text = {key: value if isinstance(value, str) else json.dumps(value) for key, value in settings.items()}
    return engine.Program(
        project="meridian", stack=stack, folder=folder, config={f"meridian:{key}": value for key, value in text.items()}
    )


@contextmanager
def runtime() -> Iterator[Path]:
    """A runtime folder that is gone afterwards, with everything that ran in it."""
    from components.local.servers import process

    with tempfile.TemporaryDirectory(prefix="meridian-bench-") as home:
        kept = {key: os.environ.get(key) for key in ("MERIDIAN_HOME", "XDG_STATE_HOME")}
        os.environ.update(MERIDIAN_HOME=home, XDG_STATE_HOME=f"{home}/claims")
        # A benchmark that is told to end cleans up all the same: the servers are detached and would stay.
        ending = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        try:
            yield Path(home)
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            # A step that was interrupted may still be starting a server, or start one again that is being stopped.
            for thread in threading.enumerate():
                if thread is not threading.current_thread() and not thread.daemon:
                    thread.join(timeout=30)
            for record in Path(home).rglob("server.json"):
                process.stop(record.parent, timeout=2.0)
            _end_marked(home)
            signal.signal(signal.SIGTERM, ending)
            for key, value in kept.items():
                os.environ.pop(key, None) if value is None else os.environ.__setitem__(key, value)


def _end_marked(home: str) -> None:
    """End what was started under this folder and stands in no record: every server carries the folder's name."""
    from components.local.servers import process

    for one in psutil.process_iter():
        with suppress(psutil.Error):
            if one.environ().get(process.MARK_FOLDER, "").startswith(f"{home}/"):
                one.kill()


@contextmanager
def brought_up(phase: int, **more: Any) -> Iterator[Path]:
    """A stack at this phase, as one `up` builds it; gives its folder."""
    with runtime() as home:
        engine.up(program(values(phase, **more)), state_file(home))
        yield home / "stacks" / "bench"


def addresses_of(stack: Path) -> "Addresses":
    from components.local.servers.addresses import Addresses

    return Addresses(json.loads((stack / "block.json").read_text())["block"])


def state_file(home: Path, stack: str = "bench") -> engine.StateFile:
    folder = home / "stacks" / stack
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = engine.StateFile(folder / "state.json", "benchmark")
    file.prepare()  # as the command does it beside its imports
    return file


AS_TYPED = """
import sys
from pathlib import Path
from operations import project
project.FOLDER = Path(sys.argv[1])
from operations.cli import main
sys.exit(main(sys.argv[2:]))
"""


def command(home: Path, settings: Mapping[str, Any], *words: str, stack: str = "bench") -> list[str]:
    """`./meridian` with these words, for a stack whose settings lie in the runtime folder and not in the project."""
    keys = {f"meridian:{key}": value for key, value in settings.items()}
    (home / f"Pulumi.{stack}.yaml").write_text(json.dumps({"config": keys}))
    (home / "Pulumi.yaml").write_text((PROJECT / "Pulumi.yaml").read_text())
    return [sys.executable, "-c", AS_TYPED, str(home), *words, "--stack", stack]


def table(title: str, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table, so that figures can be pasted where people compare them."""
    lines = [f"### {title}", "", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"
