"""The documents that tell Envoy what to do, and what can be read back from them. Pure: no file, no clock.

Envoy reads JSON where it reads YAML. Each of the three dynamic files carries a version, which its admin page confirms.
A revision is two clusters over the same ports: `rev-` for users, `copy-` for mirrored requests, so that neither the
counts nor the limits of the one touch the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Each in a folder of its own: a rename makes Envoy read anew every file whose folder it watches.
LISTENERS, CLUSTERS, ROUTES = "lds/lds.json", "cds/cds.json", "rds/rds.json"
USERS = "users"
TOLD = "told"  # prefix of the counters that are made of each user's request as it ended
LEFT_LATE = "left"  # users who went away without an answer after LEFT_LATE_MS
LEFT_LATE_MS = 5_000
USERS_CLUSTER = "rev-"
COPIES_CLUSTER = "copy-"
# Where the counts of slow answers can be cut, in ms. Envoy keeps two significant digits, so each bound is exact.
SLOW_BOUNDS_MS = tuple(
    digits * power / 10
    for power in (1, 10, 100, 1_000, 10_000)
    for digits in (10, 11, 12, 13, 15, 16, 18, 20, 22, 24, 27, 30, 33, 36, 40, 44, 49, 54, 60, 66, 73, 80, 89)
)
_TYPE = "type.googleapis.com/envoy."
_SAFE_METHODS = "GET|HEAD|OPTIONS"
_RETRIES_MAX = 3
# Choosing by the fewest open requests prefers a replica that just died (it has none): with 5, 1 request in 400 failed.
_LOOKS_FOR_ANOTHER_MAX = 50
_USERS_AT_ONCE_MAX = 30_000
_COPIES_AT_ONCE_MAX = 256
# An application's own silence is never cut short below this: long downloads, streams, web sockets and slow reports.
_SILENCE_S_MAX = "3600s"
_REQUEST_HEAD_S_MAX = "60s"


def bootstrap(service: str, folder: str, admin_socket: str) -> dict[str, Any]:
    """What Envoy is started with: where its files are, an admin page on a private socket, which counters it keeps."""
    connections = f"{_TYPE}extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    kept = (f"{TOLD}.", f"http.{USERS}.", f"cluster.{USERS_CLUSTER}", f"cluster.{COPIES_CLUSTER}")
    about_itself = ("cluster_manager.", "listener_manager.", "server.")
    return {
        "node": {"id": service, "cluster": service},
        "admin": {"address": {"pipe": {"path": admin_socket, "mode": 0o600}}, "ignore_global_conn_limit": True},
        "dynamic_resources": {"lds_config": _watched(folder, LISTENERS), "cds_config": _watched(folder, CLUSTERS)},
        # Histograms are merged at each flush: it bounds how old a count of slow requests can be.
        "stats_flush_interval": "0.25s",
        "stats_config": {
            "histogram_bucket_settings": [
                {"match": {"prefix": f"{TOLD}."}, "buckets": list(SLOW_BOUNDS_MS)},
                {"match": {"suffix": "upstream_rq_time"}, "buckets": list(SLOW_BOUNDS_MS)},
            ],
            "stats_matcher": {"inclusion_list": {"patterns": [{"prefix": name} for name in (*kept, *about_itself)]}},
        },
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": connections,
                        "max_active_downstream_connections": _USERS_AT_ONCE_MAX,
                    },
                }
            ]
        },
    }


def listeners(version: str, folder: str, hosts: Sequence[str], port: int) -> dict[str, Any]:
    """One listener for users; its routes come from their own file, so that a switch never touches a connection."""
    manager = {
        "@type": f"{_TYPE}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": USERS,
        "codec_type": "AUTO",
        "rds": {"route_config_name": USERS, "config_source": _watched(folder, ROUTES)},
        "http_filters": [_router()],
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "localhost"},
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "stream_idle_timeout": _SILENCE_S_MAX,
        "request_headers_timeout": _REQUEST_HEAD_S_MAX,
        "common_http_protocol_options": {"idle_timeout": _SILENCE_S_MAX},
        # Who asks is whoever connects. Envoy itself would write another address for a client on the loopback, so the
        # routes append the address; and what a proxy before this one said of the scheme is passed on as it came.
        "use_remote_address": True,
        "skip_xff_append": True,
        "xff_num_trusted_hops": 1,
        "server_header_transformation": "PASS_THROUGH",
        "generate_request_id": False,
        "preserve_external_request_id": True,
        "access_log": _told(),
    }
    first, *more = hosts
    listener = {
        "@type": f"{_TYPE}config.listener.v3.Listener",
        "name": USERS,
        "address": _address(first, port),
        "additional_addresses": [{"address": _address(host, port)} for host in more],
        # With it a second Envoy, of another home, would share the port, and each would get half of the requests.
        "enable_reuse_port": False,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
        "per_connection_buffer_limit_bytes": 1_048_576,
        "tcp_backlog_size": 1_024,
    }
    return {"version_info": version, "resources": [listener]}


def _told() -> list[dict[str, Any]]:
    """Counters of each user's request as it ended, by revision; nothing that a user sends gets into their names.

    The listener's own counters cannot be split by revision, a cluster's leave with it, and both count what is no
    failure (a malformed request is a 501, an interim answer a request): measured, see docs/explanation/proxy.md.
    """
    revision = {"name": "revision", "value_format": "%UPSTREAM_CLUSTER%"}
    how = ({"name": "flags", "value_format": "%RESPONSE_FLAGS%"}, {"name": "code", "value_format": "%RESPONSE_CODE%"})

    def logger(name: str, **config: Any) -> dict[str, Any]:
        kind = f"{_TYPE}extensions.access_loggers.stats.v3.Config"
        return {"name": name, "typed_config": {"@type": kind, "stats_scope": {"prefix": TOLD}, **config}}

    def counter(name: str) -> dict[str, Any]:
        return {"counters": [{"stat": {"name": name, "tags": [revision, *how]}, "value_fixed": 1}]}

    # To the first byte: how long a download or a web socket then lasts says nothing about the service's speed.
    first_byte = "%COMMON_DURATION(DS_RX_BEG:DS_TX_BEG:ms)%"
    taken = {"stat": {"name": "ms", "tags": [revision]}, "unit": "Milliseconds", "value_format": first_byte}
    went_away = {"response_flag_filter": {"flags": ["DC", "DR"]}}
    waited = {
        "duration_filter": {
            "comparison": {"op": "GE", "value": {"default_value": LEFT_LATE_MS, "runtime_key": "failback.left_late_ms"}}
        }
    }
    answered = {
        "status_code_filter": {
            "comparison": {"op": "GE", "value": {"default_value": 100, "runtime_key": "failback.answered_from"}}
        }
    }
    return [
        logger("requests", **counter("rq")),
        logger("left", **counter(LEFT_LATE)) | {"filter": {"and_filter": {"filters": [went_away, waited]}}},
        logger("speed", histograms=[taken]) | {"filter": answered},
    ]


def clusters(version: str, revisions: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """The revisions with their replicas' ports on the loopback."""
    resources = []
    for revision, ports in sorted(revisions.items()):
        resources.append(_cluster(USERS_CLUSTER + revision, ports, 65_536))
        resources.append(_cluster(COPIES_CLUSTER + revision, ports, _COPIES_AT_ONCE_MAX))
    return {"version_info": version, "resources": resources}


