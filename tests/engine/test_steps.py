"""What `up` makes of a program: each operation, each option that the engine honours, and the order of it all."""

import pytest

from engine import Refusal, Secret
from tests.engine.conftest import World, ops

TWO = """
a = Paper("a", size=1)
b = Paper("b", size=a.size, note=a.address)
pulumi.export("b", b.address)
"""


def test_creates_in_order_and_then_finds_nothing_to_do(world: World) -> None:
    first = world.up(TWO)
    assert ops(first) == {"a": "create", "b": "create"}
    assert first.outputs == {"b": "b.paper"}
    assert world.calls() == ["create a", "create b"]
    written = world.state_path.read_bytes()
    again = world.up()
    assert ops(again) == {"a": "same", "b": "same"}
    assert again.outputs == first.outputs
    assert world.calls() == []
    assert world.state_path.read_bytes() == written


def test_diff_is_asked_for_every_existing_resource(world: World) -> None:
    world.up(TWO)
    world.calls()
    world.preview()
    assert world.calls("diff") == ["diff a", "diff b"]
    world.up()
    assert world.calls("diff") == ["diff a", "diff b"]


def test_updates_in_place(world: World) -> None:
    world.up(TWO)
    world.calls()
    result = world.up(TWO.replace("size=1", "size=2"))
    assert ops(result) == {"a": "update", "b": "update"}
    assert world.calls() == ["update a", "update b"]
    assert [step.changed for step in result.changes] == [("size",), ("size",)]
    assert world.resources()["b"].inputs["size"] == 2


def test_replaces_by_creating_first_and_deleting_at_the_end(world: World) -> None:
    world.up('a = Paper("a", name="old")\nb = Paper("b", note=a.address)')
    world.calls()
    result = world.up('a = Paper("a", name="new")\nb = Paper("b", note=a.address)')
    assert ops(result) == {"a": "replace", "b": "update"}
    assert next(step for step in result.steps if step.name == "a").replace_keys == ("name",)
    assert world.calls() == ["create new", "update b", "delete old"]
    assert world.things() == {"new", "b"}
    assert world.resources()["a"].id == "new"


@pytest.mark.parametrize("how", ["early=True", "opts=Opts(delete_before_replace=True)"])
def test_deletes_before_replacing_where_asked(world: World, how: str) -> None:
    world.up(f'Paper("a", name="old", {how})')
    world.calls()
    result = world.up(f'Paper("a", name="new", {how})')
    assert ops(result) == {"a": "replace"}
    assert world.calls() == ["delete old", "create new"]


def test_the_option_overrules_the_provider_on_deleting_before_replacing(world: World) -> None:
    world.up('Paper("a", name="old", early=True, opts=Opts(delete_before_replace=False))')
    world.calls()
    world.up('Paper("a", name="new", early=True, opts=Opts(delete_before_replace=False))')
    assert world.calls() == ["create new", "delete old"]


CHAIN = """
a = Paper("a", name="{name}", early=True)
b = Paper("b", near=a.address)
c = Paper("c", note=b.address)
d = Paper("d", opts=Opts(depends_on=[a]))
"""


def test_deleting_before_replacing_takes_along_what_must_be_replaced_with_it(world: World) -> None:
    world.up(CHAIN.format(name="old"))
    world.calls()
    plan = world.preview(CHAIN.format(name="new"))
    assert ops(plan)["a"] == ops(plan)["b"] == "replace"
    result = world.up()
    assert ops(result) == {"a": "replace", "b": "replace", "c": "same", "d": "same"}
    assert world.calls() == ["delete b", "delete old", "create new", "create b"]
    assert ops(world.up()) == dict.fromkeys("abcd", "same")


def test_deletes_what_the_program_no_longer_names_dependents_first(world: World) -> None:
    world.up('a = Paper("a")\nb = Paper("b", note=a.address)\nc = Paper("c", opts=Opts(depends_on=[b]))\nPaper("d")')
    world.calls()
    result = world.up('Paper("d")')
    assert ops(result) == {"d": "same", "a": "delete", "b": "delete", "c": "delete"}
    assert world.calls() == ["delete c", "delete b", "delete a"]
    assert world.things() == {"d"}


def test_components_carry_children_and_outputs(world: World) -> None:
    text = """
    class Box(ComponentResource):
        def __init__(self, label, opts=None):
            super().__init__("toy:Box", label, None, opts)
            self.inner = Paper(f"{label}-inner", opts=Opts(parent=self))
            self.register_outputs({"inner": self.inner.address})
    outer = ComponentResource("toy:Outer", "outer")
    box = Box("box", Opts(parent=outer))
    Paper("after", opts=Opts(depends_on=[box]))
    """
    world.up(text)
    found = world.resources()
    assert (
        found["box-inner"].urn == "urn:pulumi:dev::toy::toy:Outer$toy:Box$pulumi-python:dynamic/paper:Paper::box-inner"
    )
    assert found["box"].outputs == {"inner": "box-inner.paper"}
    assert world.calls() == ["create box-inner", "create after"]
    assert set(ops(world.up()).values()) == {"same"}


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("size", "size=1", "size=2"),
        ("deep.inner", "deep={'inner': 1, 'other': 1}", "deep={'inner': 2, 'other': 1}"),
        ("deep.added", "deep={'other': 1}", "deep={'added': 2, 'other': 1}"),
        ("items[1]", "items=[1, 2]", "items=[1, 3]"),
        ("items[*].x", "items=[{'x': 1}, {'x': 2}]", "items=[{'x': 5}, {'x': 6}]"),
        ('deep["a.b"]', "deep={'a.b': 1}", "deep={'a.b': 2}"),
        ("secret.x", "secret=Output.secret({'x': 1})", "secret=Output.secret({'x': 2})"),
        ("gone", "gone=1", "**{}"),
    ],
)
@pytest.mark.parametrize("kind", ["Paper", "Lazy"])
def test_ignored_changes_change_nothing(world: World, kind: str, path: str, before: str, after: str) -> None:
    text = f'{kind}("a", {{}}, opts=Opts(ignore_changes=[{path!r}]))'.replace(", {}", ", %s")
    world.up(text % before)
    assert ops(world.up(text % after)) == {"a": "same"}
    assert ops(world.preview((text % after).replace(repr(path), "'unrelated'"))) == {"a": "update"}


