"""What the regional gateways and the entry share: Envoy's configuration as plain values.

Envoy watches its files, so a change of configuration is a rename and never a restart. Three rules make that safe
(measured with Envoy 1.40): only a rename is noticed, a file holds one endpoint resource, and what is referred to is
written before what refers to it. Listeners and clusters are written so that climbing a phase leaves them untouched
and changes endpoint files only: an Envoy listener or cluster that does not change keeps its connections.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from components.local.servers.addresses import Endpoint

Json = dict[str, Any]


DOMAIN = "meridian.internal"

# Removed listeners and filter chains get this long to finish what they carry.
DRAIN_SECONDS = 10

# Room for every request that can be held at once. Envoy's defaults (1024 requests, 3 retries) refuse exactly when a
# region is gone. A share of the requests in flight would not do: one that waits for its next try is not in flight.
LIMITS: Json = {
    "thresholds": [
        {
            "priority": "DEFAULT",
            "max_connections": 4096,
            "max_pending_requests": 4096,
            "max_requests": 8192,
            "max_retries": 4096,
        }
    ]
}

# A dead peer behind a link that swallows packets is noticed in seconds, not in the kernel's two hours.
KEEPALIVE: Json = {"tcp_keepalive": {"keepalive_probes": 3, "keepalive_time": 5, "keepalive_interval": 2}}

# A retry may repeat a request only when repeating it changes nothing: reads, and writes that carry a key.
IDEMPOTENT: list[Json] = [
    {"name": ":method", "string_match": {"exact": "GET"}},
    {"name": ":method", "string_match": {"exact": "HEAD"}},
    {"name": "idempotency-key", "present_match": True},
]

_TYPE = "type.googleapis.com/envoy."
_CLUSTER = f"{_TYPE}config.cluster.v3.Cluster"
_LISTENER = f"{_TYPE}config.listener.v3.Listener"
_ROUTES = f"{_TYPE}config.route.v3.RouteConfiguration"
_ASSIGNMENT = f"{_TYPE}config.endpoint.v3.ClusterLoadAssignment"
_SECRET = f"{_TYPE}extensions.transport_sockets.tls.v3.Secret"
_HTTP_OPTIONS = f"{_TYPE}extensions.upstreams.http.v3.HttpProtocolOptions"

# Envoy counts some 1,500 things a cluster and listener; these are the ones a person or a test looks at.
_STATS = (
    r"(server|listener_manager|cluster_manager)\..*",
    r".*\.(update_rejected|version_text)",
    r"cluster\..*\.(upstream_(rq|cx)_(total|active|retry|retry_success|timeout|connect_fail)|upstream_rq_[2-5]xx"
    r"|membership_(total|healthy)|health_check\.failure|outlier_detection\.ejections_active"
    r"|upstream_rq_per_try_timeout|ssl\.fail_verify_(san|error))",
    r"http\..*\.(downstream_rq_(total|active|[2-5]xx)|downstream_cx_active)",
    r"tcp\..*\.downstream_cx_(total|active)",
    r"listener\..*\.(downstream_cx_active|ssl\.(fail_verify_error|fail_verify_no_cert|fail_verify_san|handshake))",
)


def bootstrap(folder: Path, *, node: str, cluster: str, admin: Endpoint) -> Json:
    """The only part that is read once; everything that can change later is in the watched files."""
    return {
        "node": {"id": node, "cluster": cluster},  # required by file subscriptions
        "admin": {
            "address": address(admin),
            "ignore_global_conn_limit": True,
            # Whoever is on this machine may look; nobody may stop, drain or reconfigure over HTTP.
            "allow_paths": [
                {"exact": path} if "?" not in path else {"prefix": path[:-1]}
                for path in ("/ready", "/clusters", "/clusters?", "/stats", "/stats?", "/config_dump", "/config_dump?")
            ]
            + [{"exact": "/stats/prometheus"}, {"exact": "/certs"}, {"exact": "/server_info"}, {"exact": "/listeners"}],
        },
        "dynamic_resources": {
            "cds_config": source(folder / "xds" / "cds.json"),
            "lds_config": source(folder / "xds" / "lds.json"),
        },
        "stats_config": {
            "stats_matcher": {"inclusion_list": {"patterns": [{"safe_regex": {"regex": regex}} for regex in _STATS]}}
        },
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": f"{_TYPE}extensions.resource_monitors.downstream_connections.v3"
                        ".DownstreamConnectionsConfig",
                        "max_active_downstream_connections": 20000,
                    },
                }
            ]
        },
    }


# --- pieces of configuration -----------------------------------------------------------------------------------------


def address(endpoint: Endpoint) -> Json:
    return {"socket_address": {"address": endpoint[0], "port_value": endpoint[1]}}


def source(path: Path) -> Json:
    return {
        "path_config_source": {"path": str(path), "watched_directory": {"path": str(path.parent)}},
        "resource_api_version": "V3",
    }


def discovery(kind: str, resources: Iterable[Json]) -> Json:
    """A file as Envoy reads it. The version is the content's hash: `wait_applied` can ask Envoy which one it uses."""
    body = {"resources": [{"@type": kind, **resource} for resource in resources]}
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
    return {"version_info": digest, **body}


