"""Who has which homes: what each partition's database says of itself, and what the partition map says of them all."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from components.local.servers.home_ranges import Ranges, owner
from operations.partitions.check import Suspect
from operations.partitions.homes import BEYOND, LETTERS
from operations.partitions.move import State
from topology.homes import born


@dataclass(frozen=True, kw_only=True)
class Range:
    """A row of `home_ranges`: from `first` up to where the next one begins."""

    first: str
    owned: bool
    moving_to: str | None = None
    moved_to: str | None = None


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What is known of all homes. `slots`: where each partition's own homes begin."""

    databases: Mapping[str, Sequence[Range]]
    slots: Mapping[str, int]
    members: Mapping[str, str]  # the writing member, by partition
    map: Ranges
    move: State | None = None


def suspects(claims: Claims) -> list[Suspect]:
    """Of each stretch of homes that somebody began with, what is wrong. A home that two databases write is the worst:
    nothing excuses it. That nobody writes it is a moment of every move."""
    found: list[Suspect] = []
    for first, last in _stretches(claims):
        here = {name: _at(ranges, first) for name, ranges in claims.databases.items()}
        writing = sorted(name for name, each in here.items() if each.owned)
        moving = _moves(claims.move, first)
        key = (("first", first), ("last", last))
        mapped = owner(claims.map, first)
        for name, each in here.items():
            if each.moving_to and not moving:
                found.append(_of(claims, "move_note", name, each.moving_to, key))
            if writing and each.moved_to and not each.owned and not _leads(here, name, writing[0]):
                found.append(replace(_of(claims, "homes_astray", name, each.moved_to, key), value=writing[0]))
        if len(writing) > 1:
            kept = mapped if mapped in writing else writing[0]
            for name in writing:
                if name != kept:
                    found.append(replace(_of(claims, "homes_of_two", name, kept, key), value=kept))
        elif not writing and not moving:
            found.append(_of(claims, "homes_of_none", mapped if mapped in here else "main", "", key))
        elif writing and mapped != writing[0] and not moving:
            found.append(_of(claims, "map_contradicts", writing[0], mapped, key))
    return list(_joined(found))


def written_by(databases: Mapping[str, Sequence[Range]], home: str) -> str | None:
    """The one partition that writes a home, where it is one."""
    found = [name for name, ranges in databases.items() if _at(ranges, home).owned]
    return found[0] if len(found) == 1 else None


def moves(move: State | None, home: str, *partitions: str) -> bool:
    """Whether the rows of a home may be at both of these just now."""
    return _moves(move, home) and move is not None and set(partitions) <= {move.source, move.target}


def _moves(move: State | None, home: str) -> bool:
    return move is not None and move.first <= home < move.last


def _stretches(claims: Claims) -> list[tuple[str, str]]:
    """Between any two bounds that somebody knows, without the homes of partitions that are yet to come."""
    own = [("", born(0)[1]), (LETTERS, BEYOND), *(born(slot) for slot in claims.slots.values())]
    bounds = {BEYOND, LETTERS, *(bound for span in own for bound in span), *(first for first, _ in claims.map)}
    bounds |= {each.first for ranges in claims.databases.values() for each in ranges}
    if claims.move is not None:
        bounds |= {claims.move.first, claims.move.last}
    return [(first, last) for first, last in pairwise(sorted(bounds)) if any(low <= first < high for low, high in own)]


def _at(ranges: Sequence[Range], home: str) -> Range:
    return max((each for each in ranges if each.first <= home), key=lambda each: each.first, default=_NOTHING)


_NOTHING = Range(first="", owned=False)


def _leads(here: Mapping[str, Range], start: str, end: str) -> bool:
    """Whether whoever asks there is sent on until the one that has the home."""
    seen: set[str] = set()
    name: str | None = start
    while name is not None and name in here and name not in seen:
        if name == end:
            return True
        seen.add(name)
        name = here[name].moved_to
    return False


def _of(claims: Claims, kind: str, partition: str, other: str, key: tuple[tuple[str, str], ...]) -> Suspect:
    return Suspect(
        kind=kind,  # pyright: ignore[reportArgumentType]
        partition=partition,
        member=claims.members.get(partition, ""),
        other=other,
        key=key,
    )


def _joined(found: Iterable[Suspect]) -> Iterable[Suspect]:
    """Stretches of the same trouble that follow each other are one."""
    joined: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    kept: dict[tuple[str, ...], Suspect] = {}
    for each in found:
        same = (each.kind, each.partition, each.other, each.value)
        first, last = dict(each.key)["first"], dict(each.key)["last"]
        kept.setdefault(same, each)
        spans = joined.setdefault(same, [])
        if spans and spans[-1][1] == first:
            spans[-1] = (spans[-1][0], last)
        else:
            spans.append((first, last))
    for same, spans in joined.items():
        for first, last in spans:
            yield replace(kept[same], key=(("first", first), ("last", last)))