def test_an_ignored_value_stays_when_something_else_changes(world: World) -> None:
    world.up('Paper("a", size=1, note="x", opts=Opts(ignore_changes=["size"]))')
    assert ops(world.up('Paper("a", size=2, note="y", opts=Opts(ignore_changes=["size"]))')) == {"a": "update"}
    assert world.resources()["a"].inputs["size"] == 1


def test_protected_resources_are_neither_deleted_nor_replaced_and_nothing_else_is_touched(world: World) -> None:
    world.up(
        'Paper("a", opts=Opts(protect=True))\nPaper("b", name="x", opts=Opts(protect=True))\nPaper("c", name="c1")'
    )
    world.calls()
    text = 'Paper("b", name="y", opts=Opts(protect=True))\nPaper("c", name="c2")'
    plan = world.preview(text)
    assert len(plan.problems) == 2
    with pytest.raises(Refusal) as caught:
        world.up()
    assert "replaced: b" in str(caught.value)
    assert "deleted: a" in str(caught.value)
    assert world.calls() == []
    assert world.things() == {"a", "x", "c1"}


def test_protection_that_the_program_takes_off_is_gone_with_the_next_run(world: World) -> None:
    world.up('Paper("a", opts=Opts(protect=True))')
    assert ops(world.up('Paper("a")')) == {"a": "same"}
    assert not world.resources()["a"].protect
    assert ops(world.up("")) == {"a": "delete"}


def test_a_dependent_that_is_protected_stops_a_deletion_before_replacement(world: World) -> None:
    text = CHAIN.replace("near=a.address", "near=a.address, opts=Opts(protect=True)")
    world.up(text.format(name="old"))
    world.calls()
    with pytest.raises(Refusal, match=r"replaced, because a is replaced: b"):
        world.up(text.format(name="new"))
    assert world.calls() == []


def test_retained_resources_leave_the_state_only(world: World) -> None:
    world.up('Paper("a", opts=Opts(retain_on_delete=True))\nPaper("b", name="old", opts=Opts(retain_on_delete=True))')
    world.calls()
    result = world.up('Paper("b", name="new", opts=Opts(retain_on_delete=True))')
    assert ops(result)["a"] == "delete"
    assert world.calls() == ["create new"]
    assert world.things() == {"a", "old", "new"}
    assert "a" not in world.resources()


def test_options_are_inherited_as_under_the_cli(world: World) -> None:
    text = """
    box = ComponentResource("toy:Box", "box", None, Opts(protect=True, retain_on_delete=True))
    Paper("a", opts=Opts(parent=box))
    Paper("b", opts=Opts(parent=box, protect=False, retain_on_delete=False))
    """
    world.up(text)
    found = world.resources()
    assert (found["a"].protect, found["a"].retain_on_delete) == (True, True)
    assert (found["b"].protect, found["b"].retain_on_delete) == (False, False)


def test_replace_on_changes_needs_the_engines_own_comparison(world: World) -> None:
    world.up('Lazy("a", size=1, opts=Opts(replace_on_changes=["size"], delete_before_replace=True))')
    result = world.up('Lazy("a", size=2, opts=Opts(replace_on_changes=["size"], delete_before_replace=True))')
    assert ops(result) == {"a": "replace"}


def test_secrets_keep_their_mark(world: World) -> None:
    result = world.up("""
    a = Paper("a", word=Output.secret("hush"), opts=Opts(additional_secret_outputs=["address"]))
    pulumi.export("address", a.address)
    """)
    found = world.resources()["a"]
    assert found.inputs["word"] == Secret("hush")
    assert found.outputs["word"] == Secret("hush")
    assert found.outputs["address"] == Secret("a.paper")
    assert result.outputs == {"address": Secret("a.paper")}
    assert "a.paper" not in repr(result.outputs)


def test_independent_resources_are_made_at_the_same_time_within_the_limit(world: World) -> None:
    world.up("for n in range(6):\n    Paper(f'n{n}', slow=0.1)", parallel=3)
    busy = [int(line.split()[1]) for line in world.calls("busy")]
    assert max(busy) == 3


def test_programs_see_their_settings(world: World) -> None:
    world.config = {"toy:word": "hush", "toy:size": "3"}
    world.secret_keys = frozenset({"toy:word"})
    text = """
    config = pulumi.Config()
    Paper("a", size=config.require_int("size"), word=config.require_secret("word"))
    """
    world.up(text)
    assert world.resources()["a"].inputs["word"] == Secret("hush")
    assert world.resources()["default"].inputs == {"toy:size": "3", "toy:word": Secret("hush")}
    world.config = {"toy:word": "hush", "toy:size": "4"}
    assert ops(world.up()) == {"a": "update"}
