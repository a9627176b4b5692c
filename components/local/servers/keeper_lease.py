"""The lease that lets one region at a time write a partition: what voters promise and what a holder may conclude.

Pure: no clock is read here, nothing is sent and nothing is stored. The rules, of which the tests check the outcome:

- A term belongs to one holder. A voter grants a lease for a term; the same holder renews it; a higher term is granted
  only when the lease that this voter granted before has run out by its own clock, or was given back.
- What a voter promised (the highest term, and whose it is) is on disk before anybody is told. What it granted is not:
  after a start it grants nothing new for a lease's length, which outlasts whatever it may have granted before.
- A holder counts from before it asked, voters from when they granted; the holder's lease is shorter by a margin. So it
  ends at the holder first, as long as no clock runs more than `MARGIN` faster over a lease than another.
- A lease is valid with a majority of voters, and any two majorities share one.

So two holders never have a valid lease at once. Patroni's leader key and etcd's leases rest on the same argument; here
no server beside the keepers is needed, because what is agreed on is one holder and not a log.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

# A write gap after the loss of a region is at least what is left of its lease, so it is short; and it is four
# renewals long, so that one lost message, or a pause of two seconds on a busy machine, does not stop the writer.
LENGTH = 3.0
RENEWAL = 0.75
# Clocks that count the same lease may differ by this: 5 %, where crystals differ by less than 0.02 %. Two
# processes of one machine share a clock; the margin also pays for rounding when the lease is told as wall time.
MARGIN = 0.15
# How long a keeper asks for a term that it took while its member is still a replica: the time to promote it.
TAKE_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Promise:
    """What a voter must not forget."""

    term: int = 0
    holder: str | None = None  # None: nobody has asked for this term yet


@dataclass(frozen=True, kw_only=True)
class Vote:
    """A voter's state for one partition. Every change of `promise` is to be stored before it is answered for."""

    promise: Promise
    until: float
    """When what it granted has run out, by its own clock; at a start, when anything it may have granted has."""

    granted: Promise | None = None
    """Whose what it granted is, also when something higher was fenced since; None: it does not know, or nobody's."""

    @classmethod
    def at_start(cls, promise: Promise, now: float) -> "Vote":
        """A voter that never promised anything has granted nothing either."""
        return cls(promise=promise, until=now + LENGTH if promise.term else now)

    def left(self, now: float) -> float:
        return max(0.0, self.until - now)

    def ended(self, now: float) -> float:
        """For how long nothing that it granted can have lasted any more."""
        return max(0.0, now - self.until)

    def grant(self, term: int, holder: str, now: float) -> "tuple[Vote, bool]":
        """Give or renew a lease of `LENGTH` from now, or not."""
        if (term, holder) == (self.promise.term, self.promise.holder):
            # Also just after a start: whatever was granted under this promise was granted to this holder, or has run
            # out before this holder's term began.
            return replace(self, until=max(self.until, now + LENGTH), granted=self.promise), True
        free = self.promise.holder is None and term == self.promise.term
        if term < 1 or not (free or term > self.promise.term) or self.until > now:
            return self, False
        promise = Promise(term=term, holder=holder)
        return Vote(promise=promise, until=now + LENGTH, granted=promise), True

    def fence(self, term: int) -> "Vote":
        """Renew nothing below `term` any more. What was granted still lasts for `left`."""
        return replace(self, promise=Promise(term=term)) if term > self.promise.term else self

    def release(self, term: int, holder: str, now: float) -> "Vote":
        """The holder has given the term up, for good: nobody has to wait for it, and nobody gets it again.

        That also holds for a lease below a term that was fenced since. After a start only the promise says whose the
        lease is, so one that was fenced before has to run out.
        """
        given = Promise(term=term, holder=holder)
        if given in (self.promise, self.granted):
            return Vote(promise=self.fence(term + 1).promise, until=now)
        return self if term == self.promise.term and self.promise.holder else self.fence(term + 1)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a holder must not forget."""

    term: int = 0  # what it asks for
    released: int = 0  # the highest term that it gave up; never to be asked for again


@dataclass(frozen=True, kw_only=True)
class Hold:
    """A holder's state for one partition. Every change of `claim` is to be stored before it is acted upon."""

    claim: Claim
    round: int = 0  # answers to earlier rounds count for nothing
    asked_at: float = 0.0
    granted: frozenset[str] = field(default_factory=frozenset)
    until: float = 0.0  # when its lease ends, by its own clock

    def left(self, now: float) -> float:
        return max(0.0, self.until - now)

    def take(self, term: int) -> "tuple[Hold, bool]":
        """Ask for this term from now on. Whether it does so by now."""
        if term == self.claim.term:
            return self, True
        if term < self.claim.term or term <= self.claim.released:
            return self, False
        return Hold(claim=replace(self.claim, term=term), round=self.round + 1), True

    def release(self, term: int) -> "tuple[Hold, bool]":
        """Give the term up, for good: from now on it neither asks nor holds. Whether it had that term, now or once."""
        if term != self.claim.term or term == 0:
            return self, 0 < term <= self.claim.released
        return Hold(claim=Claim(released=term), round=self.round + 1), True

    def ask(self, now: float) -> "Hold":
        """Begin a round; what is granted in it counts from now."""
        return replace(self, round=self.round + 1, asked_at=now, granted=frozenset())

    def answered(self, round_: int, voter: str, quorums: "Quorums") -> "Hold":
        """A voter granted what this round asked for."""
        if round_ != self.round or not self.claim.term:
            return self
        granted = self.granted | {voter}
        if not quorums.reached(granted):
            return replace(self, granted=granted)
        return replace(self, granted=granted, until=max(self.until, self.asked_at + LENGTH - MARGIN))


