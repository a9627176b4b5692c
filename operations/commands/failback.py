"""`meridian failback`: a region that was away becomes a replica again, and then the writer."""

import argparse

from operations.failover import command


def run(options: argparse.Namespace) -> int:
    return command.run("rejoin" if options.rejoin_only else "failback", options)
