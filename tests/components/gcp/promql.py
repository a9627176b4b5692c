"""Prometheus' language as far as the alarms speak it, and its alerts: what an alarm would say of metrics that a test
plays, wherever the tests run.

The syntax is a real parser's. What an expression means is written down here for what the alarms use and nothing else:
anything more is refused before it is evaluated, and never guessed. Meanings:
prometheus.io/docs/prometheus/latest/querying (basics, operators, functions) and …/configuration/alerting_rules; where
these are silent, Prometheus 2.42's promql/functions.go, promql/engine.go and promql/quantile.go, with whose promtool
this has been compared.
"""

import math
import operator
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from itertools import pairwise

import promql_parser as parser

Labels = frozenset[tuple[str, str]]
Samples = Sequence[tuple[float, float]]  # seconds and value, in the order of time
Vector = dict[Labels, float]
Query = Callable[[float], Vector]

NAME, BUCKET = "__name__", "le"

# How old the newest sample may be (querying/basics, staleness), in seconds.
LOOKBACK = 300


class UnknownError(Exception):
    """An expression that is PromQL and that nobody has written down here."""

    def __init__(self, expression: object) -> None:
        super().__init__(f"{expression} is PromQL, but promql.py does not know it: add it there, as Prometheus has it")


class AmbiguousError(Exception):
    """Prometheus fails the evaluation, too."""


def divided(left: float, right: float) -> float:
    """As IEEE 754 has it, which Go follows and Python does not."""
    if right:
        return left / right
    return math.copysign(math.inf, left) * math.copysign(1, right) if left and not math.isnan(left) else math.nan


COMPARISONS = {">": operator.gt, ">=": operator.ge, "<": operator.lt}
ARITHMETIC = {"-": operator.sub, "*": operator.mul, "/": divided}
SETS = {"and", "or", "unless"}


def named(series: str) -> Labels:
    """Of a series as a selector has it, with its name among its labels."""
    selector = parser.parse(series)
    if not isinstance(selector, parser.VectorSelector):
        raise UnknownError(series)
    return frozenset((name, value) for name, _, value in matchers(selector))


def firing(query: Query, held: float, times: Iterable[float]) -> set[Labels]:
    """The alerts that fire at the last of the evaluations. Each begins anew when one evaluation did not have it."""
    since: dict[Labels, float] = {}
    at = 0.0
    for at in times:
        since = {labels: since.get(labels, at) for labels in unnamed(query(at))}
    return {labels for labels, begun in since.items() if at - begun >= held}


