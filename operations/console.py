"""What the person at the terminal sees. Results go to stdout, everything else to stderr."""

import json
import os
import sys
from functools import cache
from typing import Any, TextIO

from operations.errors import Refused

NAME = "meridian"


def say(text: str = "") -> None:
    """What goes on, on stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def complain(text: str) -> None:
    """Why the command ends, on stderr, under the command's name."""
    say(f"{NAME}: {text}")


def answer(text: str) -> None:
    """The command's result for people, on stdout."""
    sys.stdout.write(f"{text}\n")


def document(content: Any) -> None:
    """The command's result for programs: the one document on stdout."""
    sys.stdout.write(json.dumps(content, indent=2) + "\n")


def is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def confirm(question: str, *, yes: bool, flags: str = "--yes") -> None:
    """Go on only after a yes; without a terminal to ask at, only with the flag."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused(f"there is no terminal to ask at: repeat the command with {flags} to go on")
    if not agrees(question):
        raise Refused("nothing was changed")


def agrees(question: str) -> bool:
    """What the person at the terminal says."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@cache
def output() -> Any:
    """rich's console for results. Loaded only when a table is drawn."""
    from rich.console import Console

    # Piped, a table keeps its full width: lines that a person would have to piece together are of no use to grep.
    return Console(width=None if sys.stdout.isatty() else 160, highlight=False)
