"""What a wait tells the person at the terminal. One listener for the process; nobody listens until somebody asks to."""

from collections.abc import Callable

OnWait = Callable[[float, str], None]
"""Called now and then during a wait, from any thread: seconds so far, and what is waited for."""

_listener: OnWait | None = None


def listen(listener: OnWait | None) -> None:
    global _listener
    _listener = listener


def report(seconds: float, what: str) -> None:
    if _listener is not None:
        _listener(seconds, what)
