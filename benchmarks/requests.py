"""What the way through entry and gateway costs a request, next to the same service called directly.

A stack at phase 4 without delays between regions; users at home, so that a request travels entry, home's gateway,
home's service. The same requests, as many at a time, go to that very service process directly. Reads are of orders that
the region's cache has, and of orders that nobody has read yet (from PostgreSQL); writes are new orders, written in that
region. The client (benchmarks/client.py) is Python on the same cores as the servers: rates are what this machine gives
to all of them together, which is why the ratio is the figure to look at. Its share of one core is in the table.

    python -m benchmarks.requests [--rounds 5]
"""

import argparse
import asyncio
import json
import statistics
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.client import Run, drive, limit, request
from benchmarks.stacks import addresses_of, brought_up, table

HOME = "eu-central"
CUSTOMERS = 100
KINDS = {"GET, cached": 200, "GET, uncached": 200, "POST": 201}
# Requests a round and way, by how many are under way at a time: one shows what the way adds, sixteen what it can carry.
COUNTS = {1: 300, 16: 1000}

Roads = dict[str, tuple[str, int]]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The same requests on both ways, in the same round."""

    through: Run
    direct: Run


def order(customer: str | None = None, region: str = HOME) -> bytes:
    number = uuid.uuid4()
    customer = customer or f"customer-{number.int % CUSTOMERS}"
    body = json.dumps({"customer": customer, "item": "a thing", "quantity": 1}).encode()
    return request(
        "POST",
        "/orders",
        body,
        Content_Type="application/json",
        Idempotency_Key=str(number),
        X_User_Region=region,
    )


def look(identity: str, region: str = HOME) -> bytes:
    return request("GET", f"/orders/{identity}", X_User_Region=region)


def identities(run: Run) -> list[str]:
    return [json.loads(body)["id"] for body in run.bodies]


async def requests_of(kind: str, count: int, service: tuple[str, int]) -> list[bytes]:
    if kind == "POST":
        return [order() for _ in range(count)]
    fresh = await drive(*service, [order() for _ in range(count if kind == "GET, uncached" else 50)], 8, 201)
    looks = [look(identity) for identity in identities(fresh)]
    if kind == "GET, uncached":
        return looks
    await drive(*service, looks, 8, 200)  # a first read is what puts an order into the cache
    return [looks[number % len(looks)] for number in range(count)]


async def rounds_of(kind: str, concurrency: int, rounds: int, roads: Roads) -> list[Pair]:
    pairs: list[Pair] = []
    for number in range(rounds):
        runs: dict[str, Run] = {}
        for road in ("through", "direct") if number % 2 else ("direct", "through"):
            sent = await requests_of(kind, COUNTS[concurrency], roads["direct"])
            runs[road] = await drive(*roads[road], sent, concurrency, KINDS[kind])
        pairs.append(Pair(**runs))
    return pairs


def row(kind: str, concurrency: int, pairs: list[Pair]) -> tuple[str, ...]:
    def middle(pick: Callable[[Run], float], of: Callable[[Pair], Run]) -> float:
        return statistics.median(pick(of(pair)) for pair in pairs)

    def both(pick: Callable[[Run], float], form: str, scale: float = 1.0) -> str:
        ways: tuple[Callable[[Pair], Run], ...] = (lambda pair: pair.through, lambda pair: pair.direct)
        return " / ".join(format(scale * middle(pick, way), form) for way in ways)

    return (
        kind,
        str(concurrency),
        both(lambda run: run.rate, ".0f"),
        f"{statistics.median(pair.through.rate / pair.direct.rate for pair in pairs):.2f}",
        both(lambda run: run.percentile(0.5), ".2f", 1000),
        both(lambda run: run.percentile(0.99), ".2f", 1000),
        both(lambda run: run.busy, ".0%"),
    )


async def measured(rounds: int, roads: Roads) -> list[tuple[str, ...]]:
    for road in roads.values():
        await drive(*road, [order() for _ in range(200)], 16, 201)  # connections are made, pools filled
    rows: list[tuple[str, ...]] = []
    for concurrency in COUNTS:
        for kind in KINDS:
            rows.append(row(kind, concurrency, await rounds_of(kind, concurrency, rounds, roads)))
    return rows


def roads_of(stack: Path) -> Roads:
    addresses = addresses_of(stack)
    entry, service = addresses.entry(), addresses.service(0)
    return {"through": (entry.host, entry.port), "direct": (service.host, service.port)}


def measure(rounds: int) -> str:
    with brought_up(4, local={"latency": False}) as stack:
        rows = asyncio.run(measured(rounds, roads_of(stack)))
    head = ("request", "at a time", "requests/s", "ratio of rates", "p50, ms", "p99, ms", "client's share of a core")
    figures = table(f"Through entry, gateway and service / the service directly, {rounds} rounds", head, rows)
    alone = {concurrency: statistics.median(limit(3000, concurrency).rate for _ in range(3)) for concurrency in COUNTS}
    return figures + "\nThe client alone, against a server that answers at once: {}.\n".format(
        ", ".join(f"{rate:.0f} requests/s at {concurrency} at a time" for concurrency, rate in alone.items())
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    print(measure(parser.parse_args(arguments).rounds))


if __name__ == "__main__":
    main()
