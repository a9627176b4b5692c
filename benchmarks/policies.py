"""What the policy pack costs on top of a preview.

A preview by the embedded engine of the project's own program for five regions on AWS at phase 5, from an empty state;
then all rules on what was registered, as `./meridian preview` applies them, conversion of the values included. The two
are taken in turn in each round, and the ratio is the round's.

    python -m benchmarks.policies [--rounds 5]
"""

import argparse
import statistics

from benchmarks.preview import SETTINGS, five_regions, milliseconds, preview, ratios, timed, void
from benchmarks.stacks import table, topology
from operations import pack
from policies.rules import RULES


def measure(rounds: int) -> str:
    what, planned = five_regions(), topology(SETTINGS)
    plan = preview(what)  # imports, and what the SDK keeps
    pack.problems(pack.planned(plan), planned)
    previews, rules = [], []
    for _ in range(rounds):
        previews.append(timed(lambda: preview(what)))
        rules.append(timed(lambda: void(pack.problems(pack.planned(plan), planned))))
    clock = ratios([one.clock for one in rules], [one.clock for one in previews])
    processor = ratios([one.processor for one in rules], [one.processor for one in previews])
    rows = [
        ("preview", milliseconds(previews), "", "", ""),
        (
            f"{len(RULES)} rules",
            milliseconds(rules),
            f"{statistics.median(clock):.3f}",
            f"{min(clock):.3f} to {max(clock):.3f}",
            f"{statistics.median(processor):.3f}",
        ),
    ]
    head = ("what", "clock, ms", "to the preview, median ratio", "range", "the same, processor time")
    return table(f"The pack on {len(plan.steps)} resources in five regions, {rounds} rounds", head, rows)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    print(measure(parser.parse_args(arguments).rounds))


if __name__ == "__main__":
    main()
