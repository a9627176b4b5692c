"""Commands as an operator types them, each a process of its own, and what a watcher says."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from operations import project
from operations.errors import Fault
from operations.failover import journal

LIMIT = 300.0  # seconds


@dataclass
class Operator:
    """Whoever types the commands of one stack."""

    stack: str
    folder: Path

    def start(self, *words: str) -> "subprocess.Popen[str]":
        verb = 2 if words[0] == "partition" else 1
        return subprocess.Popen(
            [sys.executable, "-m", "operations", *words[:verb], "--stack", self.stack, *words[verb:]],
            cwd=project.FOLDER,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> str:
        """To its end, well. Raises `Fault` with the last of what it said."""
        begun = self.start(*words)
        try:
            out, said = begun.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            begun.kill()
            begun.communicate()
            raise Fault(f"`meridian {' '.join(words)}` did not end within {LIMIT:.0f} s") from None
        if begun.returncode != 0:
            raise Fault(f"`meridian {' '.join(words)}` ended with {begun.returncode}: {last_words(said)}")
        return out

    def run_killed(self, chance: random.Random, *words: str) -> int:
        """Kill it at a random step, and carry on until it is done. How often it was killed."""
        before = _newest(self.folder)
        begun = self.start(*words)
        steps, delay = chance.randrange(0, 11), chance.uniform(0.0, 0.06)
        # Read all the time, or it would stand still with a full pipe.
        reader = threading.Thread(target=begun.communicate, daemon=True)
        reader.start()
        while begun.poll() is None:
            if steps == 0 or _steps_begun(self.folder, before) >= steps:
                time.sleep(delay if steps else chance.uniform(0.0, 1.0))
                begun.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
        reader.join()
        if begun.returncode == 0:
            return 0
        if begun.returncode != -signal.SIGKILL:
            raise Fault(f"`meridian {' '.join(words)}` ended with {begun.returncode}")
        found = journal.unfinished(self.folder)
        if found is None:
            # Before its first word on the disk, or after the last.
            if _newest(self.folder) == before:
                self.run(*words)
            return 1
        self.run(*words, "--resume")
        return 1


def _newest(folder: Path) -> int:
    numbers = [int(path.stem) for path in journal.folder(folder).glob("*.json") if path.stem.isdigit()]
    return max(numbers, default=0)


def _steps_begun(folder: Path, before: int) -> int:
    try:
        record = json.loads((journal.folder(folder) / f"{before + 1:03}.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return 0
    return sum(event["what"] == "begun" for event in record["events"])


def last_words(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    return " / ".join(lines[-3:]) if lines else "it said nothing"


class Watcher:
    """`meridian watch`, and when each of its lines came."""

    def __init__(self, operator: Operator, stand: str, partition: str, *, once: bool) -> None:
        words = ["watch", "--partition", partition, "--from", stand, *(["--once"] if once else [])]
        self.process = operator.start(*words)
        self.lines: list[tuple[float, str]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append((time.time(), line.strip()))

    def said(self, text: str, *, after: float = 0.0) -> float | None:
        return next((at for at, line in self.lines if at >= after and text in line), None)

    def await_line(self, text: str, seconds: float, *, after: float = 0.0) -> float:
        deadline = time.monotonic() + seconds
        while (at := self.said(text, after=after)) is None:
            if self.process.poll() is not None and self.said(text, after=after) is None:
                raise Fault(f"the watch ended with {self.process.returncode}: {self._told()}")
            if time.monotonic() > deadline:
                raise Fault(f"the watch did not say {text!r} within {seconds:g} s: {self._told()}")
            time.sleep(0.01)
        return at

    def _told(self) -> str:
        return " / ".join(line for _, line in self.lines[-3:]) or "it said nothing"

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(5)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
