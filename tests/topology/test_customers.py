"""What a change of partitions says to those who make it: who is new where, who stays, and what is refused."""

import json
from typing import Any

import pytest

from tests.topology.plans import AMERICAS, topology
from tests.topology.test_transitions import ON_AWS, THREE_ON_AWS, brief, exported, refused
from topology import Topology, check, from_summary, steps, to_summary

FOUR = ("eu-central", "us-east", "ap-northeast", "sa-east")
ASIA = {"name": "asia", "slot": 2, "origin": "ap-northeast", "serves": ["JP"]}


def five(*partitions: dict[str, Any]) -> Topology:
    return topology(5, *FOUR, partitions=list(partitions))


def texts(old: Topology, new: Topology, kind: str) -> dict[str, str]:
    return {step.subject: step.text for step in steps(exported(old), new) if step.kind == kind}


def test_a_partition_that_opens_says_who_is_new_in_it_and_how_to_move_the_others() -> None:
    assert texts(topology(4, *FOUR, partitions=[AMERICAS, ASIA]), five(AMERICAS, ASIA), "partition") == {
        "americas": "Open the partition americas, written in us-east. Who is new in CA, US belongs to it: users of "
        "us-east. Customers of before stay where they are until you move them: "
        "`./meridian partition move --homes 00/us-east --to americas`.",
        "asia": "Open the partition asia, written in ap-northeast. Who is new in JP belongs to it: users of "
        "ap-northeast. Customers of before stay where they are until you move them: "
        "`./meridian partition move --homes 00/ap-northeast --to asia`.",
    }


def test_on_a_cloud_no_command_is_promised() -> None:
    old, new = (topology(phase, *THREE_ON_AWS, **ON_AWS) for phase in (4, 5))
    (said,) = texts(old, new, "partition").values()
    assert said.endswith("Customers of before stay where they are: on aws no command moves them.")


def test_a_partition_that_serves_no_listed_region_says_so() -> None:
    (said,) = texts(topology(4, *FOUR), five({**AMERICAS, "serves": ["IN"]}), "partition").values()
    assert said.endswith("Nobody is new in it yet: no listed region lies in IN, which it serves.")


def test_a_partition_added_later_builds_its_members_and_touches_no_other() -> None:
    assert brief(steps(exported(five(AMERICAS)), five(AMERICAS, ASIA))) == [
        *(f"+member asia-{region}" for region in ("ap-northeast", "eu-central", "us-east", "sa-east")),
        "+partition asia",
    ]
    check(exported(five(AMERICAS)), five(AMERICAS, ASIA), ())


def test_a_partition_that_serves_other_places_says_so_and_moves_nobody() -> None:
    old, new = five(AMERICAS), five({**AMERICAS, "serves": ["US", "BR"]})
    check(exported(old), new, ())
    assert brief(steps(exported(old), new)) == ["+serves americas"]
    assert texts(old, new, "serves")["americas"] == (
        "Let americas serve BR and no longer serve CA. From then on who is new in us-east, sa-east belongs to it. "
        "Customers of before stay where they are until you move them: "
        "`./meridian partition move --homes 00/us-east --to americas`."
    )
    back = texts(new, old, "serves")["americas"]
    assert back.startswith("Let americas serve CA and no longer serve BR. From then on who is new in us-east belongs")
    assert steps(exported(new), five({**AMERICAS, "serves": ["BR", "US"]})) == (), "another order is no change"


def test_a_partition_that_serves_nobody_any_more_says_so() -> None:
    said = texts(five(AMERICAS), five({**AMERICAS, "serves": ["IN"]}), "serves")["americas"]
    assert "who is new in no listed region belongs to it. Customers of before stay where they are." in said


def test_a_place_that_goes_from_one_partition_to_another_is_said_at_both() -> None:
    old = five(AMERICAS, {**ASIA, "serves": ["JP", "BR"]})
    new = five({**AMERICAS, "serves": ["US", "CA", "BR"]}, ASIA)
    assert brief(steps(exported(old), new)) == ["+serves americas", "+serves asia"]
    assert "no longer serve BR" in texts(old, new, "serves")["asia"]


RESIDENCY = {"copies": ["US", "JP", "BR"]}


def test_a_copy_that_residency_forbids_from_now_on_is_not_deleted_unasked() -> None:
    old, new = five(AMERICAS), five({**AMERICAS, "residency": {"copies": ["US", "DE", "JP"]}})
    (said,) = refused(old, new)
    assert said == (
        "residency: americas may not be copied to sa-east any more, and this change would lose there: "
        "the database americas-sa-east. Change it back, or give sa-east up: `retire: [sa-east]`."
    )
    check(exported(old), new, ("sa-east",))
    assert brief(steps(exported(old), new)) == ["+residency americas", "-member americas-sa-east"]
    assert texts(old, new, "residency")["americas"] == (
        "Hold americas to another rule of residency, copies DE, JP, US (so far: anywhere)."
    )


def test_what_home_holds_of_a_partition_cannot_be_given_up_by_itself() -> None:
    (said,) = refused(five(AMERICAS), five({**AMERICAS, "residency": RESIDENCY}))
    assert said.startswith("residency: americas may not be copied to eu-central any more")
    assert "retire: []" not in said
    assert said.endswith("take it out of `partitions`, and name the region that it began in under `retire`.")
    check(exported(five(AMERICAS, ASIA)), five(ASIA), ("us-east",))


def test_another_rule_for_the_writer_says_how_to_move_it() -> None:
    old, new = five(AMERICAS), five({**AMERICAS, "residency": {"primary": ["US", "BR"]}})
    check(exported(old), new, ())
    assert texts(old, new, "residency")["americas"].endswith(
        "A writer where none may be any more stays until you move it: `./meridian switchover --partition americas`."
    )


def test_wider_residency_adds_the_copies_that_it_allows() -> None:
    old, new = five({**AMERICAS, "residency": RESIDENCY}), five(AMERICAS)
    check(exported(old), new, ())
    assert brief(steps(exported(old), new)) == ["+member americas-eu-central", "+residency americas"]


def test_what_an_earlier_release_did_not_export_is_no_change() -> None:
    now = five({**AMERICAS, "residency": RESIDENCY})
    record = json.loads(json.dumps(to_summary(now)))
    for partition in record["partitions"]:
        del partition["residency"]
    assert [step.kind for step in steps(from_summary(record), now)] == []


@pytest.mark.parametrize("target", ["nowhere", None])
def test_a_target_that_nobody_knows_is_a_damaged_summary(target: Any) -> None:
    with pytest.raises(Exception, match="cannot be read"):
        from_summary({**to_summary(topology(1)), "target": target})
