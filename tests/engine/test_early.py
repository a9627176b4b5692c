"""What a preview knows completely is carried out ahead of the program, and nothing else differs because of that."""

import shutil
import signal
import threading
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

import engine
from engine import Refusal, Result, RunFailed, sdk
from engine.options import alike
from tests.engine.conftest import World, ops

# A protected resource is what makes `up` preview by itself.
KEEP = """
import os, time, pathlib
dry = pulumi.runtime.is_dry_run()
def calls():
    log = pathlib.Path(os.environ["PAPER_CLOUD"]) / "calls.log"
    return log.read_text().splitlines() if log.exists() else []
def has_begun(call):
    deadline = time.monotonic() + 10
    while not dry and call not in calls():
        if time.monotonic() > deadline:
            raise TimeoutError(call)
        time.sleep(0.01)
keep = Paper("keep", opts=Opts(protect=True))
"""


@pytest.fixture
def kept(world: World) -> World:
    world.up(KEEP)
    world.calls()
    world.events.clear()
    return world


def out_of_order(world: World) -> set[str]:
    """What stands in the state before something that it needs."""
    before: set[str] = set()
    wrong: set[str] = set()
    for item in world.file.load().resources:
        if not item.needs() <= before:
            wrong.add(item.name)
        before.add(item.urn)
    return wrong


@pytest.mark.parametrize(
    ("before", "after", "call"),
    [
        ("", 'a = Paper("a", note=keep.address)', "create a"),
        ('a = Paper("a", size=1)', 'a = Paper("a", size=2)', "update a"),
        ("", 'box = ComponentResource("toy:Box", "box")\na = Paper("a", opts=Opts(parent=box))', "create a"),
    ],
)
def test_what_is_known_begins_before_the_program_asks_for_it(kept: World, before: str, after: str, call: str) -> None:
    kept.up(KEEP + before)
    kept.calls()
    result = kept.up(f"{KEEP}has_begun({call!r})\n{after}\npulumi.export('a', a.address)")
    assert ops(result)["a"] == call.split()[0]
    assert result.outputs == {"a": "a.paper"}
    assert kept.calls() == [call]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", 'a = Paper("a", note=new.address)'),
        ("", 'a = Paper("a", opts=Opts(depends_on=[new]))'),
        ("", 'a = Paper("a", opts=Opts(parent=new))'),
        ('a = Paper("a", name="old")', 'a = Paper("a")'),
    ],
)
def test_what_waits_for_something_or_replaces_is_left_to_the_program(kept: World, before: str, after: str) -> None:
    kept.up(KEEP + before)
    kept.calls()
    look = "if not dry:\n    time.sleep(0.2)\n    assert 'create a' not in calls()"
    kept.up(f"{KEEP}new = Paper('new')\nhas_begun('create new')\n{look}\n{after}")
    assert kept.calls("create") == ["create new", "create a"]


BEFORE = """
box = ComponentResource("toy:Box", "box")
a = Paper("a", size=1, note="x", opts=Opts(parent=box, ignore_changes=["note"]))
b = Paper("b", note=a.address, word=Output.secret("hush"))
c = Paper("c", name="c1", early=True)
d = Paper("d", near=c.address)
e = Paper("e", note=d.address)
pulumi.export("b", b.address)
"""
AFTER = """
box = ComponentResource("toy:Box", "box")
a = Paper("a", size=2, note="y", opts=Opts(parent=box, ignore_changes=["note"]))
b = Paper("b", note=a.address, word=Output.secret("hush"))
c = Paper("c", name="c2", early=True)
d = Paper("d", near=c.address)
new = ComponentResource("toy:Box", "new", None, Opts(parent=box))
f = Paper("f", word=Output.secret("hush"), opts=Opts(parent=new, depends_on=[keep]))
g = Paper("g", opts=Opts(depends_on=[f, box]))
h = Paper("h", note=f.address, opts=Opts(protect=True))
new.register_outputs({"f": f.address})
pulumi.export("b", b.address)
pulumi.export("h", h.address)
"""