def routes(
    version: str,
    revision: str | None,
    mirror: str | None = None,
    mirror_percent: float = 100.0,
    mirror_methods: Sequence[str] = ("GET", "HEAD"),
) -> dict[str, Any]:
    """Everything to one revision. Safe methods may be tried again on another replica when a connection breaks.

    `mirror`: a revision that gets a copy of requests with the given methods; what it answers reaches nobody.
    """
    if revision is None:
        nobody = {"status": 503, "body": {"inline_string": "no release of this service is live\n"}}
        entries: list[dict[str, Any]] = [{"match": {"prefix": "/"}, "direct_response": nobody}]
    else:
        entries = _entries(revision, mirror, mirror_percent, mirror_methods)
    table = {
        "@type": f"{_TYPE}config.route.v3.RouteConfiguration",
        "name": USERS,
        "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": entries}],
        "validate_clusters": False,
        "request_headers_to_add": [
            {
                "header": {"key": "x-forwarded-for", "value": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"},
                "append_action": "APPEND_IF_EXISTS_OR_ADD",
            }
        ],
        "request_headers_to_remove": ["x-envoy-external-address", "x-envoy-internal"],
    }
    return {"version_info": version, "resources": [table]}


def _entries(revision: str, mirror: str | None, percent: float, methods: Sequence[str]) -> list[dict[str, Any]]:
    before_sent = "connect-failure,refused-stream,reset-before-request"
    entries = []
    for pattern, retry_on in ((_SAFE_METHODS, f"{before_sent},reset"), (None, before_sent)):
        action = _action(revision, retry_on)
        match = _match(*([pattern] if pattern else []))
        if mirror is not None:
            copied = {
                "cluster": COPIES_CLUSTER + mirror,
                "runtime_fraction": {"default_value": {"numerator": round(percent * 10_000), "denominator": "MILLION"}},
                # Without it the copy's Host ends in "-shadow", and an application that checks it refuses all copies.
                "disable_shadow_host_suffix_append": True,
            }
            both = _match("|".join(methods), *([pattern] if pattern else []))
            entries.append({"match": both, "route": {**action, "request_mirror_policies": [copied]}})
        entries.append({"match": match, "route": action})
    return entries


