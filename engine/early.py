"""What a preview knows completely is carried out at once, while the program runs again to ask for it.

To run a program takes the SDK about as long as a small server needs to start, and what a program registers last often
waits for nothing but the SDK. So `up` goes ahead of it with the registrations of its preview that hold no unknown and
need only what is there already; when the program comes to one of them, it gets the answer.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.options import alike, goal
from engine.plan import Plan
from engine.values import has_unknown

if TYPE_CHECKING:
    from engine.monitor import Monitor


@dataclass(frozen=True, kw_only=True)
class Registration:
    request: Any
    needs: set[str]
    brief: bool
    """It makes nothing, so that others may build on it at once: it is there already, or is a component."""


def registrations(plan: Plan) -> dict[str, Registration]:
    """The creations and updates that can begin without the program, and what they need, in that order, by URN."""
    planned = {step.urn: step for step in plan.steps if step.op != "delete"}
    found: dict[str, Registration] = {}
    for urn, request in plan.requests.items():
        step, wanted = planned[urn], goal(request, urn, None, (False, False))
        needs = wanted.needs()
        known = not has_unknown(wanted.inputs) and all(urn in found and found[urn].brief for urn in needs)
        brief = step.op == "same" or not step.custom
        if known and (brief or step.op in ("create", "update")) and (wanted.dynamic or not step.custom):
            found[urn] = Registration(request=request, needs=needs, brief=brief)
    needed: set[str] = set()
    for urn, item in reversed(found.items()):
        if urn in needed or not item.brief:
            needed |= {urn, *item.needs}
    return {urn: item for urn, item in found.items() if urn in needed}


class Early:
    """The registrations that were carried out ahead of the program and that it has not come to yet."""

    def __init__(self, plan: Plan | None, monitor: Monitor) -> None:
        self._open = registrations(plan) if plan else {}
        self._answers: dict[str, Future[Any]] = {}
        self._monitor = monitor
        self._lock = threading.Lock()

    @contextmanager
    def room(self, parallel: int) -> Iterator[None]:
        """Where they are carried out. Ends when all have ended; what the program has not asked for is given back."""
        with ThreadPoolExecutor(parallel, thread_name_prefix="early") as self._pool:
            yield
        self._give_back(list(self._open))

    def start(self) -> None:
        """Carry out all of them: what is brief at once, because it would wait for a slot behind the others."""
        for urn, item in self._open.items():
            if item.brief:
                self._answers[urn] = Future()
                self._answers[urn].set_result(self._monitor.carry_out(item.request, urn))
        for urn, item in self._open.items():
            if not item.brief:
                self._answers[urn] = self._pool.submit(self._monitor.carry_out, item.request, urn)

    def claim(self, request: Any, urn: str) -> Any:
        """The answer to what the program registers; None where that was not carried out early, or is not the same."""
        with self._lock:
            known = self._open.get(urn)
            if known is None:
                return None
            if not alike(known.request, request):
                self._give_back([urn])
                return None
            del self._open[urn]
        return self._answers[urn].result()

    def _give_back(self, urns: Iterable[str]) -> None:
        """Leave these and what builds on them to the program: what was made of them is now part of what is there."""
        back = set(urns)
        for urn, item in self._open.items():
            if not back.isdisjoint(item.needs):
                back.add(urn)
        for urn in back:
            del self._open[urn]
        wait([self._answers[urn] for urn in back if not self._answers[urn].cancel()])
        self._monitor.take_back(back)
