"""Settings files are read as the Pulumi CLI reads them, and written with everything else in them kept."""

import difflib
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.secrets import Crypter
from operations.errors import Fault, Refused
from operations.settings_file import SettingsFile, as_text

PROJECT_FILE = """\
name: meridian
runtime: python
config:
  phase:
    type: string
    default: single-region
  regions:
    type: array
    items:
      type: object
  network:
    type: object
    default: {}
  aws:region:
    value: eu-west-1
"""

STACK_FILE = """\
# The stack that everybody has.
config:
  meridian:target: local  # on this machine
  # Raised when a real trigger appears.
  meridian:phase: single-region   # where we are

  meridian:regions:
    - name: eu-central   # home
      slot: 0
    # second
    - {name: us-east, slot: 1}
  meridian:note: "quoted: text"
  meridian:count: 007
"""


def project(folder: Path, text: str = STACK_FILE) -> Path:
    (folder / "Pulumi.yaml").write_text(PROJECT_FILE)
    (folder / "Pulumi.dev.yaml").write_text(text)
    return folder


def read(folder: Path, text: str = STACK_FILE) -> SettingsFile:
    return SettingsFile.read("dev", project(folder, text))


def never(_: str) -> str:
    raise AssertionError("nothing here is secret")


def changed_lines(before: str, after: str) -> list[str]:
    return [
        line
        for line in difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
        if line[0] in "+-" and line[:3] not in ("+++", "---")
    ]


def test_writing_the_phase_changes_its_line_alone(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert settings.write_phase("async-replica")
    after = settings.path.read_text()
    removed, added = changed_lines(STACK_FILE, after)
    assert removed == "-  meridian:phase: single-region   # where we are"
    assert added.startswith("+  meridian:phase: async-replica")
    assert added.endswith("# where we are")


@pytest.mark.parametrize(
    "indent", ["  - name: a\n    slot: 0\n", "- name: a\n  slot: 0\n", "    - name: a\n      slot: 0\n"]
)
def test_lists_stay_indented_as_they_were(tmp_path: Path, indent: str) -> None:
    listed = "".join("  " + line for line in indent.splitlines(True))
    text = f"config:\n  meridian:phase: '1'\n  meridian:regions:\n{listed}"
    settings = read(tmp_path, text)
    settings.write_phase("async-replica")
    assert changed_lines(text, settings.path.read_text()) == [
        "-  meridian:phase: '1'",
        "+  meridian:phase: 'async-replica'",
    ]


@pytest.mark.parametrize(
    "text", ["", "config:\n", "config: {}\n", "config:\n  meridian:target: local\n", "# only words\n"]
)
def test_a_phase_that_was_left_out_is_added(tmp_path: Path, text: str) -> None:
    settings = read(tmp_path, text)
    assert settings.write_phase("async-replica")
    again = SettingsFile.read("dev", tmp_path)
    assert again.config(never).own("meridian")["phase"] == "async-replica"
    assert ("local" in text) == ("target" in again.config(never).own("meridian"))
    assert ("words" in text) == ("# only words" in again.path.read_text())


def test_the_same_phase_writes_nothing(tmp_path: Path) -> None:
    settings = read(tmp_path)
    before = settings.path.stat().st_ino
    assert not settings.write_phase("single-region")
    assert settings.path.stat().st_ino == before


@given(
    phase=st.sampled_from(["async-replica", "active-passive", "multi-region-reads"]),
    extra=st.dictionaries(
        st.from_regex(r"meridian:[a-z]{3,8}", fullmatch=True).filter(lambda key: key != "meridian:phase"),
        st.recursive(
            st.text("abc#:'\" -{}", max_size=12) | st.integers(-5, 5) | st.booleans(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.from_regex("[a-z]{1,5}", fullmatch=True), inner, max_size=3)
            ),
            max_leaves=6,
        ),
        max_size=4,
    ),
)
def test_writing_the_phase_keeps_every_other_value(phase: str, extra: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        text = json.dumps({"config": {"meridian:phase": "single-region", **extra}}, indent=2)  # JSON is YAML
        settings = read(Path(folder), text)
        before = dict(settings.config(never).values)
        settings.write_phase(phase)
        after = dict(SettingsFile.read("dev", Path(folder)).config(never).values)
        assert after == {**before, "meridian:phase": phase}


def test_slots_are_written_where_they_are_missing(tmp_path: Path) -> None:
    text = "config:\n  meridian:regions:\n    - name: eu-central  # home\n    - name: us-east\n      slot: 4\n"
    settings = read(tmp_path, text)
    assert settings.write_slots({"eu-central": 0, "us-east": 1})
    written = json.loads(SettingsFile.read("dev", tmp_path).config(never).own("meridian")["regions"])
    assert written == [{"name": "eu-central", "slot": 0}, {"name": "us-east", "slot": 4}]
    assert "# home" in settings.path.read_text()
    assert not SettingsFile.read("dev", tmp_path).write_slots({"eu-central": 0, "us-east": 4})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("word", "word"),
        (3, "3"),
        (True, "true"),
        (0.25, "0.25"),
        (None, ""),
        ([{"name": "a", "slot": 0}, "b"], '[{"name":"a","slot":0},"b"]'),
        ({"b": [1, True], "a": None}, '{"a":null,"b":[1,true]}'),
        ({"place": "Malmö"}, '{"place":"Malmö"}'),
    ],
)
def test_values_reach_the_program_as_pulumi_hands_them_over(value: object, text: str) -> None:
    assert as_text(value) == text


