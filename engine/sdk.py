"""Everything the engine uses of the Pulumi SDK's insides, in one file, with a canary test (tests/engine/test_sdk.py).

The SDK talks to an engine through two objects, the monitor and the engine; under the Pulumi CLI they are gRPC stubs,
here they are plain Python objects with the same methods. Written against pulumi 3.272.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dill
from google.protobuf import empty_pb2, struct_pb2
from pulumi.dynamic import Config, ConfigureRequest, ResourceProvider
from pulumi.output import Unknown as SdkUnknown
from pulumi.runtime import config, settings
from pulumi.runtime import resource as registration
from pulumi.runtime._serialization import _deserialize
from pulumi.runtime.proto import engine_pb2, resource_pb2, source_pb2

from engine.errors import EngineError, Refusal
from engine.values import (
    PROVIDER,
    RESOURCE_SIGNATURE,
    SECRET_SIGNATURE,
    SIGNATURE,
    UNKNOWN,
    UNKNOWN_TEXT,
    Properties,
    Secret,
)

EMPTY = empty_pb2.Empty()
dynamic: Any = import_module("pulumi.dynamic.dynamic")
program: Any = import_module("pulumi.runtime.stack")
RegisterRequest = resource_pb2.RegisterResourceRequest
RegisterResponse = resource_pb2.RegisterResourceResponse
FAILED = resource_pb2.Result.FAIL
# How long a failure among outputs that came up meanwhile may stay unheard, in seconds.
EARSHOT = 0.5
SEVERITIES = {engine_pb2.INFO: "info", engine_pb2.WARNING: "warning", engine_pb2.ERROR: "error"}

# What the engine does not do is announced all the same, because the SDK would otherwise answer "The Pulumi CLI does not
# support …, please update"; the monitor refuses it by its own name.
FEATURES = resource_pb2.DeploymentInfo(
    supportedFeatures=[
        number
        for name, number in resource_pb2.ResourceMonitorFeature.items()
        if not name.endswith(("OUTPUT_VALUES", "BYTE_STRING", "INVOKE_DEPENDS_ON"))
    ]
)


def run(
    entry: Callable[[], None],
    *,
    monitor: Any,
    log: Any,
    project: str,
    stack: str,
    folder: Path,
    settings_values: Mapping[str, str],
    secret_keys: frozenset[str],
    dry_run: bool,
    threads: int,
    before: Callable[[], None] = lambda: None,
    on_break: Callable[[], None] | None = None,
) -> None:
    """Run `before`, then `entry` as a Pulumi program against `monitor`.

    Each run has its own context: nothing of it stays behind.
    """

    # The source position of each registration, which only the CLI shows, would take a fifth of the time of a preview.
    traced = registration._get_stack_trace
    registration._get_stack_trace = source_pb2.StackTrace
    # The SDK wraps this method once more with every provider that it serialises, until the recursion limit is reached.
    batch_setitems = pickle._Pickler._batch_setitems  # type: ignore[attr-defined]
    serialize = dynamic._serialize
    dynamic._serialize = _serialised_once(serialize)
    program.asyncio = SimpleNamespace(**{**vars(asyncio), "wait": _wait})

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(threads, thread_name_prefix="register"))
        loop.set_exception_handler(_unheard)
        settings.reset_options()
        settings.configure(
            settings.Settings(
                project=project,
                stack=stack,
                monitor=monitor,
                engine=log,
                parallel=threads,
                dry_run=dry_run,
                organization="organization",
                root_directory=str(folder),
            )
        )
        config.set_all_config(dict(settings_values), sorted(secret_keys))
        try:
            # In here an interrupt waits until nothing is half done, as it does for the program.
            before()
            await program.run_in_stack(entry)
        except BaseException:
            # Told now, not when the threads have come to rest: an interrupted run starts nothing more.
            if on_break is not None:
                on_break()
            raise

    try:
        with _set_aside():
            asyncio.run(main())
    finally:
        registration._get_stack_trace = traced
        dynamic._serialize = serialize
        program.asyncio = asyncio
        pickle._Pickler._batch_setitems = batch_setitems  # type: ignore[attr-defined]


def _unheard(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What failed in a task that nobody waits for. A refusal among it is told by the run already."""
    if not isinstance(context.get("exception"), Refusal):
        loop.default_exception_handler(context)


async def _wait(tasks: Iterable[asyncio.Task[Any]], **_: Any) -> tuple[set[Any], set[Any]]:
    """At its end a program waits for the first of all its outputs, and anew after each: the square of their number, and
    more than half of what a preview of 700 resources takes. The first failure is all that it needs to be told of early.
    """
    return await asyncio.wait(tasks, timeout=EARSHOT, return_when=asyncio.FIRST_EXCEPTION)


