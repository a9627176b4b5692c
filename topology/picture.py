"""A picture of a topology as SVG text: the entry above, a room per planned region, replication below.

It has its own background, so that it reads on light and dark pages, and it is the same text every time. Each
partition's origin is drawn as its writer, because who is writer now is not part of a plan.
"""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from topology.ladder import LADDER
from topology.model import MemberPlan, PartitionPlan, RegionPlan, Serving, Topology

MARGIN = 32
GAP = 36  # between rooms
LEAST_ROOM = 312
MEMBER_ROOM = 148  # what one member needs of a room's width
PADDING = 18

TITLE, ENTRY, ENTRY_HEIGHT, ROOMS = 32, 104, 58, 226
HEADER, SERVICE, CACHE, MEMBER, BETWEEN = 64, 66, 42, 78, 14
LANE = 34  # between the replication lanes of two partitions

INK, SOFT, FAINT, LINE = "#0f172a", "#475569", "#64748b", "#94a3b8"
PAPER, ROOM = "#f1f5f9", "#ffffff"
# A partition's colour, and the tint of its writer.
PARTITION_LOOKS = (
    ("#0f766e", "#ccfbf1"),
    ("#7c3aed", "#ede9fe"),
    ("#be123c", "#ffe4e6"),
    ("#b45309", "#fef3c7"),
    ("#1d4ed8", "#dbeafe"),
    ("#4d7c0f", "#ecfccb"),
)

SERVICE_LOOKS: dict[Serving, tuple[str, str, str]] = {
    Serving.FULL: ("#dbeafe", "#2563eb", "service"),
    Serving.READS: ("#e0f2fe", "#0284c7", "service"),
    Serving.STANDBY: ("#fef3c7", "#d97706", "service, warm standby"),
    Serving.NONE: ("none", LINE, "no service"),
}

FONT = "ui-sans-serif, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', Arial, sans-serif"


def number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


def label(
    x: float, y: float, content: str, *, size: int = 13, colour: str = INK, bold: bool = False, anchor: str = "start"
) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{number(x)}" y="{number(y)}" font-size="{size}" fill="{colour}"{weight} '
        f'text-anchor="{anchor}">{escape(content)}</text>'
    )


def box(
    x: float, y: float, width: float, height: float, *, fill: str, stroke: str, radius: int = 8, dashed: bool = False
) -> str:
    dash = ' stroke-dasharray="5 5"' if dashed else ""
    return (
        f'<rect x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}" rx="{radius}" '
        f'fill="{fill}" stroke="{stroke}" stroke-width="1.5"{dash}/>'
    )


def line(points: Sequence[tuple[float, float]], *, colour: str, dashed: bool = False, width: float = 2) -> str:
    path = "M" + " L".join(f"{number(x)} {number(y)}" for x, y in points)
    dash = ' stroke-dasharray="6 5"' if dashed else ""
    return (
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{number(width)}" stroke-linejoin="round"{dash}/>'
    )


def head(x: float, y: float, *, colour: str, down: bool) -> str:
    """An arrow's head with its point at x, y."""
    back = y - 10 if down else y + 10
    points = f"{number(x)},{number(y)} {number(x - 6)},{number(back)} {number(x + 6)},{number(back)}"
    return f'<polygon points="{points}" fill="{colour}"/>'


def cylinder(x: float, y: float, width: float, height: float, *, fill: str, stroke: str) -> str:
    """The usual sign for a database."""
    radius, curve = width / 2, 8
    body = (
        f"M{number(x)} {number(y + curve)} A{number(radius)} {curve} 0 0 1 {number(x + width)} {number(y + curve)} "
        f"V{number(y + height - curve)} A{number(radius)} {curve} 0 0 1 {number(x)} {number(y + height - curve)} Z"
    )
    rim = f"M{number(x)} {number(y + curve)} A{number(radius)} {curve} 0 0 0 {number(x + width)} {number(y + curve)}"
    return (
        f'<path d="{body}" fill="{fill}" stroke="{stroke}" stroke-width="1.5"/>'
        f'<path d="{rim}" fill="none" stroke="{stroke}" stroke-width="1.5"/>'
    )


