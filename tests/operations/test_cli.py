"""Bad input is one message and status 2, whatever the command; `--json` is one document; looking writes nothing."""

import argparse
import contextlib
import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from operations import cli, console
from operations.drill import scenario
from operations.errors import Exit, Fault, Refused
from operations.stack import Stack
from tests.operations.conftest import Copy, Outcome, write_embedded_state

BAD = [
    (("up", "--phase", "activ-passive"), ("phase", "activ-passive", "active-passive")),
    (("up", "--phase", "9"), ("phase", "9", "multi-region-reads")),
    (("up", "--phase", ""), ("phase", "empty")),
    (("up", "--stack", "nowhere"), ("nowhere", "dev", "production-aws")),
    (("up", "--stack", "de"), ("dev?",)),
    (("up", "--stack", "production-aws"), ("aws", "preview")),
    (("up", "--engine", "pulumi"), ("Pulumi CLI", "--engine embedded")),
    (("up", "--engine", "terraform"), ("terraform", "embedded")),
    (("up", "extra"), ("extra",)),
    (("preview", "--phase", "2.5"), ("2.5",)),
    (("preview", "--stack", "../dev"), ("../dev",)),
    (("preview", "--ph", "2"), ("--ph",)),
    (("status", "--stack", "nowhere"), ("nowhere", "dev")),
    (("status", "--phase", "2"), ("--phase",)),
    (("down", "--stack", "nowhere"), ("nowhere", "dev")),
    (("down", "--destroy"), ("--destroy",)),
    (("doctor", "--stack", "nowhere"), ("nowhere",)),
    (("doctor", "now"), ("now",)),
    (("logs", "--stack", "nowhere"), ("nowhere",)),
    (("logs", "--lines", "many"), ("many", "whole number")),
    (("logs", "gateway"), ("not up",)),
    (("psql",), ("MEMBER",)),
    (("psql", "main-eu-central"), ("not up",)),
    (("psql", "main-eu-central", "--stack", "nowhere"), ("nowhere",)),
    (("reconcile",), ("list", "replay")),
    (("reconcile", "replay", "--tail", "gone"), ("gone", "none")),
    (("rotate",), ("aws", "local")),
    (("failover",), ("not up",)),
    (("failover", "--stack", "nowhere"), ("nowhere",)),
    (("switchover",), ("not up",)),
    (("switchover", "--max-loss", "1s"), ("--max-loss",)),
    (("failback",), ("not up",)),
    (("failback", "--resume", "--undo"), ("--undo",)),
    (("drill",), ("--all", "--list")),
    (("drill", "lost-region"), ("not up",)),
    (("drill", "lost-regoin"), ("lost-regoin", "Did you mean lost-region?")),
    (("drill", "--all", "--scenarios", "/nowhere"), ("--scenarios", "/nowhere")),
    (("drill", "cut", "--rate", "0"), ("--rate",)),
    (("drill", "cut", "--rounds", "-1"), ("--rounds",)),
    (("backup", "--keep", "3 lines"), ("--keep", "whole number")),
    (("watch",), ("not up",)),
    (("partition",), ("list", "check")),
    (("partition", "check"), ("not up",)),
    (("partition", "check", "--homes", "00"), ("--homes",)),
    (("rotate", "--stack", "production-aws"), ("not up",)),
    (("state",), ("export",)),
    (("state", "export"), ("not up",)),
    (("state", "export", "--stack", "nowhere"), ("nowhere",)),
    (("state", "import", "missing.json"), ("missing.json",)),
    (("state", "import", "Pulumi.yaml"), ("Pulumi.yaml", "pulumi stack export")),
    (("climb",), ("climb", "up")),
]


@pytest.fixture
def here(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> Copy:
    """The copy, with this process in it: quicker than one process for each command."""
    for key in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "MERIDIAN_STACK", "MERIDIAN_CALLED_FROM"):
        monkeypatch.delenv(key, raising=False)
    for key in ("PATH", "XDG_STATE_HOME", "TMPDIR"):
        monkeypatch.setenv(key, copy.environment[key])
    monkeypatch.setenv("MERIDIAN_HOME", str(copy.folder / ".meridian"))
    monkeypatch.setattr("operations.project.FOLDER", copy.folder)
    monkeypatch.setattr("tempfile.tempdir", str(copy.folder.parent))
    monkeypatch.chdir(copy.folder)
    return copy


