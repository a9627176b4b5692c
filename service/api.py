"""The HTTP interface for orders: where each request is answered, and how."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote
from uuid import UUID

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from service import orders
from service.cache import Kept, OrderCache
from service.context import HOME, MOVED_TO, PARTITION, USER_REGION, Context, context_of
from service.deadlines import Deadline
from service.egress import Answer
from service.forwarding import Forwarder
from service.holding import Again, Hold
from service.homes import Homes
from service.member import ElsewhereError, Member, MemberError, NotWriterError, UnknownOutcomeError, Written
from service.metrics import Metrics
from service.orders import Change, NewOrder
from service.partitions import MAIN, MapFile, PartitionMap, WriterMovedError
from service.positions import HEADER as POSITION
from service.positions import TokenError, WritePosition
from service.problems import Problem, bad_request, not_found, unavailable, unknown_outcome
from service.settings import Settings

WAIT_FOR_REPLICA_SECONDS = 0.25
# An order is acknowledged some time after its id was made: it waited for locks and for standbys in between.
COMMIT_SECONDS = 5.0
# A map that is old, and then one step of a move that ended meanwhile: more than that is not to be expected.
REROUTES = 3
MISDIRECTED = 421
# For how long an order waits beside the database that gives its home away, which takes a fraction of that.
HOLD_SECONDS = 2.0
HOLD_POLL_SECONDS = 0.02
PASSED_BACK = (
    "retry-after",
    "idempotency-replayed",
    "location",
    "x-written-region",
    "x-write-position",
    "x-read-age-ms",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a request belongs."""

    user_region: str
    partition: str
    writer: str
    member: Member | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Write:
    """What a user asks for, and how another region is asked for it."""

    what: NewOrder | Change
    digest: bytes  # of the customer
    key: str
    target: str
    body: bytes