def clusters(*resources: Json) -> Json:
    return discovery(_CLUSTER, resources)


def listeners(*resources: Json) -> Json:
    return discovery(_LISTENER, resources)


def routes(resource: Json) -> Json:
    return discovery(_ROUTES, [resource])


def assignment(name: str, localities: Iterable[Json]) -> Json:
    return discovery(_ASSIGNMENT, [{"cluster_name": name, "endpoints": list(localities)}])


def locality(
    region: str,
    endpoint: Endpoint,
    *,
    priority: int = 0,
    hostname: str | None = None,
    health: str = "UNKNOWN",
) -> Json:
    """One endpoint in one region. `hostname` is what a TLS cluster sends as SNI and demands of the certificate."""
    named = {"hostname": hostname} if hostname else {}
    return {
        "locality": {"region": region},
        "priority": priority,
        "lb_endpoints": [{"health_status": health, "endpoint": {"address": address(endpoint), **named}}],
    }


def cluster(
    folder: Path,
    name: str,
    *,
    connect_timeout: str = "1s",
    http: Json | None = None,
    tls: Json | None = None,
    endpoints: list[Json] | None = None,
    **more: Any,
) -> Json:
    """A cluster whose endpoints come from its own file, or are `endpoints`; `http` are the options of an HTTP cluster.

    Envoy takes one inotify instance for each file that it watches, of 128 that a user has by default: endpoints that
    change with the topology only, and not in operation, have no file of their own.
    """
    where: Json = (
        {"type": "EDS", "eds_cluster_config": {"eds_config": source(folder / "xds" / "eds" / f"{name}.json")}}
        if endpoints is None
        else {"type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": endpoints}}
    )
    made: Json = {
        "name": name,
        **where,
        "connect_timeout": connect_timeout,
        "lb_policy": "ROUND_ROBIN",
        "per_connection_buffer_limit_bytes": 1024 * 1024,
        "common_lb_config": {
            # Both defaults turn one healthy region of three into errors: half of the regions unhealthy counts as
            # panic and all are tried, and a change of health reaches the workers up to a second later.
            "healthy_panic_threshold": {"value": 0},
            "update_merge_window": "0s",
        },
        # Without this an endpoint taken out of the file is still used while its health check succeeds.
        "ignore_health_on_host_removal": True,
        "circuit_breakers": LIMITS,
        "upstream_connection_options": KEEPALIVE,
        **more,
    }
    if http is not None:
        made["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {"@type": _HTTP_OPTIONS, **http}
        }
    if tls is not None:
        made["transport_socket"] = tls
    return made


def http1(*, idle: str) -> Json:
    """HTTP/1.1 upstream. `idle` must be shorter than the server's own: else a request meets a closing connection."""
    return {
        "common_http_protocol_options": {"idle_timeout": idle},
        "explicit_http_config": {"http_protocol_options": {}},
    }


def http2() -> Json:
    """HTTP/2 upstream, for long links: one connection, thus one handshake, and pings that find a link that is cut.

    A failed health check leaves HTTP requests in flight alone (`close_connections_on_host_health_failure` is for TCP
    only); without pings they wait out their time limit. A ping has time for the longest way round the world, about
    320 ms, on a busy machine.
    """
    return {
        "common_http_protocol_options": {"idle_timeout": "60s"},  # the gateway's own is 300 s
        "explicit_http_config": {
            "http2_protocol_options": {
                "connection_keepalive": {"interval": "0.5s", "timeout": "1.5s"},
                "initial_stream_window_size": 1024 * 1024,
                "initial_connection_window_size": 4 * 1024 * 1024,
            }
        },
    }


