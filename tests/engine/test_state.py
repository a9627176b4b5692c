"""The state file: secrets, damage, the way back, and the round trip through the export format."""

import json
import re
from pathlib import Path

import pytest

import engine
from engine import Secret, State, StateError, StateFile
from engine.secrets import Crypter
from tests.engine.conftest import PASSPHRASE, World, ops

SECRETS = """
a = Paper("a", word=Output.secret("hush-hush"), deep={"inner": Output.secret(["hush-list"])})
pulumi.export("word", a.address.apply(lambda _: "hush-output") if False else Output.secret("hush-output"))
"""


def test_secrets_are_never_in_clear_in_any_file(world: World) -> None:
    world.config = {"toy:key": "hush-config"}
    world.secret_keys = frozenset({"toy:key"})
    world.up(SECRETS)
    world.up(SECRETS + 'Paper("b")')
    files = [file for file in world.state_path.parent.iterdir() if file.name.startswith("state.json")]
    assert len(files) == 2
    for file in files:
        assert "hush" not in file.read_text()
        assert "plaintext" not in file.read_text()
        assert file.stat().st_mode & 0o777 == 0o600
    assert world.resources()["a"].inputs["word"] == Secret("hush-hush")
    assert world.resources()["a"].inputs["deep"]["inner"] == Secret(["hush-list"])
    assert "hush" not in repr(world.file.load())


def test_unchanged_secrets_keep_their_ciphertext(world: World) -> None:
    world.up(SECRETS)
    before = set(re.findall(r'"ciphertext": "([^"]+)"', world.state_path.read_text()))
    world.up(SECRETS + 'Paper("b")')
    after = set(re.findall(r'"ciphertext": "([^"]+)"', world.state_path.read_text()))
    assert before < after


def test_the_file_is_the_json_of_an_export(world: World) -> None:
    world.up(SECRETS)
    document = json.loads(world.state_path.read_text())
    assert document["version"] == 3
    by_name = {record["urn"].split("::")[-1]: record for record in document["deployment"]["resources"]}
    assert list(by_name) == ["toy-dev", "default", "a"]
    assert set(by_name["a"]) == {
        *("urn", "custom", "id", "type", "inputs", "outputs", "parent"),
        *("provider", "propertyDependencies", "created", "modified"),
    }
    assert by_name["a"]["provider"] == f"{by_name['default']['urn']}::{by_name['default']['id']}"


def test_export_and_import_round_trip_under_another_salt_and_passphrase(world: World) -> None:
    world.up(SECRETS)
    state = world.file.load()
    salt = Crypter("other").salt
    document = engine.export(state, passphrase="other", salt=salt)
    assert document["deployment"]["secrets_providers"]["state"]["salt"] == salt
    assert "hush" not in json.dumps(document)
    again = engine.import_(document, "other")
    assert again.resources == state.resources
    other = StateFile(world.state_path.with_name("other.json"), "other")
    other.save(again)
    assert other.load().resources == state.resources
    own = engine.export(state, passphrase=PASSPHRASE)
    assert own["deployment"]["secrets_providers"]["state"]["salt"] == state.salt


def test_a_clear_text_export_can_be_imported(world: World) -> None:
    signature = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "plaintext": '"hush"'}
    record = {"urn": "urn:pulumi:dev::toy::t:x:Y::a", "custom": False, "type": "t:x:Y", "outputs": {"word": signature}}
    state = engine.import_({"version": 3, "deployment": {"resources": [record]}}, "any")
    assert state.resources[0].outputs == {"word": Secret("hush")}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged"),
        (b'{"version": 3, "deploy', "is damaged"),
        (b"[]", "not the JSON of `pulumi stack export`"),
        (b'{"version": 9, "deployment": {}}', "version 9"),
        (b'{"version": 3, "deployment": {"secrets_providers": {"type": "cloud"}}}', "secrets provider `cloud`"),
    ],
)
def test_a_damaged_file_is_named_with_the_way_back(world: World, content: bytes, message: str) -> None:
    world.up('Paper("a")')
    world.up('Paper("a")\nPaper("b")')
    world.state_path.write_bytes(content)
    with pytest.raises(StateError) as caught:
        world.up()
    assert message in str(caught.value)
    assert str(world.state_path) in str(caught.value)
    if message == "is damaged":
        assert f"{world.state_path}.bak" in str(caught.value)
    Path(f"{world.state_path}.bak").replace(world.state_path)
    assert ops(world.up()) == {"a": "same", "b": "create"}


def test_a_missing_file_is_not_taken_for_a_new_stack_when_a_backup_is_there(world: World) -> None:
    with pytest.raises(StateError, match=r"state\.json does not exist$"):
        world.file.load()
    assert world.file.load(new=True) == State()
    world.up('Paper("a")')
    world.up('Paper("a")\nPaper("b")')
    world.state_path.unlink()
    with pytest.raises(StateError, match=r"does not exist; the one before it is .*state\.json\.bak"):
        world.up()


def test_a_wrong_passphrase_is_told_at_once(world: World) -> None:
    world.up('Paper("a")')
    with pytest.raises(StateError, match="passphrase does not fit"):
        StateFile(world.state_path, "wrong").load()


def test_a_damaged_secret_is_told(world: World) -> None:
    world.up(SECRETS)
    text = world.state_path.read_text()
    world.state_path.write_text(re.sub(r'("ciphertext": "v1:[^:]+:)..', r"\1AA", text))
    with pytest.raises(StateError, match=r"state\.json: a secret cannot be decrypted"):
        world.file.load()


def test_reads_what_the_pulumi_cli_encrypted() -> None:
    # Made by `pulumi stack init` and `pulumi config set --secret` of v3.260 under the passphrase `pw`.
    crypter = Crypter("pw", "v1:0di/Jl/o7yM=:v1:kQffAGMx2mVQHWXF:RosFYm2UkFEoFCrZ4bPxdUaLlgaowA==")
    assert crypter.decrypt("v1:Kxxr0HIJRK8AMY78:Vzj49OHyZeslqIQPd/LCI3N3mLgDhg==") == "hidden"
    assert crypter.decrypt(crypter.encrypt("ünïcode")) == "ünïcode"
