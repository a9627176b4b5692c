"""What a stack registers, without an engine, an account or a state: for the tests that users write of their own stacks.

    from operations.recording import record

    graph = record("production-aws", phase="active-active")
    assert all(cluster.protect for cluster in graph.of_type("aws:rds/cluster:Cluster"))

The program that runs is the one that `pulumi up` runs. See `engine.recorder.Registered` for what is known of each
resource: inputs, parent, provider, protect, ignored arguments, dependencies. Outputs equal inputs.
"""

import json
import runpy
from collections.abc import Mapping
from typing import Any

from operations import project
from operations.stack import Stack

__all__ = ["record"]


def record(
    settings: str | Mapping[str, Any],
    *,
    stack: str = "test",
    phase: str | int | None = None,
    ids: Mapping[str, str] | None = None,
    dry_run: bool = False,
) -> Any:
    """The graph (`engine.recorder.Graph`) of a stack: by name, from its settings file, or from settings as they would
    stand in one, with or without the `meridian:` before each key. `phase` replaces the phase that is written there.

    `ids` gives resources, by name, an id of another form where a test looks into it; else an id is the name. With
    `dry_run` the program runs as in a preview: what only a deployment knows is not known.
    Raises `pulumi.RunError` for settings that cannot be planned, with every reason, and `ValueError` for two resources
    that share a name.
    """
    from engine.recorder import record as record_program

    namespace = project.name(project.FOLDER)
    if isinstance(settings, str):
        stack = settings
        values = dict(Stack.open(settings, None if phase is None else str(phase)).config.values)
    else:
        own = {key if ":" in key else f"{namespace}:{key}": value for key, value in settings.items()}
        if phase is not None:
            own[f"{namespace}:phase"] = str(phase)
        given = {**project.defaults(project.FOLDER), **own}
        values = {key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}

    # A local stack's addresses come from its block, whose id a real one gets from the machine.
    block = {f"{values.get(f'{namespace}:app') or namespace}-foundation-addresses": "127.20"}

    def program() -> None:
        runpy.run_path(str(project.FOLDER / "__main__.py"), run_name="__main__")

    return record_program(
        program, project=namespace, stack=stack, config=values, ids={**block, **(ids or {})}, dry_run=dry_run
    )
