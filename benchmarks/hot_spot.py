"""A partition that has 80 % of the orders is split while they go on: rate and latency before, meanwhile and after.

What limits a writer has to be the writer, or a split could not help. On one machine all partitions share the same
processors, so these have `durability: quorum`, which limits a writer wherever it runs: each commit waits for the
nearest other region, and a service has 40 connections to write with. `main` is at home in ap-northeast, whose nearest
region is 149 ms away, so that this limit comes well before the machine's.

The hot partition's customers are those of before phase 5, half of them users in ap-northeast and half in us-east. The
split takes the second half of its homes, which are those of us-east, and gives them to the partition there. A fixed
number of clients, each of whom orders again as soon as it was answered, picks customers at random by these shares.
Nothing that fails is sent again.

    python -m benchmarks.hot_spot [--rounds 3] [--seconds 15] [--clients 96]
"""

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import psutil

import engine
from benchmarks.client import Answer, Users, percentile
from benchmarks.latency import say
from benchmarks.requests import order
from benchmarks.stacks import REGIONS, addresses_of, command, program, runtime, state_file, table, topology, values
from operations.partitions import journal, runner

HOME, TARGET = "ap-northeast", "us-east"
HOT, OTHER = "main", "americas"
CONNECTIONS = 40  # with which a region's service writes to its member of a partition (service/member.py)

Group: TypeAlias = Literal["who stay", "who are moved", "of the other partition"]
GROUPS: dict[Group, tuple[str, float, int]] = {  # their region, their share of the orders, how many they are
    "who stay": (HOME, 0.4, 500),
    "who are moved": (TARGET, 0.4, 500),
    "of the other partition": (TARGET, 0.2, 200),
}
OF_BEFORE: tuple[Group, ...] = ("who stay", "who are moved")
FIRST_RATE = 100.0  # a second, of first orders
WARM_SECONDS = 4.0
REST_SECONDS = 2.0  # after the split, before it counts as over
SPLIT_SECONDS = 120.0

Window: TypeAlias = Literal["before", "meanwhile", "after"]
WINDOWS: tuple[Window, ...] = ("before", "meanwhile", "after")


def settings(phase: int) -> dict[str, Any]:
    americas = {"name": OTHER, "slot": 1, "origin": TARGET, "serves": ["US"]}
    return values(
        phase,
        home=HOME,
        database={"durability": "quorum"},
        partitions=[americas],
        conflicts={"model": "home-partition"},
    )


def limit(region: str) -> float:
    """How many orders a second a writer there can commit at most."""
    plan = topology(settings(5))
    return CONNECTIONS / min(plan.link(region, other).rtt_ms for other in REGIONS if other != region) * 1000


@dataclass(frozen=True, kw_only=True)
class Round:
    """What one stack saw, at moments of `time.perf_counter`."""

    answers: Sequence[Answer[Group]]
    windows: dict[Window, tuple[float, float]]
    steps: Sequence[tuple[float, str]]  # when a step of the move ended
    pause: float  # seconds in which the moved homes were written nowhere
    floor: float
    busy: Sequence[tuple[float, float]]  # share of all processors, in the second that ended then

    def within(self, begin: float, end: float, group: Group | None = None) -> list[Answer[Group]]:
        return [each for each in self.answers if begin <= each.ended < end and group in (None, each.what)]

    def seen(self, window: Window, group: Group | None = None) -> tuple[float, float, float]:
        """Orders a second, p50 and p99 in ms."""
        begin, end = self.windows[window]
        good = [each.seconds for each in self.within(begin, end, group) if each.status == 201]
        p50, p99 = (1000 * percentile(good, share) if good else 0.0 for share in (0.5, 0.99))
        return len(good) / (end - begin), p50, p99

    def failed(self, window: Window) -> int:
        return sum(each.status != 201 for each in self.within(*self.windows[window]))

    def machine(self, window: Window) -> float:
        begin, end = self.windows[window]
        return statistics.mean(share for at, share in self.busy if begin < at <= end + 1)


# --- a round ---------------------------------------------------------------------------------------------------------


def customers(group: Group) -> list[str]:
    return [f"{group} {number}" for number in range(GROUPS[group][2])]


async def first_orders(entry: tuple[str, int], groups: Sequence[Group], served: dict[str, str]) -> None:
    users = Users(host=entry[0], port=entry[1])
    await users.await_entry(served)
    sent = [(group, order(name, GROUPS[group][0])) for group in groups for name in customers(group)]
    answers = await users.steadily(len(sent), FIRST_RATE, lambda number: sent[number])
    await users.close()
    wrong = [each for each in answers if each.status != 201]
    if wrong:
        raise RuntimeError(f"{len(wrong)} first orders failed, the first with {wrong[0].status}: {wrong[0].body!r}")


