"""A stack's state: the resources that exist, in the JSON of `pulumi stack export`, and the file that holds it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.errors import StateError
from engine.secrets import Crypter
from engine.values import SECRET_SIGNATURE, SIGNATURE, UNKNOWN, UNKNOWN_TEXT, Properties, Secret

STACK_TYPE = "pulumi:pulumi:Stack"


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One entry of the state. Never changed in place: a changed resource is a new object."""

    urn: str
    type: str
    custom: bool = False
    delete: bool = False
    """The old copy of a replaced resource, still to be deleted."""
    id: str = ""
    inputs: Properties = field(default_factory=dict)
    outputs: Properties = field(default_factory=dict)
    parent: str = ""
    protect: bool = False
    dependencies: tuple[str, ...] = ()
    provider: str = ""
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pending_replacement: bool = False
    """Deleted ahead of its replacement, which has not been created yet."""
    additional_secret_outputs: tuple[str, ...] = ()
    custom_timeouts: Mapping[str, float] = field(default_factory=dict)
    retain_on_delete: bool = False
    created: str = ""
    modified: str = ""
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    other: Mapping[str, Any] = field(default_factory=dict)
    """What an import brought along and the engine has no use for."""

    @property
    def name(self) -> str:
        return self.urn.rsplit("::", 1)[1]

    @property
    def dynamic(self) -> bool:
        return self.custom and self.type.startswith("pulumi-python:")

    def needs(self) -> set[str]:
        """The URNs of everything that this resource must not outlive."""
        urns = {self.parent, self.provider.rpartition("::")[0], *self.dependencies}
        return urns.union(*self.property_dependencies.values()) - {""}


# The file's name of each field, in the order in which Pulumi writes them (pulumi: sdk/go/common/apitype/core.go).
_FIELDS = {
    "urn": "urn",
    "custom": "custom",
    "delete": "delete",
    "id": "id",
    "type": "type",
    "inputs": "inputs",
    "outputs": "outputs",
    "parent": "parent",
    "protect": "protect",
    "dependencies": "dependencies",
    "provider": "provider",
    "propertyDependencies": "property_dependencies",
    "pendingReplacement": "pending_replacement",
    "additionalSecretOutputs": "additional_secret_outputs",
    "customTimeouts": "custom_timeouts",
    "retainOnDelete": "retain_on_delete",
    "created": "created",
    "modified": "modified",
    "ignoreChanges": "ignore_changes",
    "replaceOnChanges": "replace_on_changes",
}
# Fields that say where in the program a resource stood: of no use to this engine and soon stale.
_DROPPED = {"sourcePosition", "stackTrace"}


def _sealed(value: Any, crypter: Crypter | None) -> Any:
    if isinstance(value, Secret):
        text = json.dumps(_sealed(value.value, None), separators=(",", ":"), ensure_ascii=False)
        # A secret inside a secret keeps its mark but needs no second encryption, as in Pulumi's own files.
        content = {"plaintext": text} if crypter is None else {"ciphertext": crypter.encrypt(text)}
        return {SIGNATURE: SECRET_SIGNATURE, **content}
    if isinstance(value, dict):
        return {key: _sealed(value[key], crypter) for key in sorted(value)}
    if isinstance(value, list):
        return [_sealed(item, crypter) for item in value]
    return UNKNOWN_TEXT if value is UNKNOWN else value


def _opened(value: Any, crypter: Crypter | None) -> Any:
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET_SIGNATURE:
            if "ciphertext" in value:
                if crypter is None:
                    raise StateError("the state holds secrets, but no `secrets_providers` block to read them with")
                text = crypter.decrypt(value["ciphertext"])
            else:
                text = value["plaintext"]
            return Secret(_opened(json.loads(text), crypter))
        return {key: _opened(item, crypter) for key, item in value.items()}
    if isinstance(value, list):
        return [_opened(item, crypter) for item in value]
    return UNKNOWN if value == UNKNOWN_TEXT else value


def _record(resource: Resource, crypter: Crypter) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for label, name in _FIELDS.items():
        value = getattr(resource, name)
        if label in ("inputs", "outputs"):
            value = _sealed(value, crypter)
        elif label == "propertyDependencies":
            value = {key: list(value[key]) for key in sorted(value)}
        if value or label == "custom":
            record[label] = value
    return {**record, **resource.other}


def _resource(record: Mapping[str, Any], crypter: Crypter | None) -> Resource:
    values: dict[str, Any] = {}
    for label, name in _FIELDS.items():
        value = record.get(label)
        if value is None:
            continue
        if label in ("inputs", "outputs"):
            value = _opened(value, crypter)
        elif label == "propertyDependencies":
            value = {key: tuple(urns or ()) for key, urns in value.items()}
        values[name] = tuple(value) if isinstance(value, list) else value
    other = {label: value for label, value in record.items() if label not in _FIELDS and label not in _DROPPED}
    return Resource(**values, other=other)


@dataclass(frozen=True, kw_only=True)
class State:
    """The resources of a stack, each after everything it needs. `salt` is the stack's encryption salt."""

    resources: tuple[Resource, ...] = ()
    salt: str | None = None

    @property
    def outputs(self) -> Properties:
        """The stack's outputs."""
        return next((resource.outputs for resource in self.resources if resource.type == STACK_TYPE), {})

    @property
    def protected(self) -> tuple[Resource, ...]:
        return tuple(resource for resource in self.resources if resource.protect)


