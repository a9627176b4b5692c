"""Moving a partition's writer between the servers of a local stack: SQL, signals, and the gateways' files."""

import contextlib
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from components.local.servers import (
    entry,
    keeper,
    postgres,
    postgres_demotion,
    process,
)
from components.local.servers.addresses import Addresses
from components.local.servers.errors import ServerFault
from components.local.servers.loopback import opened
from components.local.servers.member import MemberSpec
from components.local.servers.partition_map import MAIN
from components.local.servers.postgres_demotion import HOLD
from operations.drivers import local_customer, local_observation, local_rejoin, local_tail
from operations.drivers.local_ground import Ground, as_faults
from operations.drivers.trial import Trial
from operations.errors import Fault
from operations.failover.driver import Done, Fenced, Observation, Rejoined, Verification

if TYPE_CHECKING:
    from operations.stack import Stack

POLL = 0.012
IN_FLIGHT_SECONDS = 3.0  # a write's own deadline at the gateways
CATCH_UP_SECONDS = 15.0
FOLLOW_SECONDS = 5.0
RECONNECT_SECONDS = 1.5  # the farthest member has its new connection by then, or holds on to one that is dead
LEASE_SECONDS = 8.0  # an older lease to run out, and a round trip to a majority
DRIFT = 0.02  # two clocks that may each be off by one per cent
PROMOTE_SECONDS = 30.0
VERIFY_SECONDS = 10.0

# Whoever may still write: clients with a transaction that has begun, or that already wrote.
_IN_FLIGHT = """
select count(*) from pg_stat_activity
where backend_type = 'client backend' and pid <> pg_backend_pid() and datname <> 'postgres'
  and (backend_xid is not null or (state <> 'idle' and xact_start < %s))
"""


def open_driver(stack: "Stack", outputs: Mapping[str, Any], partition: str, vantage: str | None) -> "LocalDriver":
    from topology import from_summary

    summary = from_summary(outputs["topology"])
    found = summary.partition(partition)
    if found is None:
        raise Fault(f"{stack.name} has no partition {partition!r}")
    local = stack.settings.local
    return LocalDriver(
        Ground(
            folder=stack.folder,
            addresses=Addresses(str(outputs["ground"])),
            summary=summary,
            partition=found,
            vantage=vantage,
            programs=local.postgres_folder if local else None,
        ),
        str(outputs["entry"]),
    )