async def machine_load(found: list[tuple[float, float]]) -> None:
    psutil.cpu_percent()
    while True:
        await asyncio.sleep(1)
        found.append((time.perf_counter(), psutil.cpu_percent() / 100))


async def split(home: Path) -> None:
    words = ("partition", "split", HOT, "--to", OTHER, "--yes", "--json")
    child = await asyncio.create_subprocess_exec(
        *command(home, settings(5), *words), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(SPLIT_SECONDS):
            _, said = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0:
        raise RuntimeError(f"`meridian {' '.join(words)}` ended with {child.returncode}: {said.decode()[-500:]}")


async def loaded(home: Path, stack: Path, seconds: float, clients: int, named: str) -> Round:
    entry = addresses_of(stack).entry()
    users, chance, stop = Users(host=entry.host, port=entry.port), random.Random(0), asyncio.Event()
    named_customers = {group: customers(group) for group in GROUPS}
    shares = [share for _, share, _ in GROUPS.values()]

    def next_one() -> tuple[Group, bytes]:
        group = chance.choices(list(GROUPS), shares)[0]
        return group, order(chance.choice(named_customers[group]), GROUPS[group][0])

    busy: list[tuple[float, float]] = []
    watching = asyncio.create_task(machine_load(busy))
    load = asyncio.create_task(users.busily(clients, stop, next_one))
    try:
        say(f"{named}: {seconds:g} s before")
        await asyncio.sleep(WARM_SECONDS + seconds)
        say(f"{named}: `meridian partition split {HOT} --to {OTHER}`")
        asked = time.perf_counter()
        await split(home)
        say(f"{named}: {seconds:g} s after")
        await asyncio.sleep(REST_SECONDS + seconds)
        ended = time.perf_counter()
        stop.set()
        answers = await load
    finally:
        watching.cancel()
        load.cancel()
        await users.close()
    records = [journal.read(path) for path in sorted(journal.folder(stack).glob("*.json"))]
    (record,) = records  # the homes are one range, so one move
    shift = time.perf_counter() - time.time()
    steps = [(event["at"] + shift, event["step"]) for event in record.events if event["what"] == "ended"]
    begun = min(event["at"] for event in record.events) + shift
    over = steps[-1][0] + REST_SECONDS
    pause, floor = runner.pause(record), runner.floor(record)
    if record.outcome != "done" or pause is None or floor is None:
        raise RuntimeError(f"the move ended as {record.outcome}")
    found = Round(
        answers=answers,
        # What the command does before its first step is before: it only looks.
        windows={"before": (asked - seconds, asked), "meanwhile": (begun, over), "after": (over, ended)},
        steps=steps,
        pause=pause,
        floor=floor,
        busy=busy,
    )
    check(found)
    return found


def check(found: Round) -> None:
    """That the split did what the table says of it."""
    written: tuple[tuple[Window, Group, str], ...] = (
        ("before", "who are moved", HOME),
        ("after", "who are moved", TARGET),
        ("after", "who stay", HOME),
    )
    for window, group, region in written:
        answered = [each for each in found.within(*found.windows[window], group) if each.status == 201]
        wrong = sum(each.header("x-written-region") != region for each in answered)
        if wrong or not answered:
            raise RuntimeError(
                f"{window}: of {len(answered)} orders of those {group} {wrong} were not written in {region}"
            )


def one_round(seconds: float, clients: int, named: str) -> Round:
    near = {region: region for region in REGIONS}
    with runtime() as home:
        file, stack = state_file(home), home / "stacks" / "bench"
        say(
            f"{named}: up to phase 4, and first orders of {sum(len(customers(group)) for group in OF_BEFORE)} customers"
        )
        engine.up(program(settings(4)), file)
        entry = addresses_of(stack).entry()
        asyncio.run(first_orders(entry, OF_BEFORE, near))
        say(f"{named}: up to phase 5, and first orders of the other partition's customers")
        engine.up(program(settings(5)), file)
        asyncio.run(first_orders(entry, [group for group in GROUPS if group not in OF_BEFORE], near))
        found = asyncio.run(loaded(home, stack, seconds, clients, named))
        say(f"{named}: down")
    return found


# --- figures ---------------------------------------------------------------------------------------------------------


def rows(rounds: Sequence[Round]) -> list[tuple[str, ...]]:
    """For all and for each group: rate, p50 and p99 before, meanwhile and after, each the median of the rounds'."""
    found: list[tuple[str, ...]] = []
    for group in (None, *GROUPS):
        seen = {window: list(zip(*(each.seen(window, group) for each in rounds), strict=True)) for window in WINDOWS}
        ratios = [
            statistics.median(
                after / before for after, before in zip(seen["after"][at], seen["before"][at], strict=True)
            )
            for at in range(3)
        ]
        cells = [" / ".join(f"{statistics.median(seen[window][at]):.0f}" for window in WINDOWS) for at in range(3)]
        found.append((group or "all", *cells, " / ".join(f"{each:.2f}" for each in ratios)))
    return found


def window_rows(rounds: Sequence[Round]) -> list[tuple[str, ...]]:
    def hot(each: Round, window: Window) -> float:
        """What the writer of the hot partition committed in a second."""
        return sum(each.seen(window, group)[0] for group in (OF_BEFORE if window == "before" else OF_BEFORE[:1]))

    found: list[tuple[str, ...]] = []
    for window in WINDOWS:
        found.append(
            (
                window,
                f"{statistics.median(end - begin for begin, end in (each.windows[window] for each in rounds)):.1f}",
                "" if window == "meanwhile" else f"{statistics.median(hot(each, window) for each in rounds):.0f}",
                str(sum(each.failed(window) for each in rounds)),
                f"{statistics.median(each.machine(window) for each in rounds):.0%}",
            )
        )
    return found


def time_line(found: Round) -> list[tuple[str, ...]]:
    """Second by second from a little before the split; empty cells where nothing was answered."""
    zero, (_, over) = found.windows["meanwhile"][0], found.windows["meanwhile"]
    result: list[tuple[str, ...]] = []
    for second in range(-5, int(over - zero) + 6):
        begin, end = zero + second, zero + second + 1
        cells: list[str] = []
        for group in GROUPS:
            answered = [1000 * each.seconds for each in found.within(begin, end, group) if each.status == 201]
            middle = f"{percentile(answered, 0.5):.0f} / {percentile(answered, 0.99):.0f}" if answered else ""
            cells += [str(len(answered)), middle]
        every = found.within(begin, end)
        steps = ", ".join(step for at, step in found.steps if begin <= at < end)
        failed = sum(each.status != 201 for each in every)
        result.append((str(second), str(len(every) - failed), *cells, str(failed), steps))
    return result


def report(rounds: Sequence[Round], clients: int) -> str:
    number = f"{len(rounds)} rounds, {clients} clients"
    of_three = "before / meanwhile / after"
    groups = [name for group in GROUPS for name in (f"{group}, orders", "p50 / p99, ms")]
    pause, floor = (statistics.median(getattr(each, name) for each in rounds) for name in ("pause", "floor"))
    return "\n".join(
        (
            table(
                f"A hot partition is split, {number}",
                (
                    "customers",
                    f"orders/s, {of_three}",
                    f"p50, ms, {of_three}",
                    f"p99, ms, {of_three}",
                    "after to before: rate / p50 / p99",
                ),
                rows(rounds),
            ),
            table(
                "The writer and the machine",
                ("", "seconds", f"orders/s at the writer of `{HOT}`", "failed orders", "processors busy"),
                window_rows(rounds),
            ),
            f"{CONNECTIONS} connections and a commit that waits for the nearest other region: at most "
            f"{limit(HOME):.0f} orders/s for a writer in {HOME}, and {limit(TARGET):.0f} for one in {TARGET}.",
            f"The moved homes were written nowhere for {pause:.2f} s; what was in flight, the last change and the "
            f"first commit took {floor:.2f} s of them.\n",
            table(
                "The first round, second by second",
                ("second", "orders", *groups, "failed", "steps of the move that ended"),
                time_line(rounds[0]),
            ),
        )
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="stacks, one after the other")
    parser.add_argument("--seconds", type=float, default=15.0, help="before the split, and after it")
    parser.add_argument("--clients", type=int, default=96, help="orders that are under way at a time")
    given = parser.parse_args(arguments)
    rounds = [
        one_round(given.seconds, given.clients, f"round {number + 1} of {given.rounds}")
        for number in range(given.rounds)
    ]
    print(report(rounds, given.clients))
    return 1 if any(each.failed(window) for each in rounds for window in WINDOWS) else 0


if __name__ == "__main__":
    sys.exit(main())
