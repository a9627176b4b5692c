"""`meridian failover`: another member becomes the writer because the writer is gone."""

import argparse

from operations.failover import command


def run(options: argparse.Namespace) -> int:
    return command.run("failover", options)