class OrdersApi:
    def __init__(
        self,
        settings: Settings,
        map_file: MapFile,
        members: Mapping[str, Member],
        cache: OrderCache,
        forwarder: Forwarder,
        hold: Hold,
        homes: Homes,
        metrics: Metrics,
    ) -> None:
        self._region = settings.region
        self._planned = settings.planned_regions
        self._map_file = map_file
        self._members = members
        self._cache = cache
        self._forwarder = forwarder
        self._hold = hold
        self._homes = homes
        self._metrics = metrics

    # Writes

    async def place(self, request: Request) -> Response:
        key = orders.checked_key(request.headers.getlist("idempotency-key"))
        body = await _body(request, context_of(request).deadline)
        return await self._write(request, NewOrder.parse(body), key, "/orders", body)

    async def change(self, request: Request) -> Response:
        key, order_id, customer, based_on = _change_of(request)
        body = await _body(request, context_of(request).deadline)
        change = Change.parse(order_id, customer, based_on, body)
        return await self._write(request, change, key, _target_of(change), body)

    async def cancel(self, request: Request) -> Response:
        key, order_id, customer, based_on = _change_of(request)
        change = Change(customer=customer, id=order_id, cancels=True, based_on=based_on)
        return await self._write(request, change, key, _target_of(change), b"")

    async def _write(self, request: Request, what: NewOrder | Change, key: str, target: str, body: bytes) -> Response:
        """Where the customer's home is written, wherever the request came in."""
        context = context_of(request)
        user_region, known = self._asked(request, context)
        digest = self._homes.digest(what.customer)
        write = Write(what=what, digest=digest, key=key, target=target, body=body)

        settled: str | None = None  # the customer's home, once it is known

        def waits_for() -> str:
            """The partition whose writer this order needs: who is new needs that of `main` in any case."""
            partitions = self._map_file.current or known
            return MAIN if settled is None or len(partitions.writers) == 1 else partitions.partition_of(settled)

        async def attempt() -> Response:
            nonlocal settled
            # Anew each time: who writes may have changed, also to this very region.
            self._map_file.refresh()
            partitions = self._map_file.current or known
            try:
                if isinstance(what, NewOrder):
                    home = await self._homes.for_order(context, partitions, what.customer, digest, user_region)
                else:
                    home = await self._homes.of_orders(context, partitions, what.customer, digest)
            except WriterMovedError:
                detail = f"the writer of {MAIN} was asked for the customer's home, and is another by now"
                raise Again(unavailable(detail), partition=MAIN, moved=True) from None
            except Problem as problem:
                raise Again(problem, partition=MAIN) from None
            settled, partition = home or None, partitions.partition_of(home) if home else MAIN
            for _ in range(REROUTES):
                place = self._place(partitions, user_region, partition)
                try:
                    if place.writer == self._region:
                        found = await self._write_here(context, place, write, home)
                    else:
                        # Also where this region has heard nothing from the writer for long, and may not know of a new
                        # one. A write that is passed on to the wrong region does no harm, as the database there has
                        # the last word; what is held meanwhile goes the right way once the map says so.
                        found = await self._pass_on(context, place, write, home)
                except Again as fault:
                    fault.partition = partition
                    raise
                if isinstance(found, Response):
                    return found
                # A map that is old ends here: in another try where the home is, never in a wrong write.
                home, partition = found
                settled = home
                self._metrics.writes.labels("moved").inc()
                self._homes.learn(digest, home)
                self._map_file.refresh()
                partitions = self._map_file.current or partitions
            raise Again(
                unavailable(f"the customer's home {home} moved more than once meanwhile"),
                busy=True,
                partition=partition,
            )

        if context.forwarded_by is None:
            settled = await self._homes.known(context, known, what.customer, digest)
            return await self._hold.write(waits_for, attempt, context.deadline)
        # It is held where it came from, and that region may know a newer map.
        home = request.headers.get(HOME, "")
        if not home and isinstance(what, NewOrder):
            home = known.first_home(user_region, digest)
        named = request.headers.get(PARTITION) or (known.partition_of(home) if home else MAIN)
        place = self._place(known, user_region, named)
        try:
            found = await self._write_here(context, place, write, home)
        except Again as fault:
            raise fault.problem from None
        if isinstance(found, Response):
            return found
        raise _misdirected(place.partition, *found)

    async def _pass_on(self, context: Context, place: Place, write: Write, home: str) -> "Response | tuple[str, str]":
        """The other region's answer; or where the order belongs, as home and partition."""
        headers = [("content-type", "application/json"), ("idempotency-key", write.key)]
        if home:
            headers.append((HOME, home))
        if isinstance(write.what, Change) and write.what.based_on is not None:
            headers.append(("if-match", f'"{write.what.based_on}"'))
        asked = self._forwarder.forward(
            context,
            write.target,
            partition=place.partition,
            region=place.writer,
            user_region=place.user_region,
            deadline=context.deadline,
            headers=headers,
            body=write.body,
        )
        try:
            answer = await self._map_file.unless_moved(place.partition, place.writer, asked)
        except WriterMovedError:
            # Should it have done the write, and the new writer have it too, the same key gets the same answer.
            detail = f"region {place.writer} was asked, and does not write partition {place.partition} any more"
            raise Again(unknown_outcome(detail), moved=True) from None
        except Problem as problem:
            raise Again(problem) from None
        if answer.status in (409, 503):
            raise Again(_problem_of(answer), busy=answer.status == 409)
        if answer.status == MISDIRECTED and {HOME, MOVED_TO} <= answer.headers.keys():
            return answer.headers[HOME], answer.headers[MOVED_TO]
        return _passed_back(answer)

    async def _write_here(
        self, context: Context, place: Place, write: Write, home: str
    ) -> "Response | tuple[str, str]":
        """The write done; or where it belongs, as home and partition. While that is being settled, it waits."""
        patience = context.deadline.within(HOLD_SECONDS)
        while True:
            try:
                return await self._written_at(context, place, write, home)
            except ElsewhereError as fault:
                self._map_file.refresh()
                current = self._map_file.current
                partition = fault.partition or (current.partition_of(fault.home) if current else place.partition)
                if partition != place.partition:
                    return fault.home, partition
                if patience.left() <= HOLD_POLL_SECONDS:
                    # It is about this customer's home alone.
                    raise Again(unavailable(f"the customer's home {fault.home} is being moved"), busy=True) from None
            await asyncio.sleep(HOLD_POLL_SECONDS)

    async def _written_at(self, context: Context, place: Place, write: Write, home: str) -> Response:
        if place.member is None:
            raise Again(unavailable(f"region {self._region} holds no member of partition {place.partition}"))
        try:
            member, known = place.member, {"digest": write.digest, "key": write.key, "deadline": context.deadline}
            if isinstance(write.what, NewOrder):
                written = await member.place(write.what, home=home, **known)
            else:
                written = await member.change(write.what, home=home, **known)
        except NotWriterError as fault:
            self._metrics.writes.labels("not_writer").inc()
            raise Again(
                unavailable(f"region {self._region} does not write partition {place.partition} now: {fault}")
            ) from None
        except MemberError as fault:
            self._metrics.writes.labels("unavailable").inc()
            raise Again(unavailable(f"the database of region {self._region} cannot take the write: {fault}")) from None
        except UnknownOutcomeError as fault:
            self._metrics.writes.labels("unknown").inc()
            raise unknown_outcome(f"the database of region {self._region} did not confirm the write: {fault}") from None
        self._metrics.writes.labels(written.outcome).inc()
        if written.home is not None:
            self._homes.learn(write.digest, written.home)
        return self._answer(write, written, place.partition)

    async def settle(self, request: Request) -> Response:
        """For other regions, not for users: the home that a new customer gets."""
        context = context_of(request)
        if context.forwarded_by is None:
            raise not_found("the service knows no such path")
        customer, wished = orders.parse_wish(await _body(request, context.deadline))
        self._map_file.refresh()
        _, partitions = self._asked(request, context)
        home = await self._homes.settle(context, partitions, customer, wished)
        return Response(b"", 200, {HOME: home})

    def _answer(self, write: Write, written: Written, partition: str) -> Response:
        if written.outcome == "in_flight":
            problem = Problem(
                409,
                "in-flight",
                "A request with this key is under way",
                "another request with this Idempotency-Key has not ended yet; ask again for its answer",
                retry_after=1,
                X_Written_Region=self._region,
            )
            raise Again(problem, busy=True)
        if written.outcome == "mismatch":
            raise Problem(
                422,
                "key-reused",
                "The key was used for another request",
                "this Idempotency-Key came with another request within the last 24 hours; send a new key",
                X_Written_Region=self._region,
            )
        if written.outcome == "missing":
            raise Problem(
                404, "not-found", "Not found", "the customer has no order of this id", X_Written_Region=self._region
            )
        if written.outcome == "stale":
            raise Problem(
                412,
                "changed-meanwhile",
                "The order was changed meanwhile",
                f"its revision is {written.revision}; read it and decide anew",
                X_Written_Region=self._region,
            )
        assert written.order is not None
        headers = {
            "X-Written-Region": self._region,
            POSITION: WritePosition(partition=partition, lsn=written.lsn).token(),
        }
        if written.outcome == "replayed":
            headers["Idempotency-Replayed"] = "true"
        if isinstance(write.what, NewOrder):
            headers["Location"] = f"/orders/{written.order.id}"
        elif write.what.cancels:
            return Response(None, 204, headers)
        status = 201 if written.outcome == "placed" else 200
        return Response(written.order.document(), status, headers, "application/json")

    # Reads

    async def read(self, request: Request) -> Response:
        context = context_of(request)
        try:
            order_id = UUID(request.path_params["id"])
        except ValueError:
            raise not_found("no order has this id; ids are UUIDs") from None
        user_region, partitions = self._asked(request, context)
        position = _position(request, partitions)

        kept = await self._cache.get(str(order_id))
        if kept is not None and kept.serves(position):
            member = self._members.get(kept.partition)
            context.read_age_ms = member.age_ms if member is not None else None
            return Response(kept.document, media_type="application/json")
        doubtful: list[Place] = []
        for partition in self._partitions(request, context, partitions, user_region, position):
            place = self._place(partitions, user_region, partition)
            seen = position if position is not None and position.partition == partition else None
            try:
                member = await self._near(context, place, seen)
                if member is not None:
                    lsn = member.state.lsn if member.state is not None else 0  # of before the row is read
                    found = await member.order(str(order_id), context.deadline)
                    if found is not None and found.is_here:
                        document = found.order.document()
                        self._cache.keep(found.order.id, Kept(document=document, partition=partition, lsn=lsn))
                        return Response(document, media_type="application/json")
                    if found is not None:
                        # Its home is being moved, and another partition has it as it is now. Should none of the near
                        # members say so, a writer does.
                        doubtful.append(self._place(partitions, user_region, found.moved_to or partition))
                        continue
                    if seen is not None or await self._surely_absent(member, order_id, context):
                        continue
            except MemberError as fault:
                context.notes["member"] = str(fault)
            doubtful.append(place)
        unknown = not_found("no order has this id")
        for place in doubtful:
            try:
                answer = await self._ask_writer(context, place, f"/orders/{order_id}", position)
            except Problem as problem:
                unknown = problem  # another partition may have it all the same
                continue
            if answer.status_code != 404:
                return answer
        raise unknown

    def _partitions(
        self,
        request: Request,
        context: Context,
        partitions: PartitionMap,
        user_region: str,
        position: WritePosition | None,
    ) -> tuple[str, ...]:
        """Where an order may be, the likeliest first: its id does not say."""
        if context.forwarded_by is not None and (named := request.headers.get(PARTITION)):
            return (named,)
        # Where the reader's write was; or, once its home has moved, wherever it is now.
        first = position.partition if position is not None else partitions.near(user_region)
        return tuple(sorted({first, *partitions.writers}, key=lambda name: (name != first, name)))

    async def list(self, request: Request) -> Response:
        context = context_of(request)
        parameters = request.query_params
        if "customer" not in parameters:
            raise bad_request("the parameter customer is missing; lists are of one customer's orders")
        customer = orders.checked_text("customer", parameters["customer"])
        limit = orders.checked_limit(parameters.get("limit"))
        after = orders.checked_cursor(parameters.get("cursor"))
        user_region, partitions = self._asked(request, context)
        position = _position(request, partitions)
        named = request.headers.get(PARTITION) if context.forwarded_by is not None else None
        if named is None and position is not None:
            named = position.partition
        if named is None and len(partitions.writers) > 1:
            home = await self._homes.known(context, partitions, customer, self._homes.digest(customer))
            named = partitions.partition_of(home) if home is not None else None
        place = self._place(partitions, user_region, named or partitions.near(user_region))
        try:
            member = await self._near(context, place, position)
            if member is not None:
                found = await member.orders(customer, after, limit + 1, context.deadline)
                return Response(orders.page(found, limit), media_type="application/json")
        except MemberError as fault:
            context.notes["member"] = str(fault)
        target = f"/orders?customer={quote(customer, safe='')}&limit={limit}"
        if after:
            target += f"&cursor={orders.cursor(after)}"
        return await self._ask_writer(context, place, target, position)

    async def _near(self, context: Context, place: Place, position: WritePosition | None) -> Member | None:
        """The near member, once it has replayed what the reader has seen; None where the writer must be asked."""
        member = place.member
        # A member that went quiet is only worth a try where there is nobody else to ask.
        if member is None or (not member.answering and place.writer != self._region and not context.forwarded_by):
            return None
        context.read_age_ms = member.age_ms
        if position is None:
            return member
        if await member.reached(position.lsn, context.deadline.within(WAIT_FOR_REPLICA_SECONDS)):
            self._metrics.token_reads.labels("local").inc()
            return member
        self._metrics.token_reads.labels("behind").inc()
        return None

    async def _surely_absent(self, member: Member, order_id: UUID, context: Context) -> bool:
        """Whether an order that a member lacks is lacking everywhere.

        A replica may merely be behind. Ids carry the time they were made (UUID version 7), so only an id newer than
        what the replica has replayed is worth a question to the writer; any other miss is answered here.
        """
        if order_id.version != 7:
            return True
        made_at = (order_id.int >> 80) / 1000
        if made_at > time.time() + 60:
            return True
        state = await member.fresh_state(context.deadline)
        if not state.in_recovery:
            return True
        return state.replayed_at_ms is not None and made_at + COMMIT_SECONDS < state.replayed_at_ms / 1000

    async def _ask_writer(
        self, context: Context, place: Place, target: str, position: WritePosition | None
    ) -> Response:
        context.read_age_ms = None
        if place.writer == self._region:
            raise unavailable(f"the database of region {self._region} does not answer")
        headers = () if position is None else ((POSITION.lower(), position.token()),)

        async def attempt(deadline: Deadline) -> Answer:
            try:
                answer = await self._forwarder.forward(
                    context,
                    target,
                    partition=place.partition,
                    region=place.writer,
                    user_region=place.user_region,
                    deadline=deadline,
                    headers=headers,
                )
            except Problem as problem:
                raise Again(problem) from None
            if answer.status == 503:
                raise Again(_problem_of(answer))
            return answer

        return _passed_back(await self._hold.read(place.partition, attempt, context.deadline))

    def _asked(self, request: Request, context: Context) -> tuple[str, PartitionMap]:
        """Where the user is, and the map in force."""
        user_region = request.headers.get(USER_REGION, self._region)
        if user_region not in self._planned:
            raise bad_request(f"X-User-Region must be one of {', '.join(sorted(self._planned))}")
        partitions = self._map_file.current
        if partitions is None:
            raise unavailable(f"region {self._region} has no partition map yet")
        context.notes["user_region"] = user_region
        if context.forwarded_by is not None:
            context.notes["forwarded_by"] = context.forwarded_by
        return user_region, partitions

    def _place(self, partitions: PartitionMap, user_region: str, partition: str) -> Place:
        writer = partitions.writers.get(partition)
        if writer is None:
            raise unavailable(f"partition {partition!r} is not known in region {self._region}")
        return Place(user_region=user_region, partition=partition, writer=writer, member=self._members.get(partition))


