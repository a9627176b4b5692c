"""The runbook of one stack, as Markdown: what to look at, what to type, and what it says when it went well. Pure.

It is written from the plan and from what runs, so that every command has real names; write it again after a climb.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from operations.drill.report import grid
from topology.model import Topology
from topology.recovery import Drill, held, span
from topology.scenarios import scenarios


@dataclass(frozen=True, kw_only=True)
class Book:
    topology: Topology
    stack: str
    command: str  # how commands for this stack begin and end: "./meridian {} --stack dev"
    written: str  # when
    entry: str | None
    writers: Mapping[str, str | None]  # by partition, who writes now; None: not known
    leases: Mapping[str, str]  # by partition, in words
    keepers: tuple[str, ...]
    drills: Sequence[Drill] = ()
    table: str = ""  # what the drills of this stack found

    def type(self, *words: str) -> str:
        return self.command.format(" ".join(words))


def markdown(book: Book) -> str:
    return "\n\n".join(part.strip() for part in _parts(book)) + "\n"


def _parts(book: Book) -> Iterable[str]:
    yield _head(book)
    yield _who(book)
    yield _look(book)
    yield _which(book)
    for partition in book.topology.partitions:
        if len(partition.members) > 1:
            yield _moving(book, partition.name, [book.topology.member(name).region for name in partition.members])
    yield _interrupted(book)
    yield _small(book)
    yield _numbers(book)
    yield _post_mortem(book)


def _head(book: Book) -> str:
    topology = book.topology
    rows = [
        (
            region.name,
            region.facts.place,
            "in use" if region.in_use else "planned",
            region.serving.value,
            ", ".join(region.members) or "-",
            ("keeper" if region.in_use else "witness") if region.name in book.keepers else "-",
        )
        for region in topology.regions
    ]
    writers = ", ".join(f"`{name}` by {writer or 'an unknown region'}" for name, writer in book.writers.items())
    return f"""
# Runbook of {book.stack}

Written {book.written} from what runs: target {topology.target}, phase {topology.phase.value}
({topology.phase.label}). Write it again after every change: `{book.type("runbook", "--file", "runbook.md")}`.

- Users call **{book.entry or "no entry yet"}**.
- Written now: {writers}. After a failover this differs from the settings, and that is right.
{"".join(f"- Lease of `{name}`: {words}.{chr(10)}" for name, words in book.leases.items())}
{grid(("region", "place", "", "service", "members", "lease"), rows)}
"""


def _who(book: Book) -> str:
    owner = book.topology.ownership.owner if book.topology.ownership else None
    rpo = book.topology.objectives.rpo_seconds
    limit = f"at most {rpo} s of writes (`objectives.rpo_seconds`)" if rpo is not None else "what `--max-loss` says"
    if book.topology.automatic_failover:
        act = (
            f"The watcher (`{book.type('watch')}`) moves the writer by itself when its region is lost, within {limit}. "
            "A person decides what it refuses, every way back, and every planned move."
        )
    else:
        act = (
            f"A person decides. The watcher (`{book.type('watch')}`) only gives the alarm. Moving a writer away from a "
            f"region that is lost may cost acknowledged writes: the command says how many seconds and bytes before it "
            f"acts, and refuses more than {limit}."
        )
    return f"""
## Who decides

{act}

- **Decides**: {owner or "the owner of this stack (the settings name none: `ownership.owner`)"}, or whoever is on call
  when the owner does not answer within 5 minutes.
- **Types**: one person. A second one reads along and keeps the log with times. A lock keeps two commands apart; it
  does not keep two decisions apart.
- **Tells users**: a third person, every 15 minutes, also when there is nothing new.
"""


def _look(book: Book) -> str:
    first = book.topology.regions_in_use[0].name
    return f"""
## Look first (one minute)

```
{book.type("status")}
{book.type("watch", "--once")}      # three misses from a majority of the regions: an outage; Ctrl-C ends it
{book.type("logs", first)}
```

All is well when every region is `ready`, every gateway and service is `up`, each partition has **one** writer, and each
replica's lag is a few bytes or milliseconds. `unfinished` in `status` means that an operation was cut short: carry on
with it first.
"""


def _which(book: Book) -> str:
    rows = [
        (
            "one region's gateway, service or cache is down",
            "users are served elsewhere by themselves",
            "*Small things*",
        ),
        ("the writer's server or its whole region is gone", "reads go on, writes get 503", "*The writer is lost*"),
        ("the writer's region answers its own users only", "as above; its lease runs out", "*The writer is lost*"),
        ("a region is to be worked on", "nothing yet", "*Move the writer in order*"),
        ("rows or a table are gone everywhere", "a replica copies a mistake", "*Small things*, restore"),
    ]
    return f"""
## What it is

{grid(("what you see", "what users see", "go to"), rows)}

What this plan covers:

