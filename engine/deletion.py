"""The order of deletions: what depends on a resource goes before it; what is independent goes at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from engine.state import Resource


def dependents_of(root: Resource, resources: Sequence[Resource]) -> list[Resource]:
    """Everything that needs `root`, directly or not, each after what it needs."""
    reached, found = {root.urn}, []
    for item in resources:
        if item is not root and not reached.isdisjoint(item.needs()):
            reached.add(item.urn)
            found.append(item)
    return found


def delete_all(doomed: Sequence[Resource], delete: Callable[[Resource], bool], parallel: int) -> list[Resource]:
    """Call `delete` on each, dependents first; returns those left alone because a dependent is still there."""
    needs = [item.needs() for item in doomed]
    waits = [{other for other in range(len(doomed)) if doomed[item].urn in needs[other]} for item in range(len(doomed))]
    gone: set[int] = set()
    running: dict[Future[bool], int] = {}
    left = set(range(len(doomed)))
    with ThreadPoolExecutor(parallel, thread_name_prefix="delete") as pool:
        while True:
            ready = [item for item in sorted(left, reverse=True) if waits[item] <= gone]
            left.difference_update(ready)
            running.update((pool.submit(delete, doomed[item]), item) for item in ready)
            if not running:
                return [doomed[item] for item in sorted(left)]
            try:
                done, _ = wait(running, return_when=FIRST_COMPLETED)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
            gone.update(item for future in done if (item := running.pop(future), future.result())[1])
