"""What a preview knows, what it does not, and that it leaves everything as it is."""

import pytest

from engine import UNKNOWN, RunFailed
from tests.engine.conftest import World, ops

CHAIN = """
a = Paper("a", size={size})
b = Paper("b", note=a.address, size=a.size)
pulumi.export("note", b.note if hasattr(b, "note") else b.address)
pulumi.export("fixed", 1)
"""


def test_creates_nothing_and_writes_nothing(world: World) -> None:
    plan = world.preview(CHAIN.format(size=1))
    assert ops(plan) == {"a": "create", "b": "create"}
    assert plan.outputs == {"note": UNKNOWN, "fixed": 1}
    assert world.calls() == []
    assert not world.state_path.exists()
    assert len(plan.changes) == 3


def test_what_does_not_change_keeps_its_outputs(world: World) -> None:
    world.up(CHAIN.format(size=1))
    before = world.state_path.read_bytes()
    plan = world.preview()
    assert plan.changes == ()
    assert UNKNOWN not in plan.outputs.values()
    assert world.state_path.read_bytes() == before


def test_outputs_of_an_update_are_unknown_unless_they_are_inputs(world: World) -> None:
    world.up(CHAIN.format(size=1))
    world.calls()
    plan = world.preview(CHAIN.format(size=2))
    assert ops(plan) == {"a": "update", "b": "update"}
    changed = {step.name: step.changed for step in plan.changes}
    assert changed == {"a": ("size",), "b": ("size", "note")} or changed["b"] == ("note", "size")
    assert plan.outputs["note"] is UNKNOWN
    assert world.calls() == []


def test_deletions_and_replacements_are_planned(world: World) -> None:
    world.up('Paper("a", name="old")\nb = Paper("b")\nPaper("c", note=b.address)')
    world.calls()
    plan = world.preview('Paper("a", name="new")')
    assert [(step.name, step.op) for step in plan.changes] == [("a", "replace"), ("c", "delete"), ("b", "delete")]
    assert world.calls() == []
    assert world.things() == {"old", "b", "c"}


def test_what_a_provider_refuses_fails_the_preview_by_name(world: World) -> None:
    with pytest.raises(RunFailed) as caught:
        world.preview('Paper("a", size=-1)')
    assert str(caught.value) == "a: preview failed: `size`: must not be negative"


CLOUD = """
class Bucket(pulumi.CustomResource):
    arn: pulumi.Output[str]
    def __init__(self, label, opts=None, **props):
        super().__init__("aws:s3/bucket:Bucket", label, {"arn": None, **props}, opts)
bucket = Bucket("bucket", size=1)
pulumi.export("arn", bucket.arn)
"""


def test_resources_of_a_cloud_are_previewed_but_not_built(world: World) -> None:
    plan = world.preview(CLOUD)
    assert ops(plan) == {"bucket": "create"}
    assert plan.outputs == {"arn": UNKNOWN}
    with pytest.raises(Exception, match="only the Pulumi CLI can build this"):
        world.up()


def test_explicit_providers_and_renames_of_cloud_resources_are_previewed(world: World) -> None:
    plan = world.preview("""
    class Aws(pulumi.ProviderResource):
        def __init__(self):
            super().__init__("aws", "main", {"region": "eu-central-1"})
    aws = Aws()
    was = [pulumi.Alias(name="x")]
    pulumi.CustomResource("aws:s3/bucket:Bucket", "b", {"size": 1}, Opts(provider=aws, aliases=was))
    """)
    assert ops(plan) == {"main": "create", "b": "create"}


def test_messages_reach_the_caller(world: World) -> None:
    world.preview('pulumi.log.info("one")\npulumi.log.warn("two", resource=Paper("a"))')
    assert [(event.kind, event.message) for event in world.events] == [("info", "one"), ("warning", "two")]
    assert world.events[1].urn.endswith("::a")