@contextmanager
def _set_aside() -> Iterator[None]:
    """Spare the garbage collector what is there already: to go through all of it halts every thread for some 60 ms."""
    if gc.get_freeze_count():
        yield  # somebody did it before, for good
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _serialised_once(serialize: Callable[..., tuple[Any, bool]]) -> Callable[..., tuple[Any, bool]]:
    """Serialise a provider that has no state of its own once a run: a third of what constructing a resource takes.

    Its text is then a reference to its class, so that every instance of the class has the same one.
    """
    known: dict[type, tuple[Any, bool]] = {}

    def serialised(allow_secrets: bool, function: Any, provider: Any) -> tuple[Any, bool]:
        kind = type(provider)
        if vars(provider) or kind.__module__ == "__main__":
            return serialize(allow_secrets, function, provider)
        if kind not in known:
            known[kind] = serialize(allow_secrets, function, provider)
        return known[kind]

    return serialised


def from_struct(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Properties as they came over the wire."""
    return {key: _from_value(value) for key, value in struct.fields.items()}


def _from_value(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        text = value.string_value
        return UNKNOWN if text == UNKNOWN_TEXT else text
    if kind == "struct_value":
        fields = value.struct_value.fields
        if SIGNATURE in fields and fields[SIGNATURE].string_value == SECRET_SIGNATURE:
            return Secret(_from_value(fields["value"]))
        return {key: _from_value(item) for key, item in fields.items()}
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "list_value":
        return [_from_value(item) for item in value.list_value.values]
    return None


def to_struct(properties: Properties) -> struct_pb2.Struct:
    """Properties in the form of the wire."""
    struct = struct_pb2.Struct()
    for key, value in properties.items():
        _fill(struct.fields[key], value)
    return struct


def _fill(target: struct_pb2.Value, value: Any) -> None:
    if isinstance(value, str):
        target.string_value = value
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int | float):
        target.number_value = value
    elif isinstance(value, dict):
        target.struct_value.SetInParent()
        for key, item in value.items():
            _fill(target.struct_value.fields[key], item)
    elif isinstance(value, list):
        target.list_value.SetInParent()
        for item in value:
            _fill(target.list_value.values.add(), item)
    elif isinstance(value, Secret):
        fields = target.struct_value.fields
        fields[SIGNATURE].string_value = SECRET_SIGNATURE
        _fill(fields["value"], value.value)
    elif value is UNKNOWN:
        target.string_value = UNKNOWN_TEXT
    else:
        target.null_value = struct_pb2.NULL_VALUE


def to_provider(value: Any) -> Any:
    """A value as Pulumi hands it to a dynamic provider (pulumi/dynamic/__main__.py).

    That is: no marks of secrets, every number a float (protobuf knows no other), no keys without a value, a resource
    as its id.
    """
    if isinstance(value, str | bool):
        return value
    if isinstance(value, dict):
        if value.get(SIGNATURE) == RESOURCE_SIGNATURE:
            return to_provider(value.get("id", value["urn"])) or SdkUnknown()
        if SIGNATURE in value:
            raise EngineError("assets and archives: the embedded engine does not support these")
        return {key: to_provider(item) for key, item in value.items() if item is not None}
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, list):
        return [to_provider(item) for item in value]
    if isinstance(value, Secret):
        return to_provider(value.value)
    return SdkUnknown() if value is UNKNOWN else None


def from_provider(value: Any, where: str) -> Any:
    """A value that a dynamic provider returned."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, int):
        return value
    if isinstance(value, Mapping):
        return {
            str(key): from_provider(item, f"{where}.{key}" if where else str(key))
            for key, item in value.items()
            if item is not None
        }
    if isinstance(value, list | tuple):
        return [from_provider(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, SdkUnknown):
        return UNKNOWN
    raise TypeError(f"the provider returned `{where}` as {type(value).__name__}, which no state can hold")


def load_provider(properties: Properties, project: str, settings_values: Mapping[str, str]) -> ResourceProvider:
    """The provider that a dynamic resource carries in its inputs and outputs, configured."""
    text = properties[PROVIDER]
    pickled = base64.b64decode(text.value if isinstance(text, Secret) else text)
    # dill is how the SDK stores a dynamic provider; the text comes from this program or from the stack's own state.
    provider: ResourceProvider = _deserialize(lambda: dill.loads(pickled))  # noqa: S301
    provider.configure(ConfigureRequest(config=Config(raw_config=dict(settings_values), project_name=project)))
    return provider
