"""Whether a region may still be trusted to be up to date, by what its own member knows; no other region is asked.

A writer is, while it holds its lease. A replica is, while it hears from its writer. Where no lease is asked for, as
with one region or two, nobody could say who is writer then, and every member counts.
"""

from dataclasses import dataclass

# The writer speaks at least every 2.5 s: PostgreSQL's receiver asks for a sign of life after half of
# wal_receiver_timeout (5 s), and gives the connection up after the whole.
STALE_SECONDS = 5.0
# A member that was promoted a moment ago has an empty table of leases until its keeper has written there.
UNKNOWN_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    required: bool = False
    in_recovery: bool = False
    since: float | None = None
    """On this machine's monotonic clock: since when what is read here may be out of date; None: not known."""

    unknown_since: float = 0.0

    def seen(
        self,
        in_recovery: bool,
        required: bool,
        lease_left_ms: int | None,
        heard_ms: int | None,
        *,
        replayed_ago: float | None,
        now: float,
    ) -> "Standing":
        """What follows from the member's latest answer."""
        same = self.required and self.in_recovery == in_recovery
        if in_recovery:
            since = now - heard_ms / 1000 if heard_ms is not None else self.since if same else None
            if since is None and replayed_ago is not None:
                since = now - max(0.0, replayed_ago)
        else:
            since = None if lease_left_ms is None else now + lease_left_ms / 1000
        return Standing(
            required=required,
            in_recovery=in_recovery,
            since=since,
            unknown_since=self.unknown_since if same and self.since is None else now,
        )

    def age_ms(self, now: float) -> int | None:
        """How old what is read here may be, once that is too old; None while the member is up to date."""
        if not self.required:
            return None
        since = self.unknown_since if self.since is None else self.since
        patience = STALE_SECONDS if self.in_recovery else UNKNOWN_SECONDS if self.since is None else 0.0
        return round((now - since) * 1000) if now - since > patience else None
