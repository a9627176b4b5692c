"""The ledger of a drill's users while it grows, and the users themselves."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.local.servers import paths
from operations.errors import Fault

START_SECONDS = 10.0
END_SECONDS = 60.0


class Users:
    """The load as a process of its own."""

    def __init__(
        self,
        entry: str,
        ledger: Path,
        regions: tuple[str, ...],
        *,
        rate: float,
        reads: float,
        retries: int,
        changes: float = 0.0,
        cancels: float = 0.0,
    ) -> None:
        self.ledger = ledger
        words = [entry, str(ledger), ",".join(regions)]
        words += ["--rate", str(rate), "--reads", str(reads), "--retries", str(retries)]
        words += ["--changes", str(changes), "--cancels", str(cancels)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "operations.drill.load", *words],
            cwd=paths.PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.records: list[dict[str, Any]] = []
        self._read_to = 0

    def follow(self) -> list[dict[str, Any]]:
        """Every record so far."""
        try:
            with self.ledger.open("rb") as file:
                file.seek(self._read_to)
                text = file.read()
        except FileNotFoundError:
            return self.records
        whole = text.rfind(b"\n") + 1
        self._read_to += whole
        self.records += [json.loads(line) for line in text[:whole].splitlines()]
        return self.records

    def await_record(self, wanted: Callable[[dict[str, Any]], bool], seconds: float, what: str) -> dict[str, Any]:
        deadline, looked_at = time.monotonic() + seconds, 0
        while True:
            records = self.follow()
            for record in records[looked_at:]:
                if wanted(record):
                    return record
            looked_at = len(records)
            if self.process.poll() is not None:
                assert self.process.stderr is not None
                raise Fault(f"the load ended by itself: {self.process.stderr.read().strip()[-300:]}")
            if time.monotonic() > deadline:
                raise Fault(f"{what} did not come within {seconds:g} s")
            time.sleep(0.02)

    def end(self) -> list[dict[str, Any]]:
        """Let them finish what they asked; then every record there is."""
        assert self.process.stdin is not None
        assert self.process.stderr is not None
        self.process.stdin.close()
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Fault(f"the load did not end within {END_SECONDS:.0f} s") from None
        finally:
            self.process.stderr.close()
        return self.follow()