def listener(name: str, endpoint: Endpoint, chains: list[Json], **more: Any) -> Json:
    return {
        "name": name,
        "address": address(endpoint),
        "enable_reuse_port": False,  # a second process on the same port must be an error, not a silent half
        "per_connection_buffer_limit_bytes": 1024 * 1024,
        "filter_chains": chains,
        **more,
    }


def http_filter(name: str, *, route_source: Json, edge: bool = False, errors: Path | None = None) -> Json:
    """An HTTP connection manager. The edge is where users come in; inside, what the edge decided is kept."""
    manager: Json = {
        "@type": f"{_TYPE}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        **route_source,
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": f"{_TYPE}extensions.filters.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                },
            }
        ],
        # Nobody may steer retries and timeouts with x-envoy-* headers: every caller counts as external. Without ranges
        # Envoy takes private and loopback addresses for internal ones; nobody calls from this one.
        "internal_address_config": {"cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]},
        "use_remote_address": edge,
        "skip_xff_append": not edge,
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": edge,
        # The tracing decision is not packed into the id: an id that comes in goes on unchanged.
        "request_id_extension": {
            "typed_config": {
                "@type": f"{_TYPE}extensions.request_id.uuid.v3.UuidRequestIdConfig",
                "pack_trace_reason": False,
            }
        },
        "server_header_transformation": "PASS_THROUGH",
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "common_http_protocol_options": {
            "idle_timeout": "300s",
            "headers_with_underscores_action": "REJECT_REQUEST" if edge else "ALLOW",
        },
        "http2_protocol_options": {"max_concurrent_streams": 1000},
        "request_headers_timeout": "10s",
        "stream_idle_timeout": "30s",
        "local_reply_config": _PROBLEMS,
    }
    if errors is not None:
        manager["access_log"] = [_error_log(errors)]
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}


def tcp_filter(name: str, cluster_name: str) -> Json:
    return {
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": {
            "@type": f"{_TYPE}extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": name,
            "cluster": cluster_name,
            # Replication is never idle (PostgreSQL sends a status every 10 s); what is silent for an hour is dead.
            "idle_timeout": "3600s",
        },
    }


TLS_INSPECTOR: Json = {
    "name": "envoy.filters.listener.tls_inspector",
    "typed_config": {"@type": f"{_TYPE}extensions.filters.listener.tls_inspector.v3.TlsInspector"},
}


def server_tls(folder: Path, *, alpn: tuple[str, ...] = ()) -> Json:
    """Mutual TLS, the listening side: only a caller with a certificate of the stack's own authority gets in."""
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{_TYPE}extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "require_client_certificate": True,
            "common_tls_context": _tls(folder, alpn),
            # No resumption: a ticket would outlive the certificate it was given for.
            "disable_stateless_session_resumption": True,
            "disable_stateful_session_resumption": True,
        },
    }


def client_tls(folder: Path, *, alpn: tuple[str, ...] = ()) -> Json:
    """Mutual TLS, the calling side. The name asked for, and demanded of the certificate, is the endpoint's own:
    an endpoint file moves a cluster to another region and the check of who answers moves with it."""
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{_TYPE}extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "auto_host_sni": True,
            "auto_sni_san_validation": True,
            "max_session_keys": 0,
            "common_tls_context": _tls(folder, alpn),
        },
    }


def secrets(keys: Path) -> dict[str, Json]:
    """A region's certificate and the stack's authority. Envoy reads them again when a file is renamed into `keys`."""
    watched = {"watched_directory": {"path": str(keys)}}
    return {
        "xds/sds/certificate.json": discovery(
            _SECRET,
            [
                {
                    "name": "certificate",
                    "tls_certificate": {
                        "certificate_chain": {"filename": str(keys / "tls.crt")},
                        "private_key": {"filename": str(keys / "tls.key")},
                        **watched,
                    },
                }
            ],
        ),
        "xds/sds/authority.json": discovery(
            _SECRET,
            [
                {
                    "name": "authority",
                    "validation_context": {"trusted_ca": {"filename": str(keys / "ca.crt")}, **watched},
                }
            ],
        ),
    }