@dataclass(frozen=True, kw_only=True)
class Quorums:
    """Whose majority counts, also while regions come and go: Raft's joint consensus, with files in place of its log.

    A keeper that is told of other voters needs both majorities, of the voters it knew and of the new ones. A voter
    grants only to holders that count the set it was told of last. So once majorities of both sets were told, and what
    they granted before has run out, nobody can hold a lease by the old set alone any more, and it is forgotten.
    """

    voters: frozenset[str]  # what it was told of last
    settled: frozenset[str] | None = None  # the set that is known to count; None: this keeper is new
    agreed_at: float | None = None  # since when majorities are known to have been told the same

    @property
    def counted(self) -> frozenset[frozenset[str]]:
        return frozenset({self.voters, self.settled or self.voters})

    def told(self, voters: Collection[str]) -> "Quorums":
        new = frozenset(voters)
        return self if new == self.voters else Quorums(voters=new, settled=self.settled)

    def admits(self, counted: Collection[Collection[str]]) -> bool:
        """Whether a holder that counts these sets may have this voter's grant."""
        return self.voters in map(frozenset, counted)

    def reached(self, granted: Collection[str]) -> bool:
        """A keeper that is new in a stack that is not cannot know the old set, and reaches nothing until it settles."""
        return self.settled is not None and all(_majority(granted, voters) for voters in self.counted)

    def heard(self, others: "Mapping[str, Quorums]", now: float) -> "Quorums":
        """What follows from what the voters, this one too, say of theirs."""
        if self.settled == self.voters:
            return self
        agreeing = {name: other for name, other in others.items() if other.voters == self.voters}
        settled = replace(self, settled=self.voters, agreed_at=None)
        if any(other.settled == self.voters for other in agreeing.values()):
            return settled
        if self.settled is None:
            # Only where all are new is there no old set.
            unknown = self.voters - agreeing.keys()
            return self if unknown or any(other.settled for other in agreeing.values()) else settled
        if not all(_majority(agreeing.keys(), voters) for voters in self.counted):
            return replace(self, agreed_at=None)
        if self.agreed_at is None:
            return replace(self, agreed_at=now)
        return settled if now - self.agreed_at >= LENGTH + MARGIN else self


def _majority(granted: Collection[str], voters: frozenset[str]) -> bool:
    return 2 * len(voters.intersection(granted)) > len(voters)


def silent(ended: Collection[float], majority: int) -> float:
    """For how long nobody can have had the lease, from what a majority of the voters says of what it granted; else 0.

    Whoever had it was granted it by another majority, thus by one of these, and its lease ended before that grant.
    """
    return sorted(ended, reverse=True)[majority - 1] if len(ended) >= majority else 0.0


def first_term(answers: Mapping[str, Promise], region: str, quorums: Quorums) -> int | None:
    """The term that a holder without one may ask for, beside a member that writes; None: none.

    Term 1 where a majority knows of no term at all, as in a new stack. Else a term that is its own by the voters' word,
    which happens when its own folder was lost. Anything else is for operations to decide.
    """
    if not quorums.reached(answers):
        return None
    highest = max(answers.values(), key=lambda promise: promise.term)
    if highest.term == 0:
        return 1
    return highest.term if highest.holder == region else None
