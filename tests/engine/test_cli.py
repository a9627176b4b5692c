"""The Pulumi CLI and the embedded engine on the same stack: the same state field by field, handed over both ways."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import engine
from engine import State
from engine.values import Secret
from tests.engine.conftest import PAPER, PASSPHRASE, World, ops

pytestmark = [
    pytest.mark.cli,
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="the Pulumi CLI is not on PATH"),
]

PROGRAM = """
class Box(ComponentResource):
    def __init__(self, label, opts=None):
        super().__init__("toy:Box", label, {{"word": "x"}}, opts)
        opts = Opts(parent=self, ignore_changes=["note"])
        self.inner = Paper(f"{{label}}-inner", opts=opts, word=Output.secret("hush"))
        self.register_outputs({{"inner": self.inner.address}})
box = Box("box", Opts(protect=True))
deep = {{"list": [1, 2.5, {{"s": Output.secret("hush")}}], "none": None, "empty": {{}}}}
a = Paper("a", name="{name}", size={size}, deep=deep)
timeouts = pulumi.CustomTimeouts(create="1m30s")
opts = Opts(depends_on=[box], additional_secret_outputs=["address"], custom_timeouts=timeouts)
b = Paper("b", opts=opts, note=a.address)
c = Lazy("c", opts=Opts(replace_on_changes=["size"], retain_on_delete=True), size=a.size, flag=True)
pulumi.export("a", a.address)
pulumi.export("b", b.address)
pulumi.export("nested", {{"list": [a.size, None], "word": pulumi.Config().require_secret("word")}})
"""


class Cli:
    def __init__(self, world: World) -> None:
        self.world = world
        backend = world.folder.parent / "backend"
        backend.mkdir()
        self.environment = {
            **os.environ,
            "PULUMI_BACKEND_URL": backend.as_uri(),
            "PULUMI_HOME": str(world.folder.parent / "home"),
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PYTHONPATH": str(PAPER),
        }
        options = {"toolchain": "pip", "virtualenv": sys.prefix}
        project = {"name": "toy", "runtime": {"name": "python", "options": options}}
        (world.folder / "Pulumi.yaml").write_text(json.dumps(project))
        self("stack", "init", "dev")
        self("config", "set", "--secret", "word", "hush")
        self("config", "set", "size", "3")
        world.config = {"toy:word": "hush", "toy:size": "3"}
        world.secret_keys = frozenset({"toy:word"})

    def __call__(self, *arguments: str) -> str:
        command = ["pulumi", *arguments, "--non-interactive"]
        done = subprocess.run(
            command,
            cwd=self.world.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def export(self) -> dict[str, Any]:
        return json.loads(self("stack", "export"))

    def import_(self, document: dict[str, Any]) -> None:
        file = self.world.folder.parent / "import.json"
        file.write_text(json.dumps(document))
        self("stack", "import", "--file", str(file))

    @property
    def salt(self) -> str:
        return self.export()["deployment"]["secrets_providers"]["state"]["salt"]


@pytest.fixture
def cli(world: World) -> Cli:
    return Cli(world)


def fields(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every field of every resource, secrets opened; left out is what differs from run to run and place to place."""
    state: State = engine.import_(document, PASSPHRASE)
    found: dict[str, dict[str, Any]] = {}
    for item, record in zip(state.resources, document["deployment"]["resources"], strict=True):
        kept = {key: value for key, value in record.items() if key not in ("sourcePosition", "stackTrace", "modified")}
        kept |= {key: value for key, value in (("inputs", item.inputs), ("outputs", item.outputs)) if key in record}
        kept["created"] = bool(kept.get("created"))
        kept["dependencies"] = sorted(item.dependencies)
        kept["propertyDependencies"] = {key: sorted(urns) for key, urns in item.property_dependencies.items()}
        kept["provider"] = item.provider.rpartition("::")[0]
        if item.name == "default":
            kept["id"] = "(a UUID)"
        found[item.urn] = kept
    return found


