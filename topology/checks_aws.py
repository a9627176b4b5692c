"""Faults between settings on the target aws: what AWS needs, allows, and offers in the listed regions."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from topology.catalogue import catalogue
from topology.checks_clouds import missing, outside
from topology.errors import sentence
from topology.nearest import nearest
from topology.offers import MEMORY_OPTIMISED, offers
from topology.schema import Settings
from topology.schema_clouds import LOG_DAYS

# MiB that go with each number of virtual processors, the least, the most and the step:
# docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html; 32 is in cfn-lint's
# aws_ecs_taskdefinition/fargate_cpu_memory.json.
FARGATE: dict[float, tuple[int, ...]] = {
    0.25: (512, 1024, 2048),
    0.5: tuple(range(1024, 4096 + 1, 1024)),
    1: tuple(range(2048, 8192 + 1, 1024)),
    2: tuple(range(4096, 16384 + 1, 1024)),
    4: tuple(range(8192, 30720 + 1, 1024)),
    8: tuple(range(16384, 61440 + 1, 4096)),
    16: tuple(range(32768, 122880 + 1, 8192)),
    32: (61440, 122880, 249856),
}

# The common name of a certificate (ACM's RequestCertificate, DomainName; RFC 5280).
CERTIFICATE_NAME = 64


def check_account(settings: Settings) -> Iterator[str]:
    if settings.target != "aws":
        return
    if settings.aws.account_id is None:
        yield missing("aws.account_id", "aws", "the account that the stack is built in", '"123456789012" in quotes')
    if settings.aws.zone is None:
        yield missing(
            "aws.zone",
            "aws",
            "the hosted zone that the hostname is in",
            "{id: Z0123456789ABCDEFGHIJ, name: example.com}",
        )


def check_hostname(settings: Settings) -> Iterator[str]:
    hostname, zone = settings.hostname, settings.aws.zone
    if settings.target != "aws" or hostname is None:
        return
    if zone is not None:
        yield from outside(hostname, zone.name, "hosted zone", "aws.zone")
    if len(hostname) > CERTIFICATE_NAME:
        yield (
            f'hostname: "{hostname}" has {len(hostname)} characters, and a certificate on AWS is for a name of '
            f"{CERTIFICATE_NAME} at most. Choose a shorter one."
        )


def check_size(settings: Settings) -> Iterator[str]:
    cpu, memory = settings.service.cpu, settings.service.memory_mib
    if settings.target != "aws":
        return
    if cpu not in FARGATE:
        yield (
            f"service.cpu: {cpu:g} is no size of an instance on Fargate. "
            f"Allowed: {', '.join(f'{size:g}' for size in FARGATE)}."
        )
    elif memory not in FARGATE[cpu]:
        yield (
            f"service.memory_mib: {memory} does not go with `service.cpu` {cpu:g} on Fargate. "
            f"Allowed with it: {', '.join(map(str, FARGATE[cpu]))}. Choose one of them, or another `service.cpu`."
        )


def check_log_days(settings: Settings) -> Iterator[str]:
    days = settings.retention.log_days
    if settings.target == "aws" and days not in LOG_DAYS:
        yield (
            f"retention.log_days: {days} is no number of days that CloudWatch keeps logs for. "
            f"Allowed on the target aws: {', '.join(map(str, LOG_DAYS))}."
        )


def by_family(names: Iterable[str]) -> str:
    """`db.serverless, db.r6g (large, xlarge)`: dozens of names in a readable length."""
    sizes: dict[str, list[str]] = defaultdict(list)
    for name in names:
        family, _, size = name.rpartition(".")
        sizes[family].append(size)
    return ", ".join(
        f"{family} ({', '.join(found)})" if len(found) > 1 else f"{family}.{found[0]}"
        for family, found in sizes.items()
    )


def not_everywhere(settings: Settings, name: str, offered: Mapping[str, frozenset[str]]) -> str:
    """The end of a message about what some listed region lacks; empty where all have it."""
    listed = {region.name for region in settings.regions} & set(catalogue("aws"))
    lacking = [region for region in catalogue("aws") if region in listed - offered.get(name, frozenset())]
    if not lacking:
        return ""
    everywhere = [other for other, where in offered.items() if listed <= where]
    return sentence(
        f"is not offered in {', '.join(lacking)}.",
        nearest(name, everywhere),
        f"Allowed, because every listed region offers it: {by_family(everywhere)}.",
    )


def check_database(settings: Settings) -> Iterator[str]:
    chosen = settings.aws.database
    if settings.target != "aws":
        return
    if chosen.engine_version not in offers().engines:
        yield (
            f'aws.database.engine_version: "{chosen.engine_version}" is no version of Aurora PostgreSQL that is '
            f"offered and can forward writes. Allowed: {', '.join(offers().engines)}."
        )
    if not chosen.instance_class.startswith(MEMORY_OPTIMISED):
        yield (
            f'aws.database.instance_class: "{chosen.instance_class}" is not optimised for memory, as a member of an '
            f"Aurora global database must be. Allowed: db.serverless, or a class of the families db.r or db.x."
        )
    elif lacks := not_everywhere(settings, chosen.instance_class, offers().classes):
        yield f'aws.database.instance_class: "{chosen.instance_class}" {lacks}'
    if chosen.maximum_acu < chosen.minimum_acu:
        yield (
            f"aws.database.maximum_acu: {chosen.maximum_acu:g} is below `aws.database.minimum_acu`, which is "
            f"{chosen.minimum_acu:g}. Allowed: {chosen.minimum_acu:g} to 256. Raise the one, or lower the other."
        )


def check_cache(settings: Settings) -> Iterator[str]:
    node = settings.aws.cache.node_type
    if settings.target == "aws" and (lacks := not_everywhere(settings, node, offers().nodes)):
        yield f'aws.cache.node_type: "{node}" {lacks}'
