"""`meridian policies`: the policy pack's configuration for a stack, as `pulumi --policy-pack-config` takes it."""

import argparse
import json
from pathlib import Path

from components.local.servers.paths import write_atomic
from operations import pack
from operations.console import document, say
from operations.errors import Exit
from operations.project import called_from
from operations.stack import Stack


def run(options: argparse.Namespace) -> int:
    stack = Stack.open(options.stack, options.phase)
    content = pack.document(stack.topology)
    if options.file is None:
        document(content)
        return Exit.DONE
    path: Path = called_from(options.file)
    write_atomic(path, json.dumps(content, indent=2) + "\n", durable=False)
    say(
        f"`pulumi up --stack {stack.name} --policy-pack policies --policy-pack-config {options.file}` applies the pack."
    )
    return Exit.DONE
