"""What the service counts, for Prometheus."""

from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    def __init__(self, region: str, version: str) -> None:
        disable_created_metrics()  # a second series for each, which nobody reads
        self.registry = registry = CollectorRegistry()
        for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
            registry.register(collector)
        Gauge("meridian_build_info", "What runs here", ["region", "version"], registry=registry).labels(
            region, version
        ).set(1)
        self.requests = Counter(
            "meridian_requests", "Requests answered", ["route", "method", "status"], registry=registry
        )
        self.seconds = Histogram(
            "meridian_request_seconds", "Time to the answer", ["route", "method"], buckets=BUCKETS, registry=registry
        )
        self.writes = Counter("meridian_writes", "Writes by outcome, at the writer", ["outcome"], registry=registry)
        self.forwards = Counter(
            "meridian_forwards", "Requests passed on", ["partition", "region", "outcome"], registry=registry
        )
        self.writes_held = Gauge(
            "meridian_writes_held", "Users' writes under way, or waiting for a writer", registry=registry
        )
        self.token_reads = Counter(
            "meridian_token_reads", "Reads with a write position", ["outcome"], registry=registry
        )
        self.cache = Counter("meridian_cache_requests", "Look-ups in the near cache", ["outcome"], registry=registry)
        self.map_version = Gauge("meridian_partition_map_version", "Version in force, 0 for none", registry=registry)
        self.connections = Gauge(
            "meridian_pool_connections", "Connections held", ["partition", "pool", "state"], registry=registry
        )
        self.pool_size = Gauge("meridian_pool_size", "Most connections", ["partition", "pool"], registry=registry)
        self.pool_waiting = Gauge(
            "meridian_pool_waiting", "Requests without a connection", ["partition", "pool"], registry=registry
        )
        self.answering = Gauge("meridian_member_answering", "1 while it answers", ["partition"], registry=registry)
        self.in_recovery = Gauge("meridian_member_in_recovery", "1 for a replica", ["partition"], registry=registry)
        self.position = Gauge(
            "meridian_member_position_bytes", "Replayed (replica) or flushed (writer)", ["partition"], registry=registry
        )
        self.replayed_at = Gauge(
            "meridian_member_replayed_timestamp_seconds",
            "Commit time of the last transaction replayed",
            ["partition"],
            registry=registry,
        )

    def text(self) -> bytes:
        return generate_latest(self.registry)