def test_results_events_and_state_are_those_of_a_run_without(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.up(KEEP + BEFORE)
    saved = world.state_path.read_bytes()
    shutil.copytree(world.cloud, world.folder.with_name("saved"))

    def outcome() -> tuple[Any, ...]:
        world.calls()
        world.events.clear()
        result = world.up(KEEP + AFTER)
        assert out_of_order(world) == set()
        events = Counter((event.kind, event.urn) for event in world.events)
        state = {item.urn: replace(item, created="", modified="") for item in world.file.load().resources}
        calls = sorted(world.calls("create", "update", "delete", "diff"))
        return Counter(result.steps), result.outputs, events, state, calls, world.things()

    with_early = outcome()
    assert set(with_early[2].values()) == {1}
    world.state_path.write_bytes(saved)
    shutil.rmtree(world.cloud)
    shutil.copytree(world.folder.with_name("saved"), world.cloud)
    monkeypatch.setattr("engine.early.registrations", lambda plan: {})
    for one, other in zip(with_early, outcome(), strict=True):
        assert one == other
    assert set(ops(world.up()).values()) == {"same"}


def test_a_program_that_then_asks_for_other_inputs_gets_those(kept: World) -> None:
    text = KEEP + 'a = Paper("a", size=1 if dry else 2)\nb = Paper("b", note=a.address)\npulumi.export("size", a.size)'
    result = kept.up(text)
    assert result.outputs == {"size": 2}
    assert kept.calls() == ["create a", "update a", "create b"]
    assert [step.op for step in result.steps if step.name == "a"] == ["create", "update"]
    assert kept.resources()["a"].inputs["size"] == 2
    assert out_of_order(kept) == set()


def test_what_builds_on_something_that_turns_out_otherwise_is_looked_at_anew(world: World) -> None:
    text = KEEP + 'a = Paper("a", name={name}, early=True)\nb = Paper("b", near=a.address)\nc = Paper("c")'
    world.up(text.format(name='"old"'))
    world.calls()
    result = world.up(text.format(name='"old" if dry else "new"') + '\nd = Paper("d", opts=Opts(depends_on=[b, c]))')
    assert world.calls() == ["create d", "delete b", "delete old", "create new", "create b"]
    done = [(step.name, step.op) for step in result.steps if step.name in "abcd"]
    assert Counter(done) == Counter(
        [("a", "replace"), ("b", "replace"), ("c", "same"), ("d", "create"), ("d", "same")],
    )
    assert world.things() == {"keep", "new", "b", "c", "d"}
    assert out_of_order(world) == set()


def test_a_dependency_that_only_the_second_run_has_stands_before_in_the_state(world: World) -> None:
    world.up(KEEP + 'a = Paper("a")\nb = Paper("b", note=a.address)')
    text = 'new = Paper("new", slow=0.2)\na = Paper("a", opts=Opts(depends_on=[] if dry else [new]))\n'
    result = world.up(KEEP + text + 'b = Paper("b", note=a.address)\nc = Paper("c", note=b.address)')
    assert ops(result) == {"keep": "same", "new": "create", "a": "same", "b": "same", "c": "same"}
    assert [step.op for step in result.steps if step.name == "c"] == ["create", "same"]
    assert out_of_order(world) == set()


def test_what_only_the_preview_registers_does_not_stay(world: World) -> None:
    world.up(KEEP + 'Paper("old")')
    world.calls()
    result = world.up(KEEP + 'if dry:\n    old = Paper("old")\n    Paper("new", note=old.address)')
    done = [(step.name, step.op) for step in result.changes]
    assert done == [("new", "create"), ("new", "delete"), ("old", "delete")]
    assert {step.name for step in result.steps if step.op == "same"} == {"toy-dev", "keep"}
    assert world.things() == {"keep"}
    assert set(world.resources()) == {"toy-dev", "default", "keep"}


def test_what_is_protected_stays_though_only_the_preview_registers_it(kept: World) -> None:
    with pytest.raises(Refusal, match="would be deleted: keep"):
        kept.up(KEEP.replace("keep =", "if dry: keep =") + 'if dry: Paper("new", note=keep.address)')
    assert kept.things() == {"keep", "new"}
    assert "keep" in kept.resources()


def test_a_name_that_is_used_twice_is_still_refused(kept: World) -> None:
    with pytest.raises(Refusal, match="called `a`"):
        kept.up(KEEP + 'Paper("a")\nif not dry:\n    Paper("a")')


def test_a_failure_is_told_once_and_spares_what_is_independent(kept: World) -> None:
    text = KEEP + 'a = Paper("a", {fail})\nb = Paper("b", note=a.address)\nc = Paper("c", opts=Opts(depends_on=[b]))'
    text += '\nfree = Paper("free", slow=0.2)\npulumi.export("free", free.address)'
    with pytest.raises(RunFailed) as caught:
        kept.up(text.format(fail="fail='create'"))
    assert str(caught.value).splitlines() == [
        "a: create failed: no paper left for a",
        "not attempted, because they depend on what failed: b, c",
    ]
    assert [event.urn.rsplit("::")[-1] for event in kept.events if event.kind == "failed"] == ["a"]
    assert caught.value.result is not None
    assert caught.value.result.outputs == {"free": "free.paper"}
    assert ops(kept.up(text.format(fail=""))) == {
        "keep": "same",
        "a": "create",
        "b": "create",
        "c": "create",
        "free": "same",
    }


def test_a_program_that_breaks_down_keeps_what_was_under_way(kept: World) -> None:
    with pytest.raises(ValueError, match="oops"):
        kept.up(KEEP + 'Paper("a", slow=0.3)\nhas_begun("create a")\nif not dry: raise ValueError("oops")')
    assert set(kept.resources()) == {"toy-dev", "default", "keep", "a"}
    assert ops(kept.up(KEEP + 'Paper("a")')) == {"keep": "same", "a": "same"}


def test_an_interrupt_starts_nothing_more_and_keeps_what_was_under_way(kept: World) -> None:
    # The program itself comes to none of them before the interrupt.
    text = (
        KEEP + "has_begun('create n1')\nif not dry: time.sleep(0.1)\nfor n in range(6):\n    Paper(f'n{n}', slow=0.5)"
    )
    kept.write(text)
    log = kept.cloud / "calls.log"

    def interrupt() -> None:
        while not log.exists() or log.read_text().count("create") < 2:
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    watcher = threading.Thread(target=interrupt)
    watcher.start()
    with pytest.raises(KeyboardInterrupt):
        kept.up(parallel=2)
    watcher.join()
    made = kept.things() - {"keep"}
    assert len(made) == 2
    assert set(kept.resources()) == {"toy-dev", "default", "keep", *made}
    assert Counter(ops(kept.up(parallel=6)).values()) == {"same": 3, "create": 4}


def test_what_protection_forbids_is_refused_before_anything_is_done(kept: World) -> None:
    with pytest.raises(Refusal, match="deleted: keep"):
        kept.up('Paper("a")')
    assert kept.calls() == []
    assert kept.events == []


def test_the_limit_holds_for_both_together(kept: World) -> None:
    text = KEEP + "has_begun('create n0')\nfor n in range(4):\n    Paper(f'n{n}', slow=0.1)\n"
    kept.up(text + "for n in range(4):\n    Paper(f'm{n}', slow=0.1, size=1 if dry else 2)", parallel=3)
    assert max(int(line.split()[1]) for line in kept.calls("busy")) == 3


def runs(world: World, text: str, **more: Any) -> tuple[Result, int]:
    """The outcome of `up`, and how often it ran the program."""
    tally = world.cloud / "tally"
    tally.write_text("")
    result = world.up(text, **more)
    return result, len(tally.read_text())


def test_a_reviewed_plan_counts_only_for_the_same_program_and_state(world: World) -> None:
    text = KEEP + 'with (pathlib.Path(os.environ["PAPER_CLOUD"]) / "tally").open("a") as f:\n    f.write("x")\n'
    text += "has_begun('create a')\nPaper('a')\n"
    plan = world.preview(text)
    result, times = runs(world, text, reviewed=plan)
    assert times == 1
    assert ops(result) == ops(plan) == {"keep": "create", "a": "create"}
    assert runs(world, text, reviewed=plan)[1] == 2  # the state is another
    plan = world.preview(text)
    assert runs(world, text, reviewed=plan)[1] == 1
    world.config = {"toy:size": "1"}
    assert runs(world, text, reviewed=plan)[1] == 2  # the settings are others
    with pytest.raises(Refusal):
        world.up("", reviewed=world.preview(""))


def test_only_the_order_of_dependencies_makes_no_difference() -> None:
    def request(*names: str, **more: Any) -> Any:
        made = sdk.RegisterRequest(name="a", type="t", dependencies=names, **more)
        made.propertyDependencies["x"].urns.extend(names)
        return made

    assert alike(request("b", "c"), request("c", "b"))
    assert alike(request("b", parentStackTraceHandle="1"), request("b", parentStackTraceHandle="2"))
    assert not alike(request("b", "c"), request("b"))
    assert not alike(request("b"), request("b", protect=False))
    assert not alike(request("b"), request("b", object=sdk.to_struct({"x": engine.Secret("y")})))
