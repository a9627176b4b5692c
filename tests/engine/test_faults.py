"""Failures and refusals: what is done stays done and recorded, and the message names what failed."""

import errno
import os
import signal
import threading
import time
from pathlib import Path

import pytest

import engine
from engine import EngineError, Refusal, RunFailed, StateError
from tests.engine.conftest import World, ops

THREE = """
a = Paper("a", {a})
b = Paper("b", note=a.address)
c = Paper("c", opts=Opts(parent=b))
free = Paper("free")
pulumi.export("a", a.address)
pulumi.export("free", free.address)
"""


def test_a_failure_spares_what_is_independent_and_the_next_run_goes_on(world: World) -> None:
    with pytest.raises(RunFailed) as caught:
        world.up(THREE.format(a="fail='create'"))
    lines = str(caught.value).splitlines()
    assert lines == [
        "a: create failed: no paper left for a",
        "not attempted, because they depend on what failed: b, c",
    ]
    assert "RuntimeError" in caught.value.failures[0].traceback
    assert sorted(world.calls()) == ["create a", "create free"]
    assert {"a", "b", "c"}.isdisjoint(world.resources())
    assert caught.value.result is not None
    assert caught.value.result.outputs == {"free": "free.paper"}
    result = world.up(THREE.format(a=""))
    assert ops(result) == {"a": "create", "b": "create", "c": "create", "free": "same"}


def test_a_failed_update_keeps_the_old_state_and_the_old_outputs(world: World) -> None:
    world.up(THREE.format(a="size=1"))
    with pytest.raises(RunFailed):
        world.up(THREE.format(a="size=2, fail='update'"))
    found = world.resources()
    assert found["a"].inputs["size"] == 1
    assert found["toy-dev"].outputs == {"a": "a.paper", "free": "free.paper"}
    assert set(found) == {"toy-dev", "default", "a", "b", "c", "free"}


def test_nothing_is_deleted_when_something_failed(world: World) -> None:
    world.up('Paper("old")')
    world.calls()
    with pytest.raises(RunFailed):
        world.up('Paper("new", fail="create")')
    assert world.things() == {"old"}
    assert "old" in world.resources()


def test_a_deletion_that_fails_holds_back_what_it_depends_on(world: World) -> None:
    world.up('a = Paper("a")\nb = Paper("b", note=a.address, fail="delete")\nPaper("c")')
    world.calls()
    with pytest.raises(RunFailed, match=r"(?s)b: delete failed: no paper left.*not attempted.*: a"):
        world.up("")
    assert world.things() == {"a", "b"}
    assert set(world.resources()) >= {"a", "b"}
    assert "c" not in world.resources()


def test_a_program_that_breaks_down_keeps_what_was_made(world: World) -> None:
    with pytest.raises(ValueError, match="oops"):
        world.up('Paper("a")\nraise ValueError("oops")')
    assert "a" in world.resources()
    with pytest.raises(EngineError, match="exit status 3"):
        world.up("raise SystemExit(3)")
    assert world.things() == {"a"}
    assert ops(world.up('Paper("a")')) == {"a": "same"}


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ('aliases=[pulumi.Alias(name="z")]', "aliases"),
        ("deleted_with=first", "deleted_with"),
        ("replace_with=[first]", "replace_with"),
        ('replacement_trigger="x"', "replacement_trigger"),
        ('import_="id"', "import_"),
        ("transforms=[lambda args: None]", "transforms"),
        ('hide_diffs=["size"]', "hide_diffs"),
    ],
)
def test_options_that_are_not_honoured_are_refused_by_name(world: World, option: str, name: str) -> None:
    text = f'first = Paper("first")\nPaper("a", opts=Opts({option}))'
    assert any(
        f"a: the embedded engine does not support the option `{name}`" in p for p in world.preview(text).problems
    )
    with pytest.raises(Refusal, match=f"`{name}`"):
        world.up()
    assert "a" not in world.things()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('pulumi.CustomResource("aws:s3/bucket:Bucket", "a", {}, Opts(id="x"))', r"aws:s3/bucket:Bucket\.get"),
        ('pulumi.runtime.invoke("aws:index:getZones", {})', "aws:index:getZones"),
        ("pulumi.runtime.register_stack_transform(lambda args: None)", "stack transforms"),
        ('Paper("a", opts=Opts(hooks=pulumi.ResourceHookBinding(before_create=[lambda args: None])))', "hook"),
    ],
)
def test_calls_that_are_not_answered_are_refused_by_name(world: World, text: str, what: str) -> None:
    with pytest.raises(Refusal, match=f"{what}.*the embedded engine does not support this"):
        world.up(text)
    assert world.things() == set()


