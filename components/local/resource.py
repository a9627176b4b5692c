"""The dynamic resource that every real thing on this machine is, whichever kind.

Providers are classes of importable modules without state of their own, so that their serialised form (a pickle by
reference) is the same in every process and on every machine.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult
from pulumi.runtime import rpc

from components.local.servers import paths
from components.local.servers.addresses import Addresses, Endpoint

Props = dict[str, Any]


class RealProvider(ResourceProvider, ABC):
    """Create, diff, update and delete of something real, by one idempotent `ensure`.

    `ensure` adopts what is already there, so a run that was killed between doing and recording can be repeated.
    """

    serialize_as_secret_always = False  # a pickle by reference holds no secret

    # What a resource is, as opposed to how it is set: another value means another resource.
    identity: ClassVar[tuple[str, ...]] = ("stack",)

    # Inputs that only the creation looks at.
    at_creation: ClassVar[tuple[str, ...]] = ()

    # Outputs that have to be named among the inputs for the SDK to hand them back.
    computed: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def ensure(self, props: Props) -> Props:
        """Make it so, and return the outputs beyond the inputs."""

    @abstractmethod
    def is_in_place(self, props: Props) -> bool:
        """Whether it exists and runs as recorded. Reads only: a preview calls it."""

    @abstractmethod
    def remove(self, props: Props) -> None:
        """Take it away with everything that belongs to it; nothing to do is no fault."""

    def identify(self, props: Props) -> str:
        return "/".join(str(props[key]) for key in self.identity[1:]) or str(props["stack"])

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        keys = dict.fromkeys((*_olds, *_news))  # an input that was set to None is left out, not null
        inputs = [key for key in keys if not key.startswith("__") and key not in self.computed]
        changed = [key for key in inputs if key not in self.at_creation and _olds.get(key) != _news.get(key)]
        replaces = [key for key in changed if key in self.identity]
        known = not any(value == rpc.UNKNOWN for value in _news.values())
        # A server that should run and does not is a change too: that is how `up`, under either engine, starts it.
        changes = bool(changed) or (known and not self.is_in_place(_news))
        return DiffResult(changes=changes, replaces=replaces, delete_before_replace=True)

    def create(self, props: Props) -> CreateResult:
        outputs = self.ensure(props)
        return CreateResult(outputs.pop("id", None) or self.identify(props), {**props, **outputs})

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        outputs = self.ensure(_news)
        outputs.pop("id", None)
        return UpdateResult({**_news, **outputs})

    def delete(self, _id: str, _props: Props) -> None:
        self.remove(_props)


class Real(Resource):
    """A dynamic resource of this target. Subclasses name their kind and their provider."""

    provider: ClassVar[type[RealProvider]]

    def __init__(self, name: str, props: Props, opts: pulumi.ResourceOptions) -> None:
        super().__init__(self.provider(), name, {**props}, opts)  # the SDK writes into what it is given


def stack_folder(props: Props) -> Path:
    return paths.stack_folder(str(props["stack"]))


def endpoint(ground: pulumi.Input[str], pick: Callable[[Addresses], Endpoint]) -> pulumi.Output[str]:
    """An address of the stack's block, as "host:port"."""
    return pulumi.Output.from_input(ground).apply(lambda block: str(pick(Addresses(block))))