def test_both_write_the_same_state(world: World, cli: Cli) -> None:
    for name, size in (("a1", 1), ("a1", 2), ("a2", 2)):
        world.write(PROGRAM.format(name=name, size=size))
        cli("up", "--yes", "--skip-preview")
        world.up()
        theirs, ours = cli.export(), engine.export(world.file.load(), passphrase=PASSPHRASE)
        assert fields(ours) == fields(theirs)
        assert set(ours["deployment"]) == set(theirs["deployment"])
    assert fields(ours)["urn:pulumi:dev::toy::pulumi-python:dynamic/paper:Paper::b"]["outputs"]["address"] == Secret(
        "b.paper"
    )


def test_a_stack_of_the_cli_goes_on_here_and_back_again(world: World, cli: Cli) -> None:
    world.write(PROGRAM.format(name="a1", size=1))
    cli("up", "--yes", "--skip-preview")
    world.file.save(engine.import_(cli.export(), PASSPHRASE))
    world.calls()
    assert world.preview().changes == ()
    assert set(ops(world.up()).values()) == {"same"}
    assert world.calls() == []
    result = world.up(PROGRAM.format(name="a2", size=1))
    assert ops(result) == {"box": "same", "box-inner": "same", "a": "replace", "b": "update", "c": "same"}
    cli.import_(engine.export(world.file.load(), passphrase=PASSPHRASE, salt=cli.salt))
    cli("preview", "--expect-no-changes", "--diff")
    world.calls()
    cli("up", "--yes", "--skip-preview", "--expect-no-changes")
    assert world.calls() == []
    assert fields(cli.export()) == fields(engine.export(world.file.load(), passphrase=PASSPHRASE))


def test_a_stack_begun_here_goes_on_under_the_cli(world: World, cli: Cli) -> None:
    world.up(PROGRAM.format(name="a1", size=1))
    world.calls()
    cli.import_(engine.export(world.file.load(), passphrase=PASSPHRASE, salt=cli.salt))
    cli("preview", "--expect-no-changes", "--diff")
    world.write(PROGRAM.format(name="a1", size=2))
    cli("up", "--yes", "--skip-preview")
    assert sorted(world.calls()) == ["create c", "update a1"]
    document = cli.export()
    assert "hush" not in Path(world.state_path).read_text() + json.dumps(document)


CHAINS = """
a = Paper("a", name="{name}", size={size}, early={early})
b = Paper("b", near=a.address)
c = Paper("c", size=a.size)
d = Lazy("d", note=b.address)
e = Paper("e", note=Output.all(c.address, a.address), opts=Opts(ignore_changes=["note"]))
f = Lazy("f", note=c.id)
g = Paper("g", opts=Opts(depends_on=[d]))
"""


@pytest.mark.parametrize(
    ("name", "size", "early", "rest"),
    [("a1", 2, False, ""), ("a2", 1, False, ""), ("a2", 1, True, 'Paper("new", note=f.note)'), ("a1", 1, True, "")],
)
def test_both_preview_the_same(world: World, cli: Cli, name: str, size: int, early: bool, rest: str) -> None:
    world.up(CHAINS.format(name="a1", size=1, early=False) + 'Paper("gone", note=g.address)')
    cli.import_(engine.export(world.file.load(), passphrase=PASSPHRASE, salt=cli.salt))
    world.write(CHAINS.format(name=name, size=size, early=early) + rest)
    theirs: dict[str, str] = {}
    for step in json.loads(cli("preview", "--json"))["steps"]:
        if step["op"] in ("create", "update", "replace", "delete"):
            theirs[step["urn"].split("::")[-1]] = step["op"]
    assert {step.name: step.op for step in world.preview().changes} == theirs


def test_a_state_with_an_old_copy_left_is_taken_over(world: World, cli: Cli) -> None:
    """`fail` keeps the old copy from being deleted, so that the state is left with `delete: true`."""
    text = 'a = Paper("a", name="{name}", fail="delete")\npulumi.export("x", pulumi.Config().require("size"))'
    world.up(text.format(name="a1"))
    with pytest.raises(engine.RunFailed, match="a: delete failed"):
        world.up(text.format(name="a2"))
    state = world.file.load()
    assert [item.id for item in state.resources if item.delete] == ["a1"]
    cli.import_(engine.export(state, passphrase=PASSPHRASE, salt=cli.salt))
    assert "delete" in json.dumps(cli.export()["deployment"]["resources"])