class LocalDriver:
    def __init__(self, ground: Ground, entry_url: str) -> None:
        self.ground = ground
        self.entry_url = entry_url
        self._fenced: tuple[int, float] | None = None  # a term, and when by `monotonic` all leases below it have ended

    def observe(self, among: Collection[str] | None = None) -> Observation:
        with as_faults():
            return local_observation.observe(self.ground, among)

    def prepare(self, target: str, others: Collection[str]) -> Done:
        """A replica can have the slots of its followers, and keeps what they need from then on."""
        ground = self.ground
        ground.require(target)
        with as_faults():
            for region in others:
                postgres.ensure_slot(ground.folder, ground.member(target).endpoint, ground.member(region).slot)
        return Done(detail=f"slots for {', '.join(sorted(others))}" if others else "")

    # --- a writer that can be reached --------------------------------------------------------------------------------

    def hold_writes(self, writer: str) -> Done:
        """New transactions are read-only, which services take as `not the writer`: gateways then try again."""
        self.ground.require(writer)
        with as_faults(), self.ground.owner(writer) as connection:
            row = connection.execute(f"select current_setting('{HOLD}')").fetchone()
            already = row == ("on",)
            if not already:
                connection.execute(f"alter system set {HOLD} = on")
                connection.execute("select pg_reload_conf()")
            # The postmaster passes the word on to its sessions; they obey before their next statement.
            time.sleep(POLL)
            held = connection.execute("select clock_timestamp()").fetchone()
            deadline = time.monotonic() + IN_FLIGHT_SECONDS
            while True:
                row = connection.execute(_IN_FLIGHT, held).fetchone()
                left = row[0] if row else 0
                if left == 0 or time.monotonic() > deadline:
                    break
                time.sleep(POLL)
        # Now, because a keeper gives a lease back only once the member knows, which takes a server that runs; and
        # before any fence, because a voter that promised a higher term takes nothing back of a lower one.
        with contextlib.suppress(Fault):
            local_rejoin.release(self.ground, writer)
        return Done(detail=f"{left} writes still in flight" if left else "", already=already)

    def stop_writer(self, region: str) -> Done:
        ground, member = self.ground, self.ground.member(region)
        ground.require(region)
        with as_faults():
            ran = postgres.stop(member)
            # Whoever starts it by then starts a replica.
            demoted = postgres_demotion.demote(member, ground.way_to_writer(region))
        return Done(already=not ran and not demoted)

    def catch_up(self, target: str, writer: str) -> Done:
        """What a shutdown writes last is its checkpoint: a target that replayed it has all there is."""
        ground, old = self.ground, self.ground.member(writer)
        ground.require(target)
        ground.require(writer)
        with as_faults():
            if postgres.is_running(old):
                raise Fault(f"{old.member} runs; it has to be stopped before another can have everything")
            control = postgres_demotion.control(old)
            if not control.clean:
                raise Fault(f"{old.member} did not shut down cleanly, so it may have more than anybody else")
            with ground.owner(target) as connection:
                question = "select not pg_is_in_recovery() or pg_last_wal_replay_lsn() > %s::pg_lsn"
                last = (postgres_demotion.lsn_text(control.checkpoint),)
                begun = time.monotonic()
                while connection.execute(question, last).fetchone() != (True,):
                    if time.monotonic() - begun > CATCH_UP_SECONDS:
                        raise Fault(f"{target} has not replayed {last[0]} of {writer} within {CATCH_UP_SECONDS:.0f} s")
                    time.sleep(POLL)
        return Done(detail=f"up to {last[0]}")

    def claim(self, target: str, term: int) -> Done:
        self.ground.require(target)
        self._claim(target, term)
        return Done(detail=f"term {term}")

    def reinstate(self, writer: str, term: int) -> Done:
        ground, member = self.ground, self.ground.member(writer)
        ground.require(writer)
        with as_faults():
            if not postgres.is_running(member) or postgres_demotion.is_replica(member):
                postgres.stop(member)
                postgres_demotion.restore(member)
                postgres.ensure_started(member)
            if ground.keepers is not None:
                self._take(writer, term)
            with ground.owner(writer) as connection:
                connection.execute(f"alter system reset {HOLD}")
                connection.execute("select pg_reload_conf()")
            followers = [region for region in ground.members if region != writer]
            for region in followers:
                postgres.ensure_slot(ground.folder, member.endpoint, ground.members[region].slot)
            detail = self._repoint(writer, followers)
            for region in ground.reachable(followers):
                local_rejoin.drop_stale_slots(ground, region)
        return Done(detail=detail)

    # --- the fence ---------------------------------------------------------------------------------------------------

    def fence(self, term: int) -> Done:
        self._fenced = (term, time.monotonic() + self._fence(term) * (1 + DRIFT))
        return Done(detail=f"term {term}")

    def await_fenced(self, term: int, writer: str) -> Fenced:
        ground = self.ground
        if ground.keepers is None:
            member = ground.member(writer)
            if ground.reaches(writer) and not postgres.is_running(member) and postgres_demotion.is_replica(member):
                return Fenced(how="stopped", detail=f"{member.member} is down, and would start as a replica")
            raise Fault(f"this stack has no lease, and {writer} was not seen to be down")
        if self._fenced is None or self._fenced[0] != term:
            self.fence(term)
        assert self._fenced is not None
        left = max(0.0, self._fenced[1] - time.monotonic())
        if left > LEASE_SECONDS:
            raise Fault(f"a lease of {writer} would still run for {left:.0f} s")
        # Nobody of this majority renews it, and no other majority is without one of them.
        time.sleep(left)
        return Fenced(how="expired", detail=f"term {term}, after {left:.2f} s")

    def _fence(self, term: int) -> float:
        """How many seconds a lease below the term may still last, by a majority that grants none any more."""
        keepers, partition = self.ground.keepers, self.ground.partition.name
        if keepers is None:
            raise Fault("this stack has no keepers, so there is no lease to fence")
        answers = _first(keepers, lambda region: keeper.fence(keepers, partition, term, among=(region,))[region])
        if ahead := [answer.term for answer in answers if answer.term > term]:
            raise Fault(f"somebody else has fenced the partition meanwhile, with term {max(ahead)} above {term}")
        if len(answers) < keepers.majority:
            raise Fault(f"{len(answers)} of {len(keepers.slots)} keepers answer; a fence needs {keepers.majority}")
        return max(answer.left_ms for answer in answers) / 1000

    # --- the new writer ----------------------------------------------------------------------------------------------

    def turn(self, target: str, members: Collection[str]) -> Done:
        self.ground.require(target)
        with as_faults():
            self._turn(target, self.ground.reachable(region for region in members if region != target))
        return Done()

    def follow(self, target: str, members: Collection[str]) -> Done:
        self.ground.require(target)
        with as_faults():
            return Done(detail=self._repoint(target, members))

    def _turn(self, target: str, members: Collection[str]) -> None:
        ground = self.ground
        turned = [region for region in members if ground.point(region, "db", target)]
        time.sleep(2 * POLL)  # a gateway takes a few ms to see the file
        for region in turned:
            _reconnect(ground.members[region])

    def _repoint(self, target: str, members: Collection[str]) -> str:
        """Replication of these regions leads to the target, and their members use it. Who does not, in words."""
        ground = self.ground
        waiting = set(ground.reachable(region for region in members if region != target))
        self._turn(target, waiting)
        began, again = time.monotonic(), False
        with ground.owner(target) as connection:
            while True:
                connected = {
                    row[0] for row in connection.execute("select application_name from pg_stat_replication").fetchall()
                }
                waiting = {region for region in waiting if ground.members[region].member not in connected}
                waited = time.monotonic() - began
                if not waiting:
                    return ""
                if waited > FOLLOW_SECONDS:
                    return f"not followed yet by {', '.join(sorted(waiting))}"
                if waited > RECONNECT_SECONDS and not again:
                    again = True
                    for region in waiting:
                        _reconnect(ground.members[region])
                time.sleep(POLL)

    def promote(self, target: str, term: int) -> Done:
        ground = self.ground
        ground.require(target)
        with as_faults():
            if ground.keepers is not None:
                self._take(target, term)
            with ground.owner(target) as connection:
                if connection.execute("select pg_is_in_recovery()").fetchone() == (False,):
                    return Done(already=True)
                # It would wait in steps of 100 ms (xlogfuncs.c, WAITS_PER_SECOND).
                connection.execute("select pg_promote(false)")
                deadline = time.monotonic() + PROMOTE_SECONDS
                while connection.execute("select pg_is_in_recovery()").fetchone() != (False,):
                    if time.monotonic() > deadline:
                        raise Fault(f"{ground.member(target).member} is not promoted after {PROMOTE_SECONDS:.0f} s")
                    time.sleep(POLL / 2)
        return Done()

    def _claim(self, region: str, term: int) -> bool:
        """Whether the region's keeper, which asks for the term from now on, has been granted it."""
        keepers, partition = self.ground.keepers_from(region), self.ground.partition.name
        if keepers is None:
            raise Fault(f"{region} has no keeper, so its member cannot have a lease")
        taken = keeper.take(keepers, region, partition, term)
        if taken is None:
            raise Fault(f"the keeper of {region} does not answer, so its member cannot have a lease")
        if not taken.done:
            raise Fault(f"the keeper of {region} is at term {taken.term} and does not take {term}")
        return taken.left_ms > 0

    def _take(self, region: str, term: int) -> None:
        """A majority has granted the term to this region, so nobody else's lease is valid any more."""
        deadline = time.monotonic() + LEASE_SECONDS
        while not self._claim(region, term):
            if time.monotonic() > deadline:
                raise Fault(f"{region} was granted no lease of term {term} within {LEASE_SECONDS:.0f} s")
            time.sleep(POLL)

    def point(self, target: str) -> Done:
        ground = self.ground
        ground.require(target)
        with as_faults():
            regions = ground.reachable(ground.used)
            changed = local_rejoin.point(ground, regions, target)
        away = [region for region in ground.used if region not in regions]
        return Done(detail=f"not in {', '.join(away)}" if away else "", already=not changed)

    def admit(self, target: str, hold_out: Collection[str]) -> Done:
        """The entry is no region's: it is changed from everywhere."""
        with as_faults():
            held = (set(entry.held_out(self.ground.folder)) | set(hold_out)) - {target}
            return Done(already=not entry.hold_out(self.ground.folder, held))

    def verify(self, target: str) -> Verification:
        plan = self.ground.summary.region(target)
        # Where nobody serves beside the new writer there may be no way to it at all.
        served = plan is not None and plan.serving.value != "none"
        seconds = VERIFY_SECONDS if served else 1.0
        ground, hint = self.ground, ""
        if len(ground.summary.partitions) == 1:
            tried = Trial(self.entry_url, target, opened)
        else:
            with as_faults():
                home = local_customer.writable(ground, target)
            if home is None:
                # As after a merge, or while all of them are being moved: nobody can order there.
                found = tuple(region for region, facts in self.observe().members.items() if facts.accepts_writes)
                here = target in found
                return Verification(
                    write=here, read=here, writers=found, detail="it has no homes, so no order was placed"
                )
            try:
                local_customer.put_down(ground, [home])
            except (Fault, ServerFault) as fault:  # it may have been before
                hint = f"; and {MAIN}, which settles where the order belongs, says: {fault}"
            customer = local_customer.name(home)
            tried = Trial(self.entry_url, target, opened, customer=customer, partition=ground.partition.name)
        tried.go_on_for(seconds, every=0.1)
        found = tried.verification(self.observe())
        return found if found.write and found.read else replace(found, detail=f"{found.detail}{hint}")

    def refresh(self) -> Done:
        """The state of a local stack knows no role, and nothing that a failover changes."""
        return Done(already=True)

    # --- a member that was away --------------------------------------------------------------------------------------

    def save_tail(self, region: str, writer: str) -> Path | None:
        with as_faults():
            return local_tail.save(self.ground, region, writer)

    def rejoin(self, region: str, writer: str) -> Rejoined:
        with as_faults():
            return local_rejoin.rejoin(self.ground, region, writer)


def _first(keepers: keeper.Keepers, ask: Callable[[str], keeper.Fenced | None]) -> list[keeper.Fenced]:
    """The answers of the first majority: whoever is gone is not waited for. Fewer where there is no majority."""
    pool = ThreadPoolExecutor(len(keepers.slots), thread_name_prefix="fence")
    answers: list[keeper.Fenced] = []
    try:
        for done in as_completed([pool.submit(ask, region) for region in keepers.slots]):
            if (answer := done.result()) is not None:
                answers.append(answer)
            if len(answers) >= keepers.majority:
                break
    finally:
        pool.shutdown(wait=False)
    return answers


def _reconnect(member: MemberSpec) -> None:
    """End a replica's connection to its writer: it takes a new one, the way that its gateway leads by now."""
    server = process.running(member.home)
    if server is None:
        return
    try:
        for child in psutil.Process(server.pid).children():
            # PostgreSQL names its processes for such eyes (ps_status.c); pg_terminate_backend() takes no receiver.
            if "walreceiver" in " ".join(child.cmdline()):
                child.terminate()
    except psutil.Error:
        return