class Drawing:
    """The measures of one picture, and its parts."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        columns = max((len(region.members) for region in topology.regions), default=1)
        self.room_width = max(LEAST_ROOM, 2 * PADDING + columns * MEMBER_ROOM)
        rooms = len(topology.regions)
        # One room alone would leave the title no space.
        self.width = max(2 * MARGIN + rooms * self.room_width + (rooms - 1) * GAP, 720)
        self.left = (self.width - rooms * self.room_width - (rooms - 1) * GAP) / 2
        self.room_height = HEADER + SERVICE + CACHE + MEMBER + 2 * BETWEEN + PADDING
        self.floor = ROOMS + self.room_height
        self.replicated = [partition for partition in topology.partitions if len(partition.members) > 1]
        lanes = len(self.replicated)
        self.height = self.floor + (28 + LANE * lanes if lanes else 8) + 40

    def room_left(self, region: str) -> float:
        position = [planned.name for planned in self.topology.regions].index(region)
        return self.left + position * (self.room_width + GAP)

    def room_centre(self, region: str) -> float:
        return self.room_left(region) + self.room_width / 2

    def member_box(self, member: MemberPlan) -> tuple[float, float, float]:
        """Left edge, top edge and width of a member; members stand side by side in their room."""
        beside = self.topology.region(member.region).members
        width = (self.room_width - 2 * PADDING - BETWEEN * (len(beside) - 1)) / len(beside)
        left = self.room_left(member.region) + PADDING + beside.index(member.name) * (width + BETWEEN)
        return left, self.floor - PADDING - MEMBER, width

    def look(self, partition: str) -> tuple[str, str]:
        names = [planned.name for planned in self.topology.partitions]
        return PARTITION_LOOKS[names.index(partition) % len(PARTITION_LOOKS)]

    def place(self, region: str) -> str:
        return self.topology.region(region).facts.place

    def title(self) -> list[str]:
        phase = self.topology.phase
        return [
            label(MARGIN, TITLE + 16, f"Phase {phase.value}: {phase.label}", size=22, bold=True),
            label(MARGIN, TITLE + 42, LADDER[phase].buys, size=14, colour=SOFT),
        ]

    def entry(self) -> list[str]:
        left, width = self.left, self.width - 2 * self.left
        if self.topology.entry.policy == "home":
            rule = f"sends every user to {self.place(self.topology.home)}"
        else:
            rule = "sends each user to the nearest healthy region"
        name = self.topology.entry.hostname or "one global address"
        return [
            box(left, ENTRY, width, ENTRY_HEIGHT, fill="#e2e8f0", stroke="#64748b", radius=ENTRY_HEIGHT // 2),
            label(self.width / 2, ENTRY + 25, f"entry: {name}", size=15, bold=True, anchor="middle"),
            label(self.width / 2, ENTRY + 45, rule, colour=SOFT, anchor="middle"),
        ]

    def traffic(self, region: RegionPlan) -> list[str]:
        if not region.has_service:
            return []
        standby = region.serving is Serving.STANDBY
        colour = SERVICE_LOOKS[region.serving][1]
        if standby:
            text = "held out until promoted"
        elif self.topology.entry.policy == "home":
            text = "all users"
        else:
            text = f"users nearest to {region.facts.place}"
        x, top = self.room_left(region.name) + PADDING + 22, ENTRY + ENTRY_HEIGHT
        return [
            line([(x, top), (x, ROOMS - 9)], colour=colour, dashed=standby),
            head(x, ROOMS, colour=colour, down=True),
            label(x + 14, top + 36, text, size=12, colour=SOFT),
        ]

    def room(self, region: RegionPlan) -> list[str]:
        left, width = self.room_left(region.name), self.room_width
        used = region.in_use
        parts = [
            box(
                left,
                ROOMS,
                width,
                self.room_height,
                fill=ROOM if used else "none",
                stroke=FAINT if used else LINE,
                radius=14,
                dashed=not used,
            ),
            label(left + PADDING, ROOMS + 30, region.facts.place, size=18, colour=INK if used else FAINT, bold=True),
            label(left + PADDING, ROOMS + 50, region.name, colour=SOFT if used else FAINT),
            label(left + width - PADDING, ROOMS + 30, f"slot {region.slot}", size=12, colour=FAINT, anchor="end"),
            label(left + width - PADDING, ROOMS + 50, str(region.cidr), size=12, colour=FAINT, anchor="end"),
        ]
        if not used:
            middle = ROOMS + HEADER + (self.room_height - HEADER) / 2
            centre = self.room_centre(region.name)
            return [
                *parts,
                label(centre, middle - 6, "planned", size=15, colour=FAINT, anchor="middle"),
                label(centre, middle + 14, "range and names are reserved", size=12, colour=FAINT, anchor="middle"),
            ]
        return [*parts, *self.service(region), *self.cache(region)]

    def service(self, region: RegionPlan) -> list[str]:
        left, top = self.room_left(region.name) + PADDING, ROOMS + HEADER
        centre = self.room_centre(region.name)
        fill, stroke, name = SERVICE_LOOKS[region.serving]
        parts = [
            box(left, top, self.room_width - 2 * PADDING, SERVICE, fill=fill, stroke=stroke, dashed=fill == "none")
        ]
        if not region.has_service:
            return [*parts, label(centre, top + 38, "no service yet", colour=FAINT, anchor="middle")]
        return [
            *parts,
            label(centre, top + 29, name, size=15, bold=True, anchor="middle"),
            label(centre, top + 49, self.service_text(region), size=12, colour=SOFT, anchor="middle"),
        ]

    def service_text(self, region: RegionPlan) -> str:
        match region.serving:
            case Serving.STANDBY:
                return f"{region.capacity:.0%} of full capacity"
            case Serving.READS:
                return f"reads here, writes go to {self.place(self.topology.home)}"
            case _ if len(self.topology.partitions) > 1:
                return "reads here, writes go to the partition's writer"
            case _:
                return "reads and writes"

    def cache(self, region: RegionPlan) -> list[str]:
        left, top = self.room_left(region.name) + PADDING, ROOMS + HEADER + SERVICE + BETWEEN
        text, look = ("cache", "#f97316") if region.has_cache else ("no cache yet", LINE)
        return [
            box(
                left,
                top,
                self.room_width - 2 * PADDING,
                CACHE,
                fill="#ffedd5" if region.has_cache else "none",
                stroke=look,
                dashed=not region.has_cache,
            ),
            label(
                self.room_centre(region.name),
                top + CACHE / 2 + 5,
                text,
                colour=INK if region.has_cache else FAINT,
                bold=region.has_cache,
                anchor="middle",
            ),
        ]

    def member(self, member: MemberPlan) -> list[str]:
        left, top, width = self.member_box(member)
        colour, tint = self.look(member.partition)
        role = "writer" if member.is_origin else "replica"
        if member.size == "minimal":
            role += ", minimal"
        elif member.multi_zone:
            role += ", multi-zone"
        centre = left + width / 2
        return [
            cylinder(left, top, width, MEMBER, fill=tint if member.is_origin else ROOM, stroke=colour),
            label(centre, top + 40, member.partition, size=15, bold=True, colour=colour, anchor="middle"),
            label(centre, top + 59, role, size=12, colour=SOFT, anchor="middle"),
        ]

    def replication(self, lane: int, partition: PartitionPlan) -> list[str]:
        """A lane below the rooms: down from the origin, along, and up to each replica."""
        topology, (colour, _) = self.topology, self.look(partition.name)
        y = self.floor + 40 + lane * LANE
        foot = self.floor - PADDING  # the lower edge of the members
        centres: dict[str, float] = {}
        for name in partition.members:
            left, _, width = self.member_box(topology.member(name))
            centres[name] = left + width / 2
        origin, *replicas = partition.members
        ends = (min(centres.values()), max(centres.values()))
        parts = [
            line([(centres[origin], foot), (centres[origin], y)], colour=colour),
            line([(ends[0], y), (ends[1], y)], colour=colour),
        ]
        for name in replicas:
            path = topology.link(topology.member(origin).region, topology.member(name).region)
            delay = f"{'about ' if path.estimated else ''}{number(path.one_way_ms)} ms"
            x = centres[name]
            parts += [
                line([(x, y), (x, foot + 9)], colour=colour),
                head(x, foot, colour=colour, down=False),
                label(x + 9, self.floor + 19, delay, size=12, colour=colour, bold=True),
            ]
        return parts

    def legend(self) -> list[str]:
        text = "No copy in another region yet."
        if self.replicated:
            text = "Arrows below: replication, with the delay one way. Each partition's origin is drawn as its writer."
        return [label(self.width / 2, self.height - 18, text, size=12, colour=SOFT, anchor="middle")]

    def svg(self) -> str:
        topology = self.topology
        about = (
            f"Phase {topology.phase.value}, {topology.phase.label}: "
            + "; ".join(
                f"{region.facts.place} serves {region.serving.value} and holds {', '.join(region.members) or 'nothing'}"
                for region in topology.regions
            )
            + "."
        )
        parts = [
            box(0.75, 0.75, self.width - 1.5, self.height - 1.5, fill=PAPER, stroke=LINE, radius=16),
            *self.title(),
            *self.entry(),
        ]
        for region in topology.regions:
            parts += [*self.room(region), *self.traffic(region)]
        for lane, partition in enumerate(self.replicated):
            parts += self.replication(lane, partition)
        for member in topology.members:
            parts += self.member(member)
        parts += self.legend()
        size = f"{number(self.width)} {number(self.height)}"
        width, height = size.split()
        return "\n".join(
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{width}" height="{height}" '
                f'role="img" font-family="{FONT}">',
                f"<title>{escape(f'Meridian, phase {topology.phase.value}: {topology.phase.label}')}</title>",
                f"<desc>{escape(about)}</desc>",
                *parts,
                "</svg>\n",
            )
        )


def svg(topology: Topology) -> str:
    """The picture of a topology."""
    return Drawing(topology).svg()


def pair(before: Topology, after: Topology) -> str:
    """The pictures of a step, what is above what will be."""
    upper, lower = Drawing(before), Drawing(after)
    width, height = max(upper.width, lower.width), upper.height + GAP + lower.height
    text = f"Before: phase {before.phase.value}, {before.phase.label}. After: phase {after.phase.value}, "
    placed = lower.svg().replace("<svg ", f'<svg y="{number(upper.height + GAP)}" ', 1)
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {number(width)} {number(height)}" '
            f'width="{number(width)}" height="{number(height)}" role="img">',
            f"<title>{escape(text + after.phase.label)}.</title>",
            upper.svg() + placed + "</svg>\n",
        )
    )