def test_two_resources_of_one_name_are_refused(world: World) -> None:
    assert "two resources of type" in world.preview('Paper("a")\nPaper("a", size=2)').problems[0]
    with pytest.raises(Refusal, match="called `a`"):
        world.up()


def test_runs_in_one_process_do_not_disturb_each_other(world: World) -> None:
    with pytest.raises(RunFailed):
        world.up('Paper("a", fail="create")\npulumi.export("x", 1)')
    with pytest.raises(ZeroDivisionError):
        world.preview("1 / 0")
    folder = Path.cwd()
    result = world.up(
        'import os\npulumi.export("here", os.getcwd())\npulumi.export("dry", pulumi.runtime.is_dry_run())'
    )
    assert result.outputs == {"here": str(world.folder), "dry": False}
    assert Path.cwd() == folder
    assert world.preview('pulumi.export("y", pulumi.get_stack())').outputs == {"y": "dev"}


def test_a_full_disk_ends_the_run_and_loses_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.up('Paper("a")')

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    text = 'Paper("a")\nb = Paper("b")\nPaper("c", note=b.address)'
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StateError, match=r"could not be written to .*state\.json: No space left"):
            world.up(text)
    assert world.things() == {"a", "b"}
    assert list(world.state_path.parent.glob(".*draft")) == []
    assert ops(world.up(text)) == {"a": "same", "b": "create", "c": "create"}


def test_destroy_goes_backwards_and_respects_protection(world: World) -> None:
    world.up('a = Paper("a")\nb = Paper("b", note=a.address, opts=Opts(protect=True))')
    world.calls()
    with pytest.raises(Refusal, match="deleted: b"):
        engine.destroy(None, world.file)
    assert world.calls() == []
    result = engine.destroy(world.program, world.file, unprotect=True)
    assert [step.name for step in result.steps] == ["b", "a", "toy-dev"]
    assert world.calls() == ["delete b", "delete a"]
    assert world.file.load().resources == ()
    assert engine.destroy(None, world.file).steps == ()
    assert ops(world.up('Paper("a")')) == {"a": "create"}


def test_unprotect_changes_the_state_only(world: World) -> None:
    world.up('Paper("a", opts=Opts(protect=True))')
    with pytest.raises(Refusal, match="urn:nothing"):
        engine.unprotect(world.file, ["urn:nothing"])
    engine.unprotect(world.file, [world.resources()["a"].urn])
    assert not world.resources()["a"].protect
    engine.destroy(None, world.file)
    assert world.things() == set()


def test_importing_the_engine_is_light(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = "import sys, engine; print(sorted(m for m in sys.modules if m.split('.')[0].startswith('pulumi')))"
    root = Path(engine.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_interrupt_starts_nothing_more_and_keeps_what_was_under_way(world: World) -> None:
    world.write("for n in range(6):\n    Paper(f'n{n}', slow=0.5)")
    log = world.cloud / "calls.log"

    def interrupt() -> None:
        while not log.exists() or log.read_text().count("create") < 2:
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    watcher = threading.Thread(target=interrupt)
    watcher.start()
    with pytest.raises(KeyboardInterrupt):
        world.up(parallel=2)
    watcher.join()
    assert len(world.things()) == 2
    assert world.things() < set(world.resources())
    assert len(ops(world.up(parallel=6))) == 6
    assert len(world.things()) == 6


def test_providers_of_the_program_itself_work_too(world: World) -> None:
    text = """
    class Own(pulumi.dynamic.ResourceProvider):
        def create(self, props):
            return pulumi.dynamic.CreateResult("id", {"twice": props["size"] * 2})
    class Thing(pulumi.dynamic.Resource):
        twice: Output[int]
        def __init__(self, label, size):
            super().__init__(Own(), label, {"size": size, "twice": None})
    pulumi.export("twice", Thing("a", 2).twice)
    """
    assert world.up(text).outputs == {"twice": 4}
    assert ops(world.up()) == {"a": "same"}
    assert [step.name for step in engine.destroy(None, world.file).steps] == ["a", "toy-dev"]


def test_assets_are_refused(world: World) -> None:
    with pytest.raises(RunFailed, match="a: up failed: assets and archives"):
        world.up('Paper("a", file=pulumi.StringAsset("x"))')