def timestamp() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _document(records: list[str], salt: str) -> str:
    head = {
        "manifest": {"time": timestamp(), "magic": "", "version": ""},
        "secrets_providers": {"type": "passphrase", "state": {"salt": salt}},
    }
    body = ",\n".join(records)
    return (
        f'{{"version": 3, "deployment": {{{json.dumps(head)[1:-1]}, "resources": [\n{body}\n], "metadata": {{}}}}}}\n'
    )


def _read(document: Any, passphrase: str | None) -> tuple[State, list[dict[str, Any]]]:
    try:
        version, deployment = document["version"], document["deployment"] or {}
        records = deployment.get("resources") or []
        provider = deployment.get("secrets_providers") or {}
        if version not in (3, 4) or deployment.get("features") or document.get("features"):
            raise StateError(f"the state is of version {version} with features that this engine does not know")
        if provider and provider.get("type") != "passphrase":
            raise StateError(f"secrets provider `{provider.get('type')}`: the embedded engine knows only `passphrase`")
        if deployment.get("pending_operations"):
            raise StateError("the state holds operations that were cut short; run `pulumi refresh` before exporting it")
        salt = (provider.get("state") or {}).get("salt")
        crypter = Crypter(passphrase, salt) if salt and passphrase is not None else None
        return State(resources=tuple(_resource(record, crypter) for record in records), salt=salt), records
    except (KeyError, TypeError, AttributeError) as error:
        raise StateError(f"this is not the JSON of `pulumi stack export` ({type(error).__name__}: {error})") from error


def import_(document: Mapping[str, Any], passphrase: str) -> State:
    """The state in the JSON of `pulumi stack export` (with or without `--show-secrets`)."""
    return _read(document, passphrase)[0]


def export(state: State, *, passphrase: str, salt: str | None = None) -> dict[str, Any]:
    """The JSON of `pulumi stack export`, secrets sealed for `salt`, else for the stack's own.

    For `pulumi stack import` give the salt that stands as `encryptionsalt` in the stack's settings file.
    """
    crypter = Crypter(passphrase, salt or state.salt)
    return json.loads(_document([json.dumps(_record(item, crypter)) for item in state.resources], crypter.salt))


class StateFile:
    """The file that holds a stack's state. Every save is whole or not at all, and leaves the one before as `.bak`."""

    def __init__(self, path: Path, passphrase: str) -> None:
        self.path = Path(path).absolute()
        self.backup = self.path.with_name(self.path.name + ".bak")
        self._passphrase = passphrase
        self._crypter: Crypter | None = None
        self._first: Crypter | None = None
        self._preparing: threading.Thread | None = None
        # Each resource's own JSON, so that a save encrypts and encodes only what changed.
        self._texts: dict[int, tuple[Resource, str]] = {}

    def prepare(self) -> None:
        """Derive the key of the secrets in the background, while the caller does something else, such as imports."""
        self._preparing = threading.Thread(target=self._derive, daemon=True)
        self._preparing.start()

    def _derive(self) -> None:
        try:
            document = json.loads(self.path.read_bytes())
            salt = document["deployment"]["secrets_providers"]["state"]["salt"]
        except FileNotFoundError:
            self._first = Crypter(self._passphrase)
            return
        except (OSError, ValueError, KeyError, TypeError):
            return  # what is wrong with the file, `load` says
        with suppress(StateError):
            Crypter(self._passphrase, salt)

    def load(self, *, new: bool = False) -> State:
        """The state; with `new`, a stack that has no file yet is an empty one."""
        if new and not self.path.exists() and not self.backup.exists():
            return State()
        try:
            document = json.loads(self.path.read_bytes())
            state, records = _read(document, self._passphrase)
            self._crypter = Crypter(self._passphrase, state.salt)
        except FileNotFoundError:
            way_back = f"; the one before it is {self.backup}: copy it there" if self.backup.exists() else ""
            raise StateError(f"the state file {self.path} does not exist{way_back}") from None
        except OSError as error:
            raise StateError(f"the state file {self.path} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise StateError(f"the state file {self.path} is damaged ({error}){self._way_back()}") from error
        except StateError as error:
            raise StateError(f"the state file {self.path}: {error}") from error
        self._texts = {
            id(item): (item, json.dumps(record)) for item, record in zip(state.resources, records, strict=True)
        }
        return state

    def _way_back(self) -> str:
        if self.backup.exists():
            return f"; the state before the last step is {self.backup}: copy it over the damaged file"
        return "; there is no .bak beside it"

    def save(self, state: State) -> None:
        """Write the state so that a crash at any moment leaves either the old file or the new one."""
        if self._crypter is None:
            if self._preparing is not None:
                self._preparing.join()
            first = self._first if state.salt is None else None
            self._crypter = first or Crypter(self._passphrase, state.salt)
        texts: dict[int, tuple[Resource, str]] = {}
        for item in state.resources:
            known = self._texts.get(id(item))
            texts[id(item)] = known or (item, json.dumps(_record(item, self._crypter)))
        self._texts = texts
        content = _document([text for _, text in texts.values()], self._crypter.salt).encode()
        draft = self.path.with_name(f".{self.path.name}.draft")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if self.path.exists():
                self.backup.unlink(missing_ok=True)
                os.link(self.path, self.backup)
            draft.rename(self.path)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise StateError(
                f"the state could not be written to {self.path}: {error.strerror}. The file still holds the state "
                "before the last step; what that step made is found again by the next run"
            ) from error
