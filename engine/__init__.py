"""The embedded engine: runs a Pulumi program in process, where there is no Pulumi CLI.

`preview` works for every program, `up` and `destroy` for dynamic resources only. State and secrets are in the formats
of the Pulumi CLI, so that a stack can be handed over in either direction.
"""

from engine.errors import EngineError, Failure, Refusal, RunFailed, StateError
from engine.plan import Event, Plan, Program, Result, Step
from engine.run import destroy, preview, unprotect, up
from engine.state import Resource, State, StateFile, export, import_
from engine.values import UNKNOWN, Secret

__all__ = [
    "UNKNOWN",
    "EngineError",
    "Event",
    "Failure",
    "Plan",
    "Program",
    "Refusal",
    "Resource",
    "Result",
    "RunFailed",
    "Secret",
    "State",
    "StateError",
    "StateFile",
    "Step",
    "destroy",
    "export",
    "import_",
    "preview",
    "unprotect",
    "up",
]