def _match(*methods: str) -> dict[str, Any]:
    """Every path; requests whose method fits each of the patterns."""
    match: dict[str, Any] = {"prefix": "/"}
    if methods:
        match["headers"] = [{"name": ":method", "string_match": {"safe_regex": {"regex": one}}} for one in methods]
    return match


def _action(revision: str, retry_on: str) -> dict[str, Any]:
    predicate = f"{_TYPE}extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    return {
        "cluster": USERS_CLUSTER + revision,
        "timeout": "0s",
        "retry_policy": {
            "retry_on": retry_on,
            "num_retries": _RETRIES_MAX,
            "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.05s"},
            "retry_host_predicate": [
                {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": {"@type": predicate}}
            ],
            "host_selection_retry_max_attempts": _LOOKS_FOR_ANOTHER_MAX,
        },
    }


def _cluster(name: str, ports: Sequence[int], at_once_max: int) -> dict[str, Any]:
    options = f"{_TYPE}extensions.upstreams.http.v3.HttpProtocolOptions"
    limits = ("max_connections", "max_pending_requests", "max_requests")
    return {
        "@type": f"{_TYPE}config.cluster.v3.Cluster",
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        # By default a second change of a replica's health within a second reaches the workers only at its end.
        "common_lb_config": {"update_merge_window": "0s"},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address("127.0.0.1", port)}} for port in ports]}],
        },
        "outlier_detection": _left_out(),
        "circuit_breakers": {"thresholds": [dict.fromkeys(limits, at_once_max) | {"max_retries": 1_024}]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": options,
                "explicit_http_config": {"http_protocol_options": {}},
                # Below what servers use (gunicorn 2 s, Node and uvicorn 5 s): one that is closed under a request that
                # may not be sent twice is a failed request, and a new connection on the loopback costs 0.1 ms.
                "common_http_protocol_options": {"idle_timeout": "1s"},
            }
        },
    }


def _left_out() -> dict[str, Any]:
    """A replica that does not take connections is left out for a moment; what an application answers is no reason.

    When more than half are out, or the only one is, Envoy asks all of them nevertheless.
    """
    return {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 2,
        "enforcing_consecutive_local_origin_failure": 100,
        "enforcing_local_origin_success_rate": 0,
        "enforcing_consecutive_5xx": 0,
        "enforcing_consecutive_gateway_failure": 0,
        "enforcing_success_rate": 0,
        "interval": "0.5s",
        "base_ejection_time": "0.5s",
        "max_ejection_time": "5s",
        "max_ejection_percent": 50,
    }


def _router() -> dict[str, Any]:
    kind = f"{_TYPE}extensions.filters.http.router.v3.Router"
    return {"name": "envoy.filters.http.router", "typed_config": {"@type": kind, "suppress_envoy_headers": True}}


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _watched(folder: str, name: str) -> dict[str, Any]:
    path = f"{folder}/{name}"
    watched = path.rpartition("/")[0]
    return {
        "resource_api_version": "V3",
        "path_config_source": {"path": path, "watched_directory": {"path": watched}},
    }


# -- read back --------------------------------------------------------------------------------------------------------


def routed_in(table: Mapping[str, Any]) -> str | None:
    """The revision that the routes lead to."""
    cluster = _table(table)[-1].get("route", {}).get("cluster")
    return None if cluster is None else str(cluster).removeprefix(USERS_CLUSTER)


def mirrored_in(table: Mapping[str, Any]) -> str | None:
    """The revision that gets copies."""
    for entry in _table(table):
        for policy in entry.get("route", {}).get("request_mirror_policies", []):
            return str(policy["cluster"]).removeprefix(COPIES_CLUSTER)
    return None


def _table(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(table["resources"][0]["virtual_hosts"][0]["routes"])


def revisions_in(known: Mapping[str, Any]) -> dict[str, list[int]]:
    """Ports by revision."""
    return {
        cluster["name"].removeprefix(USERS_CLUSTER): [
            host["endpoint"]["address"]["socket_address"]["port_value"]
            for host in cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        ]
        for cluster in known["resources"]
        if cluster["name"].startswith(USERS_CLUSTER)
    }


def addresses_in(known: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Where the listener is."""
    listener = known["resources"][0]
    parts = [listener["address"], *(more["address"] for more in listener.get("additional_addresses", []))]
    return [(part["socket_address"]["address"], part["socket_address"]["port_value"]) for part in parts]
