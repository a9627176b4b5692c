"""The state while a run goes on."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import replace

from engine.errors import EngineError
from engine.state import Resource, State, StateFile


class Journal:
    """The state while a run goes on: what the run has settled, then what it has not come to yet, in the old order.

    That order is valid at every moment, because what is settled refers only to what was settled before.
    """

    def __init__(self, state: State, file: StateFile | None) -> None:
        self._file = file
        self._salt = state.salt
        self._settled: dict[str, Resource] = {}
        self._rest = list(state.resources)
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._version = self._written = 0

    def state(self) -> State:
        with self._lock:
            return State(resources=(*self._settled.values(), *self._rest), salt=self._salt)

    def unsettled(self) -> list[Resource]:
        with self._lock:
            return list(self._rest)

    def settle(self, new: Resource, old: Resource | None = None, *, keep_old: bool = False) -> None:
        """Record `new` in place of `old`; with `keep_old` the old copy stays until it is deleted at the end."""
        changed = new != old
        with self._lock:
            # An equal resource stays the same object, so that its secrets are not encrypted anew.
            self._settled[new.urn] = new if changed or old is None else old
            if old is not None and keep_old:
                self._rest[_index(self._rest, old)] = replace(old, delete=True)
            elif old is not None:
                del self._rest[_index(self._rest, old)]
        self._commit(changed)

    def amend(self, old: Resource, new: Resource) -> None:
        """Put `new` where `old` stands."""
        with self._lock:
            if self._settled.get(old.urn) is old:
                self._settled[old.urn] = new
            else:
                self._rest[_index(self._rest, old)] = new
        self._commit(new != old)

    def drop(self, gone: Resource) -> None:
        with self._lock:
            if self._settled.get(gone.urn) is gone:
                del self._settled[gone.urn]
            else:
                del self._rest[_index(self._rest, gone)]
        self._commit(True)

    def reopen(self, urns: Collection[str]) -> list[Resource]:
        """Put what was settled under these URNs, and all that needs it, back to what the run has not come to yet."""
        with self._lock:
            back = [self._settled.pop(urn) for urn in list(self._settled) if urn in urns]
            self._rest[:0] = back
        return back

    def settled(self, urn: str) -> Resource | None:
        return self._settled.get(urn)

    def _commit(self, changed: bool) -> None:
        if self._file is None or not changed:
            return
        with self._lock:
            self._version += 1
            mine = self._version
        with self._writing:
            # Steps that end together share one write: whoever comes first writes for all.
            if self._written >= mine:
                return
            with self._lock:
                upto = self._version
            self._file.save(self.state())
            self._written = upto


def _index(resources: list[Resource], wanted: Resource) -> int:
    for index, resource in enumerate(resources):
        if resource is wanted:
            return index
    raise EngineError(f"{wanted.urn} is not in the state")