{grid(("", "", "how"), [(each.name, each.cover, each.how) for each in scenarios(book.topology, book.drills)])}
"""


def _moving(book: Book, partition: str, regions: Sequence[str]) -> str:
    writer = book.writers.get(partition) or regions[0]
    others = [region for region in regions if region != writer]
    part = ["--partition", partition] if partition != "main" else []
    target = others[0]
    fenced = (
        "The old writer needs no hand: its lease ends within 3 seconds, and the command waits for that."
        if book.keepers
        else "There is no lease here: make sure that the old writer is down (power, or its address) before you say so "
        "with `--old-writer-is-fenced`."
    )
    served = book.topology.region(target).has_service
    small = [] if served else ["--despite-capacity"]
    said = [] if book.keepers else ["--old-writer-is-fenced"]
    if not served:
        fenced += (
            f" {target} has the data and no service: users come back with {writer}, or once "
            f"`{book.type('up', '--phase', 'active-passive')}` has built one there."
        )
    return f"""
## `{partition}`: the writer is lost

{fenced} Stand where the network works, outside the region that is lost (`--from`).

```
{book.type("failover", *part, "--from", target, *said, *small)}
```

1. It shows who has received how much, what may be lost, and every step; nothing has happened yet. **Read the line
   "It may lose ...".** More than is allowed is refused (status 2); then `--max-loss` is the decision to be made, by
   whoever decides.
2. `--to {target}` only prefers a region: a member that has received more goes before it.
3. It went well when it ends with status 0 and "{target} writes {partition}, after ... s", and `{book.type("status")}`
   shows one writer and its lease.

When {writer} is back (`--rejoin-only` says whether it followed, was rewound, or was copied anew):

```
{book.type("up")}    # starts its servers; data are kept
{book.type("failback", *part, "--to", writer, "--rejoin-only")}   # a replica again
{book.type("reconcile", "list")}    # what {writer} had acknowledged and nobody else has
{book.type("failback", *part, "--to", writer, *small)}    # the writer again, in a quiet hour
```

What `reconcile` lists is lost to users until `{book.type("reconcile", "replay")}` places it again, each order with its
own key. Decide that with whoever owns the data.

## `{partition}`: move the writer in order

```
{book.type("switchover", *part, "--to", target)}
```

Nothing is lost; writes wait for about a second. It refuses, and changes nothing, where {target} lags or cannot take the
load. The way back is the same command with `--to {writer}`. While it has not pointed writes at {target} yet, `--undo`
lets {writer} write again.
"""


def _interrupted(book: Book) -> str:
    return f"""
## An operation was cut short

`{book.type("status")}` names it and how to go on: repeat its command with `--resume`. `--undo` takes a switchover back
as long as nobody else may have taken writes. Until one of them has ended well, `up` and every other operation
refuse: do not work around that. The record of each operation, step by step with times, is in
`operations/NNN.json` of the stack's folder.

Without this tool: docs/failover-by-hand.md.
"""


def _small(book: Book) -> str:
    local = book.topology.target == "local"
    restore = (
        f"`{book.type('restore', '--to', 'TIME')}` builds a copy beside the running member, as it was then; look "
        "at it, then bring back what is missing. Never over the running member."
        if local
        else "Restore the managed backup beside the running database, look, and copy back what is missing."
    )
    return f"""
## Small things

- **Gateway, service, cache or a replica is down**: `{book.type("up")}` starts what should run; nothing else is touched.
  It went well when `status` shows it `up` and the region `ready`.
- **A bad deploy**: take the version back with `{book.type("up")}` from the commit before. It went to one region first;
  the others never had it.
- **The writer's disk is full**: its server ends rather than lose what it acknowledged. Make room and
  `{book.type("up")}`, if that takes minutes; else fail over first.
- **A table or rows are gone**: stop whoever deletes. {restore}
"""


def _numbers(book: Book) -> str:
    rows = [
        (
            each.name,
            "nothing asked" if each.asked is None else span(each.asked),
            each.reached.text,
            each.reached.source,
            {None: "-", True: "met", False: "**not met**"}[each.met],
        )
        for each in held(book.topology, book.drills)
    ]
    tried = book.table or f"No drill was ever run on this stack: `{book.type('drill', '--list')}`."
    return f"""
## Numbers

When a region is lost:

{grid(("", "asked", "reached", "from", ""), rows)}

What the drills of this stack found:

{tried}
"""


def _post_mortem(book: Book) -> str:
    return f"""
## Post-mortem

Copy this within a day; it names no culprit.

```
# What happened to {book.stack} on <date>
In two sentences, for somebody who was not there.

Impact: users in <regions>; writes failed for <s>, reads for <s>; acknowledged writes lost: <n>, replayed: <n>.
Objectives: RTO asked <s>, was <s>; RPO asked <s>, was <s>.

| time (UTC) | what | from where it is known |
| --- | --- | --- |
|  | it began | logs |
|  | somebody or the watcher noticed |  |
|  | it was decided to ... | by whom, with what in view |
|  | the operation: each step | operations/NNN.json |
|  | users are served again | drill or entry logs |
|  | full redundancy again | `status` |

Why it happened (ask on until the answer is something we can change):
What went well:
What was luck:
What we did not see, and would have wanted to:

| to do | who | until | how we know that it is done (which drill) |
| --- | --- | --- | --- |
```
"""
