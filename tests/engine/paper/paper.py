"""Dynamic resources whose cloud is a folder: each thing is a file, each call of the provider a line in a log.

The folder is named by PAPER_CLOUD. PAPER_KILL=N kills the process at its Nth moment of danger: there is one before and
one after each effect, and the one after lies before the engine can have written its state.
"""

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)

_lock = threading.Lock()
_moments: dict[int, int] = {}  # by process: a forked child starts counting anew
_busy = 0


def cloud() -> Path:
    return Path(os.environ["PAPER_CLOUD"])


def note(line: str) -> None:
    with _lock, (cloud() / "calls.log").open("a") as log:
        log.write(line + "\n")


def danger() -> None:
    me = os.getpid()
    with _lock:
        _moments[me] = _moments.get(me, 0) + 1
        if os.environ.get("PAPER_KILL") == str(_moments[me]):
            os.kill(me, signal.SIGKILL)


class PaperProvider(ResourceProvider):
    """`name` and `near` force a replacement; `early`: delete before replacing; `fail` names the call that fails."""

    def _act(self, call: str, props: dict[str, Any]) -> None:
        global _busy
        note(f"{call} {props['name']}")
        if props.get("fail") == call:
            raise RuntimeError(f"no paper left for {props['name']}")
        with _lock:
            _busy += 1
            busy = _busy
        if props.get("slow"):
            note(f"busy {busy}")
            time.sleep(props["slow"])
        with _lock:
            _busy -= 1
        danger()

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        faults = [CheckFailure("size", "must not be negative")] if news.get("size") == -1 else []
        return CheckResult(news, faults)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        note(f"diff {_olds['name']}")
        keys = sorted({*_olds, *_news} - {"__provider", "address", "fail", "slow"})
        changed = [key for key in keys if _olds.get(key) != _news.get(key)]
        replaces = [key for key in changed if key in ("name", "near")]
        early = bool(_news.get("early"))
        return DiffResult(changes=bool(changed), replaces=replaces, delete_before_replace=early)

    def create(self, props: dict[str, Any]) -> CreateResult:
        self._act("create", props)
        file = cloud() / f"{props['name']}.json"
        known = {key: value for key, value in props.items() if key != "__provider"}
        # A file that is there already was made by a run that could not write it down: it is adopted.
        file.write_text(json.dumps(known))
        danger()
        return CreateResult(str(props["name"]), {**known, "address": f"{props['name']}.paper"})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        self._act("update", _news)
        known = {key: value for key, value in _news.items() if key != "__provider"}
        (cloud() / f"{_id}.json").write_text(json.dumps(known))
        danger()
        return UpdateResult({**known, "address": f"{_id}.paper"})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        self._act("delete", _props)
        (cloud() / f"{_id}.json").unlink(missing_ok=True)
        danger()


class Paper(Resource, module="paper", name="Paper"):
    address: pulumi.Output[str]
    name: pulumi.Output[str]
    size: pulumi.Output[int]

    def __init__(self, label: str, opts: pulumi.ResourceOptions | None = None, **props: Any) -> None:
        super().__init__(PaperProvider(), label, {"name": label, "address": None, **props}, opts)


class LazyProvider(PaperProvider):
    """Leaves the comparison of inputs to the engine."""

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        return DiffResult()


class Lazy(Resource, module="paper", name="Lazy"):
    address: pulumi.Output[str]

    def __init__(self, label: str, opts: pulumi.ResourceOptions | None = None, **props: Any) -> None:
        super().__init__(LazyProvider(), label, {"name": label, "address": None, **props}, opts)
