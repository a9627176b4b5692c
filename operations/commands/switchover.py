"""`meridian switchover`: another member becomes the writer in order, and nothing is lost."""

import argparse

from operations.failover import command


def run(options: argparse.Namespace) -> int:
    return command.run("switchover", options)
