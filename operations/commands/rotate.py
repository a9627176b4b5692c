"""`meridian rotate`: a new administrator password for a partition, at the writer and in every region's secret."""

import argparse

from operations.console import answer, confirm, say
from operations.engines.choice import outputs_of
from operations.errors import Exit, Fault, Refused
from operations.rotation import Rotation
from operations.stack import Stack


def run(options: argparse.Namespace) -> int:
    stack = Stack.open(options.stack)
    if stack.target != "aws":
        raise Refused(f"target: rotate works on aws, and {stack.name} is a stack of the target {stack.target}.")
    outputs = outputs_of(stack)
    levers = (outputs or {}).get("levers")
    if not levers:
        raise Refused(f"{stack.name} is not up: there is no password to rotate. `{stack.command('up')}` builds it.")
    partitions = levers["partitions"]
    if options.partition not in partitions:
        raise Refused(f"partition: {options.partition!r} is none of this stack's: {', '.join(sorted(partitions))}.")
    left_out = set(options.without_region)
    if unknown := left_out - set(levers["secrets"]):
        raise Refused(f"--without-region: {', '.join(sorted(unknown))} is no region of {stack.name}.")
    secrets = {
        region: uses[f"database-{options.partition}"]
        for region, uses in levers["secrets"].items()
        if region not in left_out
    }
    confirm(
        f"Give the administrator of {options.partition} in {stack.name} a new password, in {', '.join(secrets)}?",
        yes=options.yes,
    )
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    rotation = Rotation(
        global_cluster=partitions[options.partition],
        home=next(iter(secrets)),
        secret_ids=secrets,
        client=lambda service, region: boto3.client(service, region_name=region),  # type: ignore[call-overload]
        say=say,
    )
    try:
        writer = rotation.run()
    except (BotoCoreError, ClientError) as fault:
        raise Fault(f"AWS answered: {fault}. Nothing is lost; run this again to carry on.") from None
    if left_out:
        say(f"{', '.join(sorted(left_out))} still has the old password: rotate again once it is back.")
    answer(f"The administrator of {options.partition} has a new password: set at {writer}, current in every secret.")
    return Exit.DONE
