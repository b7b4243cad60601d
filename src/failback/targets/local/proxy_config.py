"""The documents that tell Envoy what to do. Pure: revisions, ports and the route in, JSON documents out.

Envoy reads JSON where it reads YAML. Each of the three dynamic files carries a version, which its admin page confirms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

LISTENER = "users"
CLUSTER_PREFIX = "rev-"
_TYPE = "type.googleapis.com/envoy."
_SAFE_METHODS = "GET|HEAD|OPTIONS"
# Bounds of the buckets by which slow requests are counted, in ms: fine where services live, up to a minute.
HISTOGRAM_MS = (1, 2, 5, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 400, 500, 750, 1000, 1500, 2000, 3000, 5000, 10000, 30000, 60000)
_RETRIES_MAX = 3


def bootstrap(service: str, folder: str, admin_socket: str) -> dict[str, Any]:
    """What Envoy is started with: where its files are, and an admin page on a private socket."""
    return {
        "node": {"id": service, "cluster": service},
        "admin": {
            "address": {"pipe": {"path": admin_socket, "mode": 0o600}},
            "ignore_global_conn_limit": True,
        },
        "dynamic_resources": {
            "lds_config": {**_watched(folder, "lds.json")},
            "cds_config": {**_watched(folder, "cds.json")},
        },
        # Histograms are merged at each flush: it bounds how old a count of slow requests can be.
        "stats_flush_interval": "0.2s",
        "stats_config": {
            "histogram_bucket_settings": [{"match": {"suffix": "upstream_rq_time"}, "buckets": list(HISTOGRAM_MS)}],
            "stats_matcher": {
                "inclusion_list": {
                    "patterns": [
                        {"prefix": f"http.{LISTENER}."},
                        {"prefix": f"cluster.{CLUSTER_PREFIX}"},
                        {"prefix": "cluster_manager."},
                        {"prefix": "listener_manager."},
                        {"prefix": "server."},
                    ]
                }
            },
        },
    }


def listeners(version: str, folder: str, host: str, port: int) -> dict[str, Any]:
    """One listener for users; its routes come from their own file, so that a switch never touches a connection."""
    manager = {
        "@type": f"{_TYPE}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": LISTENER,
        "codec_type": "AUTO",
        "rds": {"route_config_name": "users", "config_source": _watched(folder, "rds.json")},
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_TYPE}extensions.filters.http.router.v3.Router", "suppress_envoy_headers": True}}
        ],
        "use_remote_address": True,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        # A long download or stream is no error: only a connection on which nothing moves is ended.
        "stream_idle_timeout": "300s",
        "common_http_protocol_options": {"idle_timeout": "3600s"},
        "normalize_path": True,
        "server_header_transformation": "PASS_THROUGH",
        "generate_request_id": False,
    }
    listener = {
        "@type": f"{_TYPE}config.listener.v3.Listener",
        "name": LISTENER,
        "address": _address(host, port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
        "per_connection_buffer_limit_bytes": 1048576,
        "tcp_backlog_size": 1024,
    }
    return {"version_info": version, "resources": [listener]}


def clusters(version: str, revisions: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """One cluster a revision, with its replicas' ports on the loopback."""
    return {"version_info": version, "resources": [_cluster(name, ports) for name, ports in sorted(revisions.items())]}


def routes(
    version: str,
    revision: str | None,
    mirror: str | None,
    mirror_percent: float = 100.0,
    mirror_methods: Sequence[str] = ("GET", "HEAD"),
) -> dict[str, Any]:
    """Everything to one revision. Safe methods may be tried again on another replica when a connection breaks.

    `mirror`: a revision that gets a copy of requests with the given methods; what it answers reaches nobody.
    """
    if revision is None:
        nobody = {"status": 503, "body": {"inline_string": "no release of this service is live\n"}}
        entries = [{"match": {"prefix": "/"}, "direct_response": nobody}]
    else:
        entries = _entries(revision, mirror, mirror_percent, mirror_methods)
    table = {
        "@type": f"{_TYPE}config.route.v3.RouteConfiguration",
        "name": "users",
        "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": entries}],
        "validate_clusters": False,
    }
    return {"version_info": version, "resources": [table]}


def _entries(revision: str, mirror: str | None, percent: float, methods: Sequence[str]) -> list[dict[str, Any]]:
    entries = []
    mirrored = "|".join(methods)
    kinds = [(_SAFE_METHODS, "connect-failure,refused-stream,reset-before-request,reset"), (None, "connect-failure,refused-stream,reset-before-request")]
    for pattern, retry_on in kinds:
        action = _action(revision, retry_on)
        match = _match(pattern)
        if mirror is not None:
            copied = {
                "cluster": CLUSTER_PREFIX + mirror,
                "runtime_fraction": {
                    "default_value": {"numerator": round(percent * 10_000), "denominator": "MILLION"}
                },
            }
            both = _match(mirrored)
            if pattern is not None:
                both["headers"] = [*both["headers"], *match["headers"]]
            entries.append({"match": both, "route": {**action, "request_mirror_policies": [copied]}})
        entries.append({"match": match, "route": action})
    return entries


def _match(pattern: str | None) -> dict[str, Any]:
    match: dict[str, Any] = {"prefix": "/"}
    if pattern is not None:
        match["headers"] = [{"name": ":method", "string_match": {"safe_regex": {"regex": pattern}}}]
    return match


def _action(revision: str, retry_on: str) -> dict[str, Any]:
    return {
        "cluster": CLUSTER_PREFIX + revision,
        "timeout": "0s",
        "retry_policy": {
            "retry_on": retry_on,
            "num_retries": _RETRIES_MAX,
            "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.05s"},
            "retry_host_predicate": [
                {
                    "name": "envoy.retry_host_predicates.previous_hosts",
                    "typed_config": {"@type": f"{_TYPE}extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
                }
            ],
            "host_selection_retry_max_attempts": 5,
        },
    }


def _cluster(revision: str, ports: Sequence[int]) -> dict[str, Any]:
    name = CLUSTER_PREFIX + revision
    return {
        "@type": f"{_TYPE}config.cluster.v3.Cluster",
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address("127.0.0.1", port)}} for port in ports]}],
        },
        # A replica that has just died is left out for a moment; never all of them.
        "outlier_detection": {
            "consecutive_5xx": 0x7FFFFFFF,
            "enforcing_consecutive_5xx": 0,
            "enforcing_consecutive_gateway_failure": 0,
            "enforcing_success_rate": 0,
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 2,
            "enforcing_consecutive_local_origin_failure": 100,
            "enforcing_local_origin_success_rate": 0,
            "interval": "0.5s",
            "base_ejection_time": "0.5s",
            "max_ejection_time": "5s",
            "max_ejection_percent": 50,
        },
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": 65536,
                    "max_pending_requests": 65536,
                    "max_requests": 65536,
                    "max_retries": 1024,
                }
            ]
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPE}extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http_protocol_options": {}},
                # Below what common servers use (Node: 5 s), so that a kept connection is not closed under a request.
                "common_http_protocol_options": {"idle_timeout": "2s"},
            }
        },
    }


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _watched(folder: str, name: str) -> dict[str, Any]:
    return {
        "resource_api_version": "V3",
        "path_config_source": {"path": f"{folder}/{name}", "watched_directory": {"path": folder}},
    }
