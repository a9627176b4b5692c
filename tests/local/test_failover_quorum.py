"""With a quorum nothing acknowledged is lost with a region; and that region can be given up for another one."""

import time
from collections.abc import Iterator

import pytest

from tests.local.clone import Clone
from tests.local.database import connect
from tests.local.load import Load
from tests.local.moving import RATE, REGIONS, ids, kill_region, last_record, one_writer, stack, unchanged

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

KEPT = ("us-east", "ap-northeast", "eu-west")
REPLACED = """\
    - name: us-east
      slot: 1
    - name: ap-northeast
      slot: 2
    - name: eu-west
      slot: 3
  meridian:retire: [eu-central]
"""


@pytest.fixture(scope="module")
def quorum(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    made = stack(tmp_path_factory.mktemp("quorum"), "multi-region-reads", "quorum")
    yield made
    made.end()


def test_a_lost_region_costs_no_acknowledged_write(quorum: Clone) -> None:
    with Load(quorum.status()["entry"], REGIONS, RATE, retries=5) as load:
        time.sleep(1)
        kill_region(quorum, "eu-central")
        time.sleep(1.2)
        quorum.must("failover", "--yes", "--max-loss", "0")
        time.sleep(1)
    assert not load.failed
    writer = last_record(quorum)["state"]["target"]
    assert set(load.acknowledged) <= ids(quorum, REGIONS.index(writer))
    assert last_record(quorum)["state"]["loss"] == {"seconds": 0.0, "bytes": 0}
    quorum.must("up", "--yes")
    quorum.must("failback", "--yes")
    one_writer(quorum, "eu-central")
    unchanged(quorum)
    assert not quorum.must("reconcile", "list", "--json").document["tails"]


@pytest.mark.deep
def test_a_lost_region_is_given_up_and_another_added_by_an_ordinary_up(quorum: Clone) -> None:
    kill_region(quorum, "eu-central")
    time.sleep(1.2)
    quorum.must("failover", "--to", "us-east", "--yes", "--max-loss", "0")
    target = last_record(quorum)["state"]["target"]
    if target != "us-east":
        quorum.must("switchover", "--to", "us-east", "--yes")
    before = ids(quorum, 1)

    settings = quorum.folder / "Pulumi.dev.yaml"
    head, tail = settings.read_text().split("    - name: eu-central\n")
    settings.write_text(head + REPLACED + tail.split("      slot: 2\n")[1])
    done = quorum.run("up", "--yes")
    assert done.status == 0, done.stderr

    status = quorum.status()
    members = {region["name"]: region["members"][0]["role"] for region in status["regions"] if region["members"]}
    assert members == {"us-east": "writer", "ap-northeast": "replica", "eu-west": "replica"}
    assert ids(quorum, 3) == before
    with connect(quorum, 1) as connection:
        slots = connection.execute("select slot_name, active from pg_replication_slots order by 1").fetchall()
        names = connection.execute("show synchronous_standby_names").fetchone()
    assert slots == [("main_ap_northeast", True), ("main_eu_west", True)]
    assert names == ('ANY 1 ("main-ap-northeast", "main-eu-west")',)
    unchanged(quorum)
    quorum.must("switchover", "--to", "eu-west", "--yes")
    assert ids(quorum, 3) >= before
    unchanged(quorum)