def test_defaults_of_the_project_count_where_the_stack_says_nothing(tmp_path: Path) -> None:
    values = read(tmp_path, "config:\n  meridian:target: local\n").config(never).values
    assert values == {
        "meridian:phase": "single-region",
        "meridian:network": "{}",
        "aws:region": "eu-west-1",
        "meridian:target": "local",
    }


def test_a_key_without_namespace_is_the_projects_own(tmp_path: Path) -> None:
    settings = read(tmp_path, "config:\n  phase: active-passive\n")
    assert settings.config(never).own("meridian")["phase"] == "active-passive"
    settings.write_phase("multi-region-reads")
    assert settings.path.read_text() == "config:\n  phase: multi-region-reads\n"


def test_secret_values_are_opened_and_stay_marked(tmp_path: Path) -> None:
    crypter = Crypter("correct horse")
    text = (
        f"encryptionsalt: {crypter.salt}\nconfig:\n  meridian:token:\n    secure: {crypter.encrypt('open sesame')}\n"
        f"  meridian:nested:\n    inner:\n      secure: {crypter.encrypt('mellon')}\n  meridian:target: local\n"
    )
    settings = read(tmp_path, text)
    config = settings.config(Crypter("correct horse", settings.salt).decrypt)
    assert config.own("meridian")["token"] == "open sesame"
    assert config.own("meridian")["nested"] == '{"inner":"mellon"}'
    assert config.secret_keys == {"meridian:token", "meridian:nested"}
    settings.write_phase("async-replica")
    assert "open sesame" not in settings.path.read_text()


@pytest.mark.parametrize("name", ["prod", "../dev", "", "a/b", ".dev"])
def test_a_stack_without_a_file_is_refused_with_those_that_have_one(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refused, match=r"Stacks: dev\."):
        SettingsFile.read(name, project(tmp_path))


@pytest.mark.parametrize(
    ("text", "words"),
    [("config: [", "line 1"), ("config:\n  a: b: c\n", "line 2"), ("- a\n", "config:"), ("config: word\n", "mapping")],
)
def test_a_damaged_file_is_one_message(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(Refused, match=words) as refusal:
        read(tmp_path, text)
    assert len(str(refusal.value).splitlines()) == 1
    assert "Pulumi.dev.yaml" in str(refusal.value)


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(Fault, match="No space left"):
        settings.write_phase("async-replica")
    assert settings.path.read_text() == STACK_FILE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Pulumi.dev.yaml", "Pulumi.yaml"]


def test_a_link_stays_a_link_and_rights_stay(tmp_path: Path) -> None:
    folder = project(tmp_path)
    real = tmp_path / "shared.yaml"
    (folder / "Pulumi.dev.yaml").rename(real)
    (folder / "Pulumi.dev.yaml").symlink_to(real)
    real.chmod(0o640)
    SettingsFile.read("dev", folder).write_phase("async-replica")
    assert (folder / "Pulumi.dev.yaml").is_symlink()
    assert "async-replica" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o640