def virtual_host(name: str, entries: list[Json], *, removed: tuple[str, ...] = ()) -> Json:
    """One table of routes for every host name. The service's `server` header says nothing a client needs."""
    made: Json = {
        "name": name,
        "virtual_hosts": [{"name": name, "domains": ["*"], "routes": entries}],
        "response_headers_to_remove": ["server"],
    }
    if removed:
        made["request_headers_to_remove"] = list(removed)
    return made


def direct_response(status: int, detail: str) -> Json:
    """An answer of Envoy's own; the detail becomes part of a problem document."""
    return {"direct_response": {"status": status, "body": {"inline_string": detail}}}


def back_off(base: str, longest: str) -> Json:
    return {"base_interval": base, "max_interval": longest}


def _tls(folder: Path, alpn: tuple[str, ...]) -> Json:
    made: Json = {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
        "tls_certificate_sds_secret_configs": [
            {"name": "certificate", "sds_config": source(folder / "xds" / "sds" / "certificate.json")}
        ],
        "validation_context_sds_secret_config": {
            "name": "authority",
            "sds_config": source(folder / "xds" / "sds" / "authority.json"),
        },
    }
    if alpn:
        made["alpn_protocols"] = list(alpn)
    return made


def _problem(detail: str, title: str | None = None) -> Json:
    named = {} if title is None else {"title": title}
    return {
        "json_format": {"type": "about:blank", **named, "status": "%RESPONSE_CODE%", "detail": detail},
        "content_type": "application/problem+json",
    }


def _status(comparison: str, value: int, key: str) -> Json:
    return {
        "status_code_filter": {"comparison": {"op": comparison, "value": {"default_value": value, "runtime_key": key}}}
    }


def _local_reply(status: int, title: str, detail: str, **more: Any) -> Json:
    """The problem document for one status; the key is what Envoy's filter demands, nobody sets it."""
    key = f"meridian.status_{status}"
    return {"filter": _status("EQ", status, key), "body_format_override": _problem(detail, title), **more}


_AGAIN: Json = {
    "headers_to_add": [{"header": {"key": "retry-after", "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]
}

# What Envoy answers itself (RFC 9457). The reasons it would give for an outage name hosts and are of no use to a user.
_PROBLEMS: Json = {
    "mappers": [
        _local_reply(400, "Bad Request", "%LOCAL_REPLY_BODY%"),
        _local_reply(
            503,
            "Service Unavailable",
            "Nobody can answer this request now. Try again, a write with the same Idempotency-Key.",
            **_AGAIN,
        ),
        _local_reply(
            504,
            "Gateway Timeout",
            "No answer in time; a write may have happened. Try again, a write with the same Idempotency-Key.",
            **_AGAIN,
        ),
    ],
    "body_format": _problem("%LOCAL_REPLY_BODY%"),
}


def _error_log(path: Path) -> Json:
    """Errors only, and no header, query or body: those carry what users own."""
    return {
        "name": "envoy.access_loggers.file",
        "filter": {
            "and_filter": {
                "filters": [
                    _status("GE", 500, "meridian.error_log"),
                    # Health checks ask twice a second; their failures are the entry's to report.
                    {
                        "header_filter": {
                            "header": {
                                "name": ":path",
                                "string_match": {"prefix": "/healthz/"},
                                "invert_match": True,
                            }
                        }
                    },
                ]
            }
        },
        "typed_config": {
            "@type": f"{_TYPE}extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(path),
            "log_format": {
                "json_format": {
                    "time": "%START_TIME%",
                    "method": "%REQ(:METHOD)%",
                    "path": "%PATH(NQ)%",
                    "status": "%RESPONSE_CODE%",
                    "flags": "%RESPONSE_FLAGS%",
                    "details": "%RESPONSE_CODE_DETAILS%",
                    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
                    "cluster": "%UPSTREAM_CLUSTER%",
                    "upstream": "%UPSTREAM_HOST%",
                    "milliseconds": "%DURATION%",
                    "request_id": "%REQ(X-REQUEST-ID)%",
                }
            },
        },
    }