def command(*words: str) -> Outcome:
    """In this process; nothing that a command loads depends on the process it runs in."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = cli.main(words)
    return Outcome(int(status), out.getvalue(), err.getvalue())


@pytest.mark.parametrize(
    ("words", "told"), BAD, ids=lambda value: " ".join(value) if isinstance(value, tuple) else None
)
def test_bad_input_is_one_message_and_status_2(here: Copy, words: tuple[str, ...], told: tuple[str, ...]) -> None:
    before = here.snapshot()
    outcome = command(*words)
    assert outcome.status == 2, outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert outcome.stdout == ""
    for word in told:
        assert word in outcome.stderr
    assert here.snapshot() == before


def test_no_command_is_status_2_and_help_is_status_0(here: Copy) -> None:
    outcome = command()
    assert outcome.status == 2
    assert "COMMAND" in outcome.stderr
    for words in (("--help",), ("up", "--help"), ("test", "--help")):
        assert command(*words).status == 0


def test_every_command_has_a_module_that_runs(here: Copy) -> None:
    commands = next(action for action in cli.parser()._actions if isinstance(action, argparse._SubParsersAction))
    assert set(commands.choices) == {
        *("up", "preview", "status", "down", "rotate", "test", "doctor", "logs", "psql", "state", "policies"),
        *(
            "failover",
            "switchover",
            "failback",
            "watch",
            "reconcile",
            "backup",
            "restore",
            "drill",
            "runbook",
            "partition",
        ),
    }
    for name in commands.choices:
        assert callable(cli._command(name).run)


def test_a_stack_can_come_from_the_environment(here: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MERIDIAN_STACK", "nowhere")
    assert "nowhere" in command("status").stderr


def test_a_path_is_meant_as_seen_from_where_the_launcher_was_called(
    here: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there"
    (there / "own").mkdir(parents=True)
    shutil.copy(scenario.FOLDER / "cut.toml", there / "own" / "ours.toml")
    (there / "empty.jsonl").write_text("")
    monkeypatch.setenv("MERIDIAN_CALLED_FROM", str(there))
    before = here.snapshot()
    assert "ours" in command("drill", "--list", "--scenarios", "own").stdout
    # Status 1 where there is no such file.
    assert command("drill", "--table", "--history", "empty.jsonl").status == 2
    assert command("runbook", "--file", "runbook.md").status == 0
    assert (there / "runbook.md").read_text().startswith("# Runbook of dev")
    assert command("reconcile", "export", "--file", "orders.jsonl").status == 0
    assert (there / "orders.jsonl").read_text() == ""
    assert here.snapshot() == before


def test_a_restore_goes_where_the_user_is(here: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    class Backups:
        def base(self, to: float) -> SimpleNamespace:
            return SimpleNamespace(ended=to)

        def restored(self) -> None:
            return None

        def restore(self, to: float, into: Path | None) -> None:
            asked.append(into)
            raise Refused("this is as far as it goes")

    monkeypatch.setattr("operations.commands.restore.opened", lambda name, _: (Stack.open(name), Backups()))
    monkeypatch.setenv("MERIDIAN_CALLED_FROM", str(tmp_path / "there"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for into in ("beside", "~/beside", "/elsewhere", None):
        assert command("restore", "--to", "2026-03-01T14:05:00Z", *(["--into", into] if into else [])).status == 2
    assert asked == [tmp_path / "there/beside", tmp_path / "home/beside", Path("/elsewhere"), None]


def test_status_of_a_stack_that_is_not_up(here: Copy) -> None:
    before = here.snapshot()
    outcome = command("status", "--json")
    assert (outcome.status, outcome.document) == (0, {"phase": None, "entry": None, "regions": []})
    assert outcome.stderr == ""
    assert "not up" in command("status").stdout
    assert here.snapshot() == before


def test_down_of_a_stack_that_is_not_up_is_done(here: Copy) -> None:
    before = here.snapshot()
    outcome = command("down", "--json")
    assert (outcome.status, outcome.document["destroyed"]) == (0, [])
    assert here.snapshot() == before


def test_doctor_tells_what_is_there(here: Copy) -> None:
    outcome = command("doctor", "--json")
    found = {finding["what"]: finding for finding in outcome.document["findings"]}
    assert {"python", "platform", "account", "postgresql", "valkey", "envoy", "disk", "addresses", "pulumi"} <= set(
        found
    )
    assert found["pulumi"]["state"] == "note"
    assert outcome.status == (0 if outcome.document["ok"] else 1)


def test_doctor_names_what_is_missing(here: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("operations.commands.doctor.free_bytes", lambda _: 10)
    monkeypatch.setenv("MERIDIAN_HOME", str(here.folder / "roomy"))
    outcome = command("doctor", "--json")
    assert outcome.status == 1
    (disk,) = (finding for finding in outcome.document["findings"] if finding["what"] == "disk")
    assert disk["state"] == "missing"
    assert "MERIDIAN_HOME" in disk["remedy"]


def test_logs_of_a_region_or_a_server(here: Copy) -> None:
    for name, text in {
        "regions/eu-central/gateway/envoy.log": "one\ntwo\nthree\n",
        "regions/us-east/gateway/envoy.log": "four\n",
        "regions/us-east/members/main-us-east/postgres.log": "five\n",
        "regions/us-east/members/main-us-east/data/log/inside.log": "not this\n",
        "entry/envoy.log": "six\n",
    }.items():
        path = here.stack / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    assert command("logs", "us-east").stdout.splitlines() == [
        "us-east/gateway | four",
        "us-east/main-us-east | five",
    ]
    assert command("logs", "gateway", "-n", "1").stdout.splitlines() == [
        "eu-central/gateway | three",
        "us-east/gateway | four",
    ]
    assert command("logs", "main-us-east").stdout == "us-east/main-us-east | five\n"
    assert "not this" not in command("logs").stdout
    wrong = command("logs", "gatevay")
    assert (wrong.status, wrong.stdout) == (2, "")
    assert "gateway" in wrong.stderr


class Expected(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        (Refused("not like this"), 2, "not like this"),
        (Fault("the server is gone"), 1, "the server is gone"),
        (KeyboardInterrupt(), 130, "run it again"),
        (OSError(28, "No space left on device", "/full"), 1, "No space left on device: /full"),
        (Expected("first line\nsecond line"), 1, "Expected: first line"),
    ],
)
def test_every_way_to_end_has_its_status_and_one_message(
    here: Copy, monkeypatch: pytest.MonkeyPatch, fault: BaseException, status: int, words: str
) -> None:
    def fail(_: object) -> int:
        raise fault

    monkeypatch.setattr("operations.commands.up.run", fail)
    outcome = command("up")
    assert outcome.status == status
    assert outcome.stdout == ""
    assert words in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    if "The whole story: " in outcome.stderr:
        log = Path(outcome.stderr.rpartition("The whole story: ")[2].strip())
        assert "Traceback" in log.read_text()


def test_without_a_terminal_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(Refused, match="--yes"):
        console.confirm("Go on?", yes=False)
    console.confirm("Go on?", yes=True)


@pytest.mark.parametrize(
    ("typed", "goes_on"), [("y\n", True), ("YES\n", True), ("\n", False), ("n\n", False), ("", False)]
)
def test_at_a_terminal_only_yes_goes_on(monkeypatch: pytest.MonkeyPatch, typed: str, goes_on: bool) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(typed))
    with contextlib.nullcontext() if goes_on else pytest.raises(Refused, match="nothing was changed"):
        console.confirm("Go on?", yes=False)


def test_data_is_not_destroyed_without_being_told_so(here: Copy) -> None:
    write_embedded_state(here.stack)
    before = here.snapshot()
    outcome = command("down", "--yes")
    assert outcome.status == 2
    assert "main-eu-central" in outcome.stderr
    assert "--destroy-data" in outcome.stderr
    asked = command("down", "--destroy-data")
    assert asked.status == 2
    assert "--yes" in asked.stderr
    assert here.snapshot() == before


def test_data_without_any_state_is_not_built_over(here: Copy) -> None:
    data = here.stack / "regions" / "eu-central" / "members" / "main-eu-central" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("18\n")
    for words in (("up",), ("preview",)):
        outcome = command(*words)
        assert outcome.status == Exit.FAULT
        assert "state.json" in outcome.stderr
        assert "state import" in outcome.stderr
    assert (data / "PG_VERSION").exists()
    # To give it up is possible, and leaves nothing.
    assert command("down", "--yes").status == 2
    assert command("down", "--destroy-data", "--yes").status == 0
    assert not here.stack.exists()


def test_a_damaged_state_file_is_named_and_kept(here: Copy) -> None:
    path = write_embedded_state(here.stack)
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    for words in (("up",), ("preview",), ("status",), ("down", "--yes")):
        outcome = command(*words)
        assert outcome.status == 1, words
        assert str(path) in outcome.stderr
    path.with_name("state.json.bak").write_bytes(whole)
    assert "state.json.bak" in command("up").stderr
    path.unlink()
    outcome = command("up")
    assert outcome.status == 1
    assert "state.json.bak" in outcome.stderr


def test_a_bad_value_that_import_gets_is_refused(here: Copy) -> None:
    file = here.folder / "other.json"
    urn = "urn:pulumi:prod::meridian::pulumi:pulumi:Stack::meridian-prod"
    record = {"urn": urn, "custom": False, "type": "pulumi:pulumi:Stack"}
    file.write_text(json.dumps({"version": 3, "deployment": {"resources": [record]}}))
    outcome = command("state", "import", str(file))
    assert outcome.status == 2
    assert "prod" in outcome.stderr
    file.write_text("[]")
    assert command("state", "import", str(file)).status == 2
    file.write_text('{"version": 3}')
    assert command("state", "import", str(file)).status == 1
