"""The Pulumi program: read the settings, plan, deploy, export."""

import os

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env

from components.deploy import deploy, parse_writers
from topology import SettingsError, load, plan

NAMESPACE = "meridian:"

# Who writes each partition now: operations read it from what runs, and settings never say it (operations/writers.py).
WRITERS = "MERIDIAN_WRITERS"


def main() -> None:
    # The whole namespace, not key by key, so that a misspelt key is refused. The language host hands the
    # configuration over in the environment, the embedded engine and tests set it directly.
    everything = {**get_config_env(), **CONFIG.get()}
    config = {key.removeprefix(NAMESPACE): value for key, value in everything.items() if key.startswith(NAMESPACE)}
    writers = parse_writers(os.environ.get(WRITERS, ""))
    for name, value in deploy(plan(load(config, pulumi.get_stack())), writers).items():
        pulumi.export(name, value)


try:
    main()
except SettingsError as problem:
    raise pulumi.RunError(str(problem)) from None
