"""What a run looks like while it goes on: a live table on a terminal, a line for each resource elsewhere."""

import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from operations.changes import counted
from operations.console import is_terminal, say

if TYPE_CHECKING:
    from engine import Event

DONE = {"create": "created", "update": "updated", "replace": "replaced", "delete": "deleted"}
DOING = {"create": "creating", "update": "updating", "replace": "replacing", "delete": "deleting"}
WAIT_EVERY = 5.0  # seconds between two lines about one wait, without a terminal


@dataclass
class View:
    """Takes the engine's events, from any thread."""

    live: bool = field(default_factory=lambda: is_terminal(sys.stderr))
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, tuple[float, Any]] = {}
        self._waits: dict[str, float] = {}
        self._display: Any = None

    def __enter__(self) -> "View":
        from components.local.servers import progress

        progress.listen(self._wait)
        if self.live:
            from rich.console import Console
            from rich.live import Live

            self._display = Live(
                get_renderable=self._table,
                console=Console(stderr=True, highlight=False),
                refresh_per_second=8,
                transient=True,
            )
            self._display.start()
        return self

    def __exit__(self, *_: object) -> None:
        from components.local.servers import progress

        progress.listen(None)
        if self._display is not None:
            self._display.stop()
            self._display = None

    def elapsed(self) -> float:
        return time.monotonic() - self.began

    def event(self, event: "Event") -> None:
        step = event.step
        if step is None:
            if event.kind in ("warning", "error", "info") and event.message.strip():
                self._line("" if event.kind == "info" else event.kind, event.message.strip())
            return
        if not step.custom or not counted(step.type) or step.op == "same":
            return
        with self._lock:
            began, _ = self._running.pop(step.urn, (time.monotonic(), None))
            if event.kind == "begin":
                self._running[step.urn] = (time.monotonic(), step)
                return
        if event.kind == "done":
            self._line(DONE[step.op], f"{step.name}  ({time.monotonic() - began:.1f} s)")
        elif event.kind == "failed":
            self._line("failed", step.name)

    def _line(self, word: str, text: str) -> None:
        line = f"  {word:<9} {text}" if word else f"  {text}"
        with self._lock:
            if self._display is not None:
                self._display.console.print(line, markup=False)
            else:
                say(line)

    def _wait(self, seconds: float, what: str) -> None:
        with self._lock:
            last = self._waits.get(what, 0.0)
            if self._display is not None:
                self._waits[what] = time.monotonic()
                return
            if seconds < last:  # another wait of the same name
                last = 0.0
            if seconds - last < WAIT_EVERY:
                return
            self._waits[what] = seconds
        say(f"  waiting   {what}  ({seconds:.0f} s)")

    def _table(self) -> Any:
        from rich.spinner import Spinner
        from rich.table import Table

        now = time.monotonic()
        table = Table.grid(padding=(0, 1))
        with self._lock:
            waits = [what for what, seen in self._waits.items() if now - seen < 0.8]
            running = list(self._running.values())
        for began, step in running:
            table.add_row(Spinner("dots"), DOING[step.op], step.name, f"{now - began:.0f} s")
        for what in waits:
            table.add_row("", "waiting", what, "")
        table.add_row("", f"{self.elapsed():.0f} s", "", "")
        return table
