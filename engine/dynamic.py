"""Calls to dynamic providers, with the same values as under the Pulumi CLI (pulumi/dynamic/__main__.py)."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pulumi.dynamic import ResourceProvider

from engine import sdk
from engine.errors import EngineError
from engine.values import PROVIDER, UNKNOWN, Properties, Secret, changed_paths, mark_secrets, parse_path, reset


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What a provider makes of changed inputs."""

    changed: bool
    replace_keys: tuple[str, ...] = ()
    delete_before_replace: bool = False
    keys: tuple[str, ...] = ()
    """The inputs that differ, where the provider left the comparison to the engine."""


class Providers:
    """The dynamic providers of one run; each distinct one is unpickled and configured once."""

    def __init__(self, project: str, settings_values: Mapping[str, str]) -> None:
        self._project = project
        self._settings = settings_values
        self._known: dict[str, ResourceProvider] = {}
        self._lock = threading.Lock()

    def _of(self, properties: Properties) -> ResourceProvider:
        marked = properties.get(PROVIDER)
        text = marked.value if isinstance(marked, Secret) else marked
        if not isinstance(text, str):
            raise EngineError("the resource carries no provider (`__provider`)")
        with self._lock:
            found = self._known.get(text)
            if found is None:
                found = self._known[text] = sdk.load_provider(properties, self._project, self._settings)
        return found

    def _of_new(self, olds: Properties, news: Properties) -> ResourceProvider:
        carried = news.get(PROVIDER)
        unknown = carried is UNKNOWN or (isinstance(carried, Secret) and carried.value is UNKNOWN)
        return self._of(olds if unknown else news)

    def check(self, olds: Properties, news: Properties) -> dict[str, Any]:
        """The inputs as the provider wants them."""
        result = self._of_new(olds, news).check(sdk.to_provider(olds), sdk.to_provider(news))
        if result.failures:
            raise EngineError("; ".join(f"`{fault.property}`: {fault.reason}" for fault in result.failures))
        return self._taken(result.inputs, news)

    def diff(
        self, id_: str, outputs: Properties, olds: Properties, news: Properties, ignored: tuple[str, ...]
    ) -> Difference:
        result = self._of_new(outputs, news).diff(id_, sdk.to_provider(outputs), sdk.to_provider(news))
        changed, keys = result.changes, ()
        if changed is None:
            kept = copy.deepcopy(dict(news)) if ignored else news
            for path in ignored:
                reset(parse_path(path), olds, kept)
            keys = tuple(dict.fromkeys(str(parse_path(path)[0]) for path in changed_paths(olds, kept)))
            changed = bool(keys)
        return Difference(
            changed=changed,
            replace_keys=tuple(result.replaces or ()),
            delete_before_replace=bool(result.delete_before_replace),
            keys=keys,
        )

    def create(self, inputs: Properties) -> tuple[str, dict[str, Any]]:
        result = self._of(inputs).create(sdk.to_provider(inputs))
        if not result.id:
            raise EngineError("the provider returned no id")
        return str(result.id), self._taken(result.outs, inputs)

    def update(self, id_: str, outputs: Properties, inputs: Properties) -> dict[str, Any]:
        result = self._of(inputs).update(id_, sdk.to_provider(outputs), sdk.to_provider(inputs))
        return self._taken(result.outs, inputs)

    def delete(self, id_: str, outputs: Properties) -> None:
        self._of(outputs).delete(id_, sdk.to_provider(outputs))

    @staticmethod
    def _taken(values: Mapping[str, Any] | None, inputs: Properties) -> dict[str, Any]:
        taken = sdk.from_provider({**(values or {}), PROVIDER: None}, "")
        return mark_secrets({**taken, PROVIDER: inputs[PROVIDER]}, inputs)
