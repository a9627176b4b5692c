"""What users in each region wait for an order, and for reading one, in a single region and up the ladder.

One stack climbs from phase 1 to 4 and to 5, with the delays of the real distances between its regions, so that the
floor (users at home in phase 1) and what is held against it are of the same run. Requests come at a steady rate,
whatever the answers take: half are orders, half read an order of the same users that every region has by then, each of
them once, so that it comes from a database and not from a cache. Each phase has customers of its own, whose first order
is apart: in phase 5 it settles their home, once in their life.

    python -m benchmarks.latency [--rounds 3] [--seconds 15]
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import engine
from benchmarks.client import Answer, Users, percentile
from benchmarks.requests import HOME, look, order
from benchmarks.stacks import REGIONS, addresses_of, partitioned, program, runtime, state_file, table

PHASES = {1: "single-region", 4: "multi-region-reads", 5: "active-active"}
RATE = 120.0  # requests a second, of all regions together: a small part of what two cores carry
CUSTOMERS = 45  # in a region and phase
REST = 3.0  # seconds after `up`, whose own work is not what users wait for
SETTLED = 1.5  # seconds after which every region has an order
SHARES = (0.5, 0.9, 0.99)
BOUND = 1.5  # what the project has set itself for users at home, next to a single region

Kind: TypeAlias = Literal["first order", "order", "read"]
What: TypeAlias = tuple[Kind, str]  # and the region of the user
Place: TypeAlias = tuple[int, Kind, str]  # phase, kind, region
Round: TypeAlias = Mapping[Place, Sequence[float]]  # seconds


@dataclass(frozen=True, kw_only=True)
class Phase:
    """The users of one phase."""

    number: int

    def writer(self, region: str) -> str:
        """Who should write for users there; phase 5 has a partition for each region."""
        return region if self.number >= 5 else HOME

    def server(self, region: str) -> str:
        return HOME if self.number == 1 else region

    async def measure(self, users: Users, seconds: float) -> list[Answer[What]]:
        placed = {region: deque[tuple[float, str]]() for region in REGIONS}

        def keep(answer: Answer[What]) -> None:
            self.check(answer)
            kind, region = answer.what
            if kind != "read":
                placed[region].append((answer.ended, json.loads(answer.body)["id"]))

        def customer(number: int) -> str:
            return f"phase-{self.number}-{number % CUSTOMERS}-"

        def first(number: int) -> tuple[What, bytes]:
            region = REGIONS[number % len(REGIONS)]
            return ("first order", region), order(customer(number // len(REGIONS)) + region, region)

        def next_one(number: int) -> tuple[What, bytes] | None:
            turn, region = number // len(REGIONS), REGIONS[number % len(REGIONS)]
            if turn % 2:
                return ("order", region), order(customer(turn // 2) + region, region)
            mine = placed[region]
            if not mine or mine[0][0] > time.perf_counter() - SETTLED:
                return None
            return ("read", region), look(mine.popleft()[1], region)

        await users.await_entry({region: self.server(region) for region in REGIONS})
        await asyncio.sleep(REST)
        begun = await users.steadily(CUSTOMERS * len(REGIONS), RATE, first, keep)
        await asyncio.sleep(SETTLED)
        return begun + await users.steadily(int(seconds * RATE), RATE, next_one, keep)

    def check(self, answer: Answer[What]) -> None:
        """What is measured has to be what the table says it is."""
        kind, region = answer.what
        if answer.status != (200 if kind == "read" else 201):
            raise RuntimeError(
                f"phase {self.number}: a {kind} from {region} was answered {answer.status}: {answer.body}"
            )
        served, written = answer.header("x-served-region"), answer.header("x-written-region")
        if served != self.server(region) or (kind != "read" and written != self.writer(region)):
            raise RuntimeError(
                f"phase {self.number}: a {kind} from {region} was served by {served} and written by {written}, "
                f"not by {self.server(region)} and {self.writer(region)}"
            )


def one_round(seconds: float, named: str) -> Round:
    found: dict[Place, list[float]] = {}
    with runtime() as home:
        file = state_file(home)
        for number in PHASES:
            say(f"{named}: up to phase {number}")
            engine.up(program(partitioned(number)), file)
            say(f"{named}: phase {number}, {seconds:g} s of requests")
            entry = addresses_of(home / "stacks" / "bench").entry()
            for answer in asyncio.run(_measured(Phase(number=number), entry, seconds)):
                kind, region = answer.what
                found.setdefault((number, kind, region), []).append(answer.seconds)
        say(f"{named}: down")
    return found


async def _measured(phase: Phase, entry: tuple[str, int], seconds: float) -> list[Answer[What]]:
    users = Users(host=entry[0], port=entry[1])
    try:
        return await phase.measure(users, seconds)
    finally:
        await users.close()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# --- figures ---------------------------------------------------------------------------------------------------------


def milliseconds(rounds: Sequence[Round], place: Place) -> list[float]:
    """p50, p90 and p99, each the median of the rounds'."""
    return [1000 * statistics.median(percentile(each[place], share) for each in rounds) for share in SHARES]


