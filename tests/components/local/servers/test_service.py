"""The order service as a process: told by a private file, restarted only for another one."""

import json
from dataclasses import replace

import pytest

from components.local.servers import partition_map, postgres, secrets, service, valkey
from components.local.servers.member import MemberSpec
from components.local.servers.paths import PROJECT
from components.local.servers.paths import partition_map as map_file
from components.local.servers.service import ServiceSpec
from tests.components.local.servers.conftest import Stack, processes_of


def spec(stack: Stack) -> ServiceSpec:
    return ServiceSpec(
        stack_folder=stack.folder,
        region="eu-central",
        planned_regions=("eu-central", "us-east"),
        listen=stack.addresses.service(0),
        members={"main": stack.addresses.postgres(0, 0)},
        cache=stack.addresses.valkey(0),
        egress=stack.addresses.gateway_egress(0),
        partition_map=map_file(stack.folder, "eu-central"),
    )


def test_the_file_names_the_passwords_files_only(stack: Stack) -> None:
    passwords = [secrets.ensure_password(stack.folder, name) for name in ("service", "cache")]
    text = json.dumps(spec(stack).config)
    assert not any(password in text for password in passwords)
    assert spec(stack).config["database"]["password_file"].endswith("/secrets/service.password")
    assert replace(spec(stack), cache=None).config["cache"] is None


@pytest.mark.servers
def test_a_service_from_its_start_to_its_end(stack: Stack) -> None:
    schema = (PROJECT / "service" / "schema.sql").read_text()
    member = MemberSpec(
        stack_folder=stack.folder,
        region="eu-central",
        member="main-eu-central",
        endpoint=stack.addresses.postgres(0, 0),
    )
    postgres.create_origin(member, schema)
    valkey.ensure_started(stack.folder, "eu-central", stack.addresses.valkey(0))
    secrets.ensure_password(stack.folder, "directory")
    partition_map.ensure(stack.folder, "eu-central", {"main": "eu-central"})
    server = service.ensure_started(spec(stack))
    assert service.answers(spec(stack).listen, "/healthz/live")
    assert not service.answers(spec(stack).listen, "/no-such-path")
    assert service.ensure_started(spec(stack)) == server
    assert (spec(stack).folder / "config.json").stat().st_mode & 0o777 == 0o600

    # A member that joins restarts nothing: it would be every region's service at once.
    joined = replace(spec(stack), members={**spec(stack).members, "other": stack.addresses.postgres(0, 1)})
    assert service.ensure_started(joined) == server

    changed = service.ensure_started(replace(spec(stack), capacity=0.5))
    assert changed.pid != server.pid
    assert service.stop(stack.folder, "eu-central")
    assert not service.is_running(stack.folder, "eu-central")
    postgres.stop(member)
    valkey.stop(stack.folder, "eu-central")
    assert not processes_of(stack.folder)