class Metrics:
    def __init__(self, played: Mapping[Labels, Samples]) -> None:
        self.played = [(dict(labels), labels, samples) for labels, samples in played.items()]

    def query(self, text: str) -> Query:
        return self.vector(parser.parse(text))

    def vector(self, expr: object) -> Query:
        match expr:
            case parser.ParenExpr():
                return self.vector(expr.expr)
            case parser.VectorSelector():
                return self.newest(expr)
            case parser.AggregateExpr():
                return self.summed(expr)
            case parser.BinaryExpr():
                return self.combined(expr)
            case parser.Call():
                return self.called(expr)
        raise UnknownError(expr)

    def chosen(self, selector: parser.VectorSelector) -> list[tuple[Labels, Samples]]:
        """A label that a series does not have is an empty one."""
        wanted = [
            (name, re.compile(re.escape(value) if op == parser.MatchOp.Equal else value))
            for name, op, value in matchers(selector)
        ]
        return [
            (labels, samples)
            for known, labels, samples in self.played
            if all(pattern.fullmatch(known.get(name, "")) for name, pattern in wanted)
        ]

    def newest(self, selector: parser.VectorSelector) -> Query:
        series, ago = self.chosen(selector), offset(selector)

        def evaluated(at: float) -> Vector:
            found = ((labels, between(samples, at - ago - LOOKBACK, at - ago)) for labels, samples in series)
            return {labels: samples[-1][1] for labels, samples in found if samples}

        return evaluated

    def over(self, matrix: object, function: Callable[[Samples, float, float], float | None]) -> Query:
        """`function` gets what is in the range, and when that begins and ends."""
        if not isinstance(matrix, parser.MatrixSelector):
            raise UnknownError(matrix)
        selector, length = matrix.vector_selector, matrix.range.total_seconds()
        series, ago = self.chosen(selector), offset(selector)

        def evaluated(at: float) -> Vector:
            start, end = at - ago - length, at - ago
            found = ((labels, between(samples, start, end)) for labels, samples in series)
            values = ((labels, function(samples, start, end)) for labels, samples in found if samples)
            return {labels: value for labels, value in values if value is not None}

        return evaluated

    def summed(self, expr: parser.AggregateExpr) -> Query:
        modifier = expr.modifier
        if str(expr.op) != "sum" or (modifier is not None and modifier.type != parser.AggModifierType.By):
            raise UnknownError(expr.prettify())
        inner, by = self.vector(expr.expr), frozenset() if modifier is None else frozenset(modifier.labels)

        def evaluated(at: float) -> Vector:
            found: defaultdict[Labels, float] = defaultdict(float)
            for labels, value in inner(at).items():
                found[kept(labels, by)] += value
            return dict(found)

        return evaluated

    def called(self, call: parser.Call) -> Query:
        match call.func.name, call.args:
            case ("rate" | "increase" | "avg_over_time") as name, [matrix]:
                inner = self.over(matrix, OVER[name])
                return lambda at: unnamed(inner(at))
            case "absent_over_time", [matrix]:
                inner = self.over(matrix, lambda *_: 1.0)
                asked = [each for each in matchers(matrix.vector_selector) if each[0] != NAME]
                if len({name for name, _, _ in asked}) < len(asked):
                    raise UnknownError(call.prettify())
                labels = frozenset((name, value) for name, op, value in asked if op == parser.MatchOp.Equal and value)
                return lambda at: {} if inner(at) else {labels: 1.0}
            case "vector", [parser.NumberLiteral(val=value)]:
                return lambda _: {frozenset(): value}
            case "histogram_quantile", [parser.NumberLiteral(val=share), buckets] if 0 <= share <= 1:
                inner = self.vector(buckets)
                return lambda at: quantiles(share, inner(at))
        raise UnknownError(call.prettify())

    def combined(self, expr: parser.BinaryExpr) -> Query:
        op, on = str(expr.op), matching(expr)
        match expr.lhs, expr.rhs:
            case _, parser.NumberLiteral(val=bound) if op in COMPARISONS and expr.modifier is None:
                left, holds = self.vector(expr.lhs), COMPARISONS[op]
                return lambda at: {labels: value for labels, value in left(at).items() if holds(value, bound)}
            case parser.NumberLiteral(val=number), _ if op in ARITHMETIC and expr.modifier is None:
                right, computed = self.vector(expr.rhs), ARITHMETIC[op]
                return lambda at: unnamed({labels: computed(number, value) for labels, value in right(at).items()})
        if op not in SETS and op not in ARITHMETIC:
            raise UnknownError(expr.prettify())
        left, right = self.vector(expr.lhs), self.vector(expr.rhs)
        if op in SETS:
            return lambda at: union(op, left(at), right(at), on)
        return lambda at: one_to_one(ARITHMETIC[op], left(at), right(at), on)


def matchers(selector: parser.VectorSelector) -> list[tuple[str, parser.MatchOp, str]]:
    known = (parser.MatchOp.Equal, parser.MatchOp.Re)
    found = [(each.name, each.op, each.value) for each in selector.matchers.matchers]
    if selector.at is not None or selector.matchers.or_matchers or any(op not in known for _, op, _ in found):
        raise UnknownError(selector)
    return found if selector.name is None else [(NAME, parser.MatchOp.Equal, selector.name), *found]


def offset(selector: parser.VectorSelector) -> float:
    return 0 if selector.offset is None else selector.offset.total_seconds()


def matching(expr: parser.BinaryExpr) -> frozenset[str] | None:
    """The labels by which both sides are matched; None are all of them."""
    written = "" if expr.modifier is None else str(expr.modifier)
    on = re.fullmatch(r"on \((.*)\)", written)
    # Not `ignoring`, `bool`, or a group.
    if written and (on is None or ")" in on[1]):
        raise UnknownError(expr.prettify())
    return None if on is None else frozenset(re.findall(r"\w+", on[1]))


