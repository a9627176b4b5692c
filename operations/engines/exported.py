"""A stack that is held elsewhere, as `pulumi stack export` wrote it: to be previewed against, and nothing else."""

from collections.abc import Collection, Mapping
from typing import Any

from operations import passphrase
from operations.changes import Preview
from operations.engines import records
from operations.engines.embedded import preview_of
from operations.errors import Refused
from operations.stack import Stack


class Exported:
    name = "export"

    def __init__(self, stack: Stack, file: str, document: Mapping[str, Any]) -> None:
        self.stack = stack
        self.file = file
        # The secrets of another provider than the passphrase are readable only where they were exported openly.
        deployment = dict(document.get("deployment") or {})
        provider = deployment.get("secrets_providers") or {}
        if provider.get("type") != "passphrase":
            deployment.pop("secrets_providers", None)
        self.document = {**document, "deployment": deployment}
        self.resources: list[records.Record] = list(deployment.get("resources") or ())
        if not self.resources:
            raise Refused(
                f"--state: {file} holds no resources. Give the JSON of `pulumi stack export --stack {stack.name}`."
            )
        for item in self.resources:
            held, project = str(item.get("urn")).removeprefix("urn:pulumi:").split("::")[:2]
            if (held, project) != (stack.name, stack.project):
                raise Refused(
                    f"--state: {file} is of the stack {held} of the project {project}, "
                    f"not of {stack.name} of {stack.project}"
                )

    def outputs(self) -> Mapping[str, Any] | None:
        return records.outputs(self.resources)

    def protected(self) -> Mapping[str, Mapping[str, Any]]:
        return records.protected(self.resources)

    def preview(self, *, given_up: Collection[str] = ()) -> Preview:
        import engine

        try:
            state = engine.import_(self.document, passphrase.read() or "")
        except engine.StateError as fault:
            raise Refused(
                f"--state: {self.file}: {fault}. An export with `--show-secrets` can be read without their key; "
                f"for one sealed with a passphrase, set {passphrase.WORD}."
            ) from None
        return preview_of(self.stack, state, given_up)