def _change_of(request: Request) -> tuple[str, str, str, int | None]:
    """The key, the order, its customer and the revision that a change is based on."""
    key = orders.checked_key(request.headers.getlist("idempotency-key"))
    try:
        order_id = UUID(request.path_params["id"])
    except ValueError:
        raise not_found("no order has this id; ids are UUIDs") from None
    if "customer" not in request.query_params:
        raise bad_request("the parameter customer is missing; it says whose order is changed")
    customer = orders.checked_text("customer", request.query_params["customer"])
    return key, str(order_id), customer, orders.checked_revision(request.headers.getlist("if-match"))


def _target_of(change: Change) -> str:
    return f"/orders/{change.id}?customer={quote(change.customer, safe='')}"


def _position(request: Request, partitions: PartitionMap) -> WritePosition | None:
    """What the reader wrote last; None also where its partition was given up, so that there is nothing to wait for."""
    token = request.headers.get(POSITION)
    if token is None:
        return None
    try:
        position = WritePosition.parse(token)
    except TokenError:
        raise bad_request(f"{POSITION} is not a token that a write gave out; send it back unchanged") from None
    return position if position.partition in partitions.writers else None


async def _body(request: Request, deadline: Deadline) -> bytes:
    too_large = Problem(
        413, "too-large", "The body is too large", f"an order takes at most {orders.MAXIMUM_BODY} bytes"
    )
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length[:12]) > orders.MAXIMUM_BODY:
        raise too_large
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(deadline.left()):
            async for part in request.stream():
                size += len(part)
                if size > orders.MAXIMUM_BODY:
                    raise too_large
                parts.append(part)
    except TimeoutError:
        raise Problem(408, "too-slow", "The body did not arrive in time", "send the whole body at once") from None
    except ClientDisconnect:
        raise bad_request("the client left before the whole body had arrived") from None
    return b"".join(parts)


def _misdirected(named: str, home: str, partition: str) -> Problem:
    """For the region that forwarded the order."""
    problem = Problem(
        MISDIRECTED,
        "misdirected",
        "Another partition has this home",
        f"partition {named} does not write the home {home}; {partition} does",
    )
    problem.headers |= {HOME: home, MOVED_TO: partition}
    return problem


def _passed_back(answer: Answer) -> Response:
    headers = {name: answer.headers[name] for name in PASSED_BACK if name in answer.headers}
    return Response(answer.body, answer.status, headers, answer.headers.get("content-type"))


def _problem_of(answer: Answer) -> Problem:
    """The refusal of another region's service, in its own words."""
    try:
        document = json.loads(answer.body)
        kind = str(document["type"]).rpartition(":")[2]
        problem = Problem(answer.status, kind, str(document["title"]), str(document["detail"]))
    except (ValueError, KeyError, TypeError):
        return unavailable(f"the other region answered {answer.status}")
    problem.headers |= {name.title(): answer.headers[name] for name in PASSED_BACK if name in answer.headers}
    return problem
