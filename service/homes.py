"""The home of each customer: settled once, at the first order, and kept for good; so it can be remembered anywhere.

A partition holds homes, and a home holds customers. Which partition holds a home may change, and is in the partition
map; which home a customer has never changes. It is in the customer's row, and for those who do not belong to `main`
also in the directory, a table of `main`, under a keyed digest of their name: `main` may be copied to where their own
data may not be.
"""

import hmac
import json
from collections.abc import Mapping
from pathlib import Path

from service.context import HOME, Context
from service.egress import Answer
from service.forwarding import Forwarder
from service.member import Member, MemberError, NotWriterError, UnknownOutcomeError
from service.partitions import MAIN, MapFile, PartitionMap
from service.problems import Problem, unavailable

PATH = "/homes"
REMEMBERED = 100_000


class Homes:
    def __init__(
        self, region: str, key_file: Path, members: Mapping[str, Member], forwarder: Forwarder, map_file: MapFile
    ) -> None:
        self._region = region
        self._key = key_file.read_bytes().strip()
        self._members = members
        self._forwarder = forwarder
        self._map_file = map_file
        self._known: dict[bytes, str] = {}

    def digest(self, customer: str) -> bytes:
        return hmac.digest(self._key, customer.encode(), "sha256")[:16]

    def learn(self, digest: bytes, home: str) -> None:
        if digest not in self._known and len(self._known) >= REMEMBERED:
            self._known.pop(next(iter(self._known)))
        self._known[digest] = home

    async def known(self, context: Context, partitions: PartitionMap, customer: str, digest: bytes) -> str | None:
        """The customer's home, as far as this region knows. Whose home was given up counts as new."""
        home = self._known.get(digest)
        if home is not None and not partitions.is_given_up(home):
            return home
        main = self._members.get(MAIN)
        if main is None or not main.answering:
            return None
        try:
            home = await main.home_of(customer, digest, context.deadline)
        except MemberError:
            return None
        if home is None or partitions.is_given_up(home):  # the directory of this copy may be a little behind
            return None
        self.learn(digest, home)
        return home

    async def for_order(
        self, context: Context, partitions: PartitionMap, customer: str, digest: bytes, user_region: str
    ) -> str:
        """The home under which to place this customer's order."""
        wished = partitions.first_home(user_region, digest)
        if len(partitions.writers) == 1:
            return wished
        if (home := await self.known(context, partitions, customer, digest)) is not None:
            return home
        if partitions.partition_of(wished) == MAIN:
            return wished  # the writer of `main` settles it with the order
        return await self._settled(context, partitions, customer, digest, wished, user_region)

    async def of_orders(self, context: Context, partitions: PartitionMap, customer: str, digest: bytes) -> str:
        """The home of a customer who should have orders; empty where this region knows none, and the writer of `main`
        has to be asked. None is given to anybody here."""
        if len(partitions.writers) == 1:
            return ""
        return await self.known(context, partitions, customer, digest) or ""

    async def _settled(
        self, context: Context, partitions: PartitionMap, customer: str, digest: bytes, wished: str, user_region: str
    ) -> str:
        writer = partitions.writers[MAIN]
        if writer == self._region and MAIN in self._members:
            home = await self.settle(context, partitions, customer, wished)
        else:
            body = json.dumps({"customer": customer, "home": wished}).encode()
            asked = self._forwarder.forward(
                context,
                PATH,
                partition=MAIN,
                region=writer,
                user_region=user_region,
                deadline=context.deadline,
                # Settling again changes nothing, which is what tells the gateway that it may be tried again.
                headers=(("content-type", "application/json"), ("idempotency-key", digest.hex())),
                body=body,
            )
            answer = await self._map_file.unless_moved(MAIN, writer, asked)
            home = _home(answer, writer)
        if partitions.is_given_up(home):
            raise _is_given_up(home)
        self.learn(digest, home)
        return home

    async def settle(self, context: Context, partitions: PartitionMap, customer: str, wished: str) -> str:
        """At the writer of `main`: the home that the customer has from now on, which may be another than was wished."""
        if partitions.is_given_up(wished):  # by a region whose map is old
            raise _is_given_up(wished)
        main = self._members.get(MAIN)
        if main is None:
            raise unavailable(f"region {self._region} holds no member of {MAIN}")
        try:
            return await main.settle_home(customer, self.digest(customer), wished, context.deadline)
        except (NotWriterError, MemberError, UnknownOutcomeError) as fault:
            # Also where it is not known whether a home was given: asking again finds it.
            raise unavailable(f"region {self._region} cannot settle a home now: {fault}") from None


def _home(answer: Answer, writer: str) -> str:
    home = answer.headers.get(HOME)
    if answer.status != 200 or not home:
        raise unavailable(f"region {writer} did not settle the customer's home (status {answer.status})")
    return home


def _is_given_up(home: str) -> Problem:
    return unavailable(f"the home {home} was given up with its partition, which is just being told everywhere")
