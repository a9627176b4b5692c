"""A canary: the inside names of the SDK that the engine leans on. When one of these fails, read engine/sdk.py first."""

import asyncio
import gc
import inspect
import time
from typing import Any

import pytest
from pulumi.dynamic import Config, ConfigureRequest
from pulumi.dynamic import dynamic as dynamic_module
from pulumi.runtime import config, rpc, settings, stack
from pulumi.runtime.proto import resource_pb2

from engine import sdk, values
from tests.engine.conftest import World


def test_constants_of_the_wire() -> None:
    assert rpc._special_sig_key == values.SIGNATURE
    assert rpc._special_secret_sig == values.SECRET_SIGNATURE
    assert rpc._special_resource_sig == values.RESOURCE_SIGNATURE
    assert values.UNKNOWN_TEXT == rpc.UNKNOWN
    assert values.PROVIDER == dynamic_module.PROVIDER_KEY


def test_names_and_signatures() -> None:
    assert inspect.iscoroutinefunction(stack.run_in_stack)
    assert {"project", "stack", "monitor", "engine", "dry_run"} <= set(inspect.signature(settings.Settings).parameters)
    assert callable(settings.reset_options)
    assert callable(config.set_all_config)
    assert set(inspect.signature(Config).parameters) == {"raw_config", "project_name"}
    assert set(inspect.signature(ConfigureRequest).parameters) == {"config"}


def test_fields_of_a_registration_that_decide_something() -> None:
    fields = resource_pb2.RegisterResourceRequest.DESCRIPTOR.fields_by_name
    for name in ("protect", "retainOnDelete", "replacement_trigger"):
        assert fields[name].has_presence
    known = {
        *("type", "name", "parent", "custom", "object", "protect", "dependencies", "provider", "propertyDependencies"),
        *("deleteBeforeReplace", "deleteBeforeReplaceDefined", "ignoreChanges", "additionalSecretOutputs", "aliases"),
        *("importId", "customTimeouts", "replaceOnChanges", "retainOnDelete", "deletedWith", "replace_with", "hooks"),
        *("replacement_trigger", "transforms", "state_migrations", "hideDiffs", "envVarMappings", "remote"),
    }
    # What has no bearing on dynamic resources: versions and plug-ins, where the program stood, what the SDK can take.
    idle = {
        *("version", "pluginDownloadURL", "pluginChecksums", "packageRef", "providers", "aliasURNs", "aliasSpecs"),
        *(
            "acceptSecrets",
            "acceptResources",
            "accepts_byte_string",
            "supportsPartialValues",
            "supportsResultReporting",
        ),
        *("sourcePosition", "stackTrace", "parentStackTraceHandle", "snippetId"),
    }
    assert set(fields) == known | idle, "the SDK has a new field: honour it or refuse it in engine/monitor.py"


def test_what_the_engine_cannot_take_is_not_announced() -> None:
    announced = set(sdk.FEATURES.supportedFeatures)
    assert resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS in announced
    assert resource_pb2.RESOURCE_MONITOR_FEATURE_TRANSFORMS in announced
    assert resource_pb2.RESOURCE_MONITOR_FEATURE_OUTPUT_VALUES not in announced
    assert resource_pb2.RESOURCE_MONITOR_FEATURE_BYTE_STRING not in announced


def test_a_run_leaves_the_pickler_as_it_was(world: World) -> None:
    """The SDK wraps it anew for every provider, which ends in a RecursionError after a thousand of them."""
    import pickle

    before = pickle._Pickler._batch_setitems  # type: ignore[attr-defined]
    world.write("Paper('a')")
    world.up()
    assert pickle._Pickler._batch_setitems is before  # type: ignore[attr-defined]


def test_a_run_keeps_what_was_there_before_from_the_garbage_collector(world: World) -> None:
    text = 'import gc\npulumi.export("aside", gc.get_freeze_count() > 10000)'
    assert world.up(text).outputs == {"aside": True}
    assert gc.get_freeze_count() == 0


def test_the_wait_for_outputs_is_the_one_that_is_replaced(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a program's time grows with the square of its resources again."""
    waited: list[int] = []
    wait = sdk._wait

    def counted(tasks: Any, **words: Any) -> Any:
        assert words == {"return_when": asyncio.FIRST_COMPLETED}
        waited.append(len(tasks))
        return wait(tasks, **words)

    monkeypatch.setattr(sdk, "_wait", counted)
    monkeypatch.setattr(sdk, "EARSHOT", 60.0)
    world.up("things = [Paper(f'n{n}') for n in range(30)]")
    assert max(waited) > 30
    assert len(waited) < 20
    assert vars(stack)["asyncio"] is asyncio


def test_a_failure_among_the_outputs_is_told_while_others_are_waited_for(world: World) -> None:
    world.write("""
    import asyncio
    def late(_):
        raise ValueError("told early")
    async def never(_):
        await asyncio.sleep(30)
    Paper("a").id.apply(never)
    Paper("b", slow=0.3).id.apply(lambda _: Paper("c").id.apply(late))
    """)
    began = time.monotonic()
    with pytest.raises(Exception, match="told early"):
        world.up()
    assert time.monotonic() - began < 10