def between(samples: Samples, start: float, end: float) -> Samples:
    """Both ends belong to it. Since Prometheus 3 the older does not, of which no alarm may depend."""
    return samples[bisect_left(samples, (start, -math.inf)) : bisect_right(samples, (end, math.inf))]


def kept(labels: Labels, names: Container[str]) -> Labels:
    return frozenset(each for each in labels if each[0] in names)


def without(labels: Labels, *names: str) -> Labels:
    return frozenset(each for each in labels if each[0] not in names)


def unnamed(vector: Vector) -> Vector:
    """What was computed of a metric is no longer that metric."""
    found = {without(labels, NAME): value for labels, value in vector.items()}
    if len(found) < len(vector):
        raise AmbiguousError(f"two of these have the same labels but for their names: {[*vector]}")
    return found


def signature(labels: Labels, on: frozenset[str] | None) -> Labels:
    return without(labels, NAME) if on is None else kept(labels, on)


def union(op: str, left: Vector, right: Vector, on: frozenset[str] | None) -> Vector:
    there = {signature(labels, on) for labels in (left if op == "or" else right)}
    if op == "or":
        return left | {labels: value for labels, value in right.items() if signature(labels, on) not in there}
    return {labels: value for labels, value in left.items() if (signature(labels, on) in there) == (op == "and")}


def one_to_one(
    computed: Callable[[float, float], float], left: Vector, right: Vector, on: frozenset[str] | None
) -> Vector:
    if not left or not right:
        return {}
    others = {signature(labels, on): value for labels, value in right.items()}
    found = [(key, value) for labels, value in left.items() if (key := signature(labels, on)) in others]
    if len(others) < len(right) or len(dict(found)) < len(found):
        raise AmbiguousError(f"many match many: {[*left]} and {[*right]}")
    return unnamed({key: computed(value, others[key]) for key, value in found})


def increase(samples: Samples, start: float, end: float) -> float | None:
    """Of a counter that may have begun anew, extrapolated to the ends of the range where the samples come near them,
    otherwise by half of their distance, and never to below zero.
    """
    if len(samples) < 2:
        return None
    (first, least), (last, most) = samples[0], samples[-1]
    grown = most - least + sum(before for (_, before), (_, after) in pairwise(samples) if after < before)
    to_start, to_end, covered = first - start, end - last, last - first
    distance = covered / (len(samples) - 1)
    if grown > 0 and least >= 0:
        to_start = min(to_start, covered * (least / grown))
    added = sum(each if each < distance * 1.1 else distance / 2 for each in (to_start, to_end))
    return grown * ((covered + added) / covered)


def rate(samples: Samples, start: float, end: float) -> float | None:
    grown = increase(samples, start, end)
    return None if grown is None else grown / (end - start)


def mean(samples: Samples, _start: float, _end: float) -> float:
    return math.fsum(value for _, value in samples) / len(samples)


OVER = {"rate": rate, "increase": increase, "avg_over_time": mean}


def quantiles(share: float, vector: Vector) -> Vector:
    histograms: defaultdict[Labels, dict[float, float]] = defaultdict(dict)
    for labels, value in vector.items():
        known = dict(labels)
        if BUCKET in known:
            buckets = histograms[without(labels, BUCKET)]
            bound = float(known[BUCKET])
            buckets[bound] = buckets.get(bound, 0.0) + value
    return unnamed({labels: quantile(share, buckets) for labels, buckets in histograms.items()})


def quantile(share: float, buckets: Mapping[float, float]) -> float:
    """Linear within its bucket; of the last, which has no end, that of the one before."""
    bounds = sorted(buckets)
    counts: list[float] = []
    for bound in bounds:
        counts.append(max([buckets[bound], *counts[-1:]]))
    if bounds[-1] != math.inf or len(bounds) < 2 or counts[-1] == 0:
        return math.nan
    rank = share * counts[-1]
    found = bisect_left(counts, rank)
    if found >= len(bounds) - 1:
        return bounds[-2]
    if found == 0 and bounds[0] <= 0:
        return bounds[0]
    below, under = (bounds[found - 1], counts[found - 1]) if found else (0.0, 0.0)
    return below + (bounds[found] - below) * divided(rank - under, counts[found] - under)