def ratio(rounds: Sequence[Round], place: Place, share: float) -> float:
    """To users at home in the single region of the same round, the median of the rounds'."""
    floor: Place = (1, place[1], HOME)
    return statistics.median(percentile(each[place], share) / percentile(each[floor], share) for each in rounds)


def verdict(ratios: Iterable[float]) -> str:
    return " / ".join("met" if each <= BOUND else "not met" for each in ratios)


def rows(rounds: Sequence[Round], kind: Kind) -> list[tuple[str, ...]]:
    """A row for each region and phase. The bound is one for orders of users at home, which in phase 5 all are."""
    found: list[tuple[str, ...]] = []
    for region in REGIONS:
        for number, name in PHASES.items():
            place: Place = (number, kind, region)
            ratios = [ratio(rounds, place, share) for share in (0.5, 0.99)]
            is_floor = (number, region) == (1, HOME)
            at_home = region == HOME or number == max(PHASES)
            found.append(
                (
                    region,
                    f"{number} {name}",
                    *(f"{each:.1f}" for each in milliseconds(rounds, place)),
                    "the floor" if is_floor else " / ".join(f"{each:.2f}" for each in ratios),
                    *([verdict(ratios) if at_home and not is_floor else ""] if kind == "order" else []),
                )
            )
    return found


def short_rows(rounds: Sequence[Round]) -> list[tuple[str, ...]]:
    """A row for each region: what users there wait, phase by phase."""

    def told(kind: Kind, region: str) -> list[str]:
        found = (milliseconds(rounds, (number, kind, region)) for number in PHASES)
        return [f"{p50:.1f} / {p99:.1f}" for p50, _, p99 in found]

    return [
        (
            region,
            *told("order", region),
            f"{ratio(rounds, (max(PHASES), 'order', region), 0.5):.2f}",
            *told("read", region),
        )
        for region in REGIONS
    ]


def report(rounds: Sequence[Round]) -> str:
    percentiles = tuple(f"p{100 * share:g}, ms" for share in SHARES)
    to_floor = "to the single region at home, p50 / p99"
    number, last = len(rounds), max(PHASES)
    firsts = ", ".join(
        f"{region} {milliseconds(rounds, (last, 'first order', region))[0]:.1f} ms" for region in REGIONS
    )
    names = [str(each) for each in PHASES]
    short = ("users in", *(f"order, phase {each}" for each in names), f"phase {last} to phase 1 at home, p50")
    return "\n".join(
        (
            table(
                f"Orders, {number} rounds",
                ("users in", "phase", *percentiles, to_floor, f"at most {BOUND}, p50 / p99"),
                rows(rounds, "order"),
            ),
            table(f"Reads, {number} rounds", ("users in", "phase", *percentiles, to_floor), rows(rounds, "read")),
            f"A customer's very first order in phase {last}, which settles their home (p50): {firsts}.\n",
            table(
                f"By region, p50 / p99 in ms, {number} rounds",
                (*short, *(f"read, phase {each}" for each in names)),
                short_rows(rounds),
            ),
        )
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="stacks, one after the other")
    parser.add_argument("--seconds", type=float, default=15.0, help="of requests in each phase")
    given = parser.parse_args(arguments)
    rounds = [one_round(given.seconds, f"round {number + 1} of {given.rounds}") for number in range(given.rounds)]
    print(report(rounds))


if __name__ == "__main__":
    main()
