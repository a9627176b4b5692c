"""What a reviewer reads instead of assertions: per phase, how many resources of each type an example stack has, and a
few attributes of those that make the topology, by logical name.
"""

import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from components.replacement import at
from engine.recorder import Graph, Registered
from operations.recording import record


@dataclass(frozen=True, kw_only=True)
class Inventory:
    stack: str
    module: str  # whose command writes the files
    folder: Path
    chosen: Mapping[str, tuple[str, ...]]  # by type, the arguments, dotted below the top

    def of(self, graph: Graph) -> dict[str, Any]:
        resources = [resource for resource in graph if resource.custom]
        values: dict[str, Any] = {}
        for resource in resources:
            if resource.type in self.chosen:
                kind = resource.type.rsplit(":", 1)[1]
                values.setdefault(kind, {})[resource.name] = self.attributes(resource)
        return {
            "counts": dict(sorted(Counter(resource.type for resource in resources).items())),
            "values": {kind: dict(sorted(found.items())) for kind, found in sorted(values.items())},
        }

    def attributes(self, resource: Registered) -> dict[str, Any]:
        found = {key: at(resource.inputs, key.split(".")) for key in self.chosen[resource.type]}
        found = {key: value for key, value in found.items() if value is not None}
        return {**found, **({"protect": True} if resource.protect else {})}

    def text(self, phase: int) -> str:
        yaml, out = YAML(), io.StringIO()
        yaml.width = 200
        yaml.dump(self.of(record(self.stack, phase=phase)), out)
        return f"# {self.stack} at phase {phase}: written by `python -m {self.module}`.\n{out.getvalue()}"

    def path(self, phase: int) -> Path:
        return self.folder / f"phase-{phase}.yaml"

    def write(self) -> None:
        self.folder.mkdir(exist_ok=True)
        for phase in range(1, 6):
            self.path(phase).write_text(self.text(phase))
            print(self.path(phase).name)
