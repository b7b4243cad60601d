"""Users' requests as a gateway's own metrics page counts them: Envoy, ingress-nginx, Traefik, Istio, HAProxy. Pure.

Each row says which series counts requests by their answer, and which of its labels name the service.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

_SAMPLE = re.compile(
    r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>[0-9.eE+-]+|NaN|[+-]?Inf)(?:\s|$)"
)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_TOKEN = re.compile(r"[^a-z0-9-]+")
STARTED = "process_start_time_seconds"

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Family:
    """`code`: the label that holds the answer's status or class. `is_of(labels, namespace, service)`."""

    gateway: str
    series: str
    code: str
    is_of: Callable[[Labels, str, str], bool]


@dataclass(slots=True)
class Counted:
    """Of one service, since the gateway started. `started`: when that was, where it says so."""

    requests: int = 0
    failed: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)
    gateway: str = ""
    started: str = ""


def _named(label: str) -> Callable[[Labels, str, str], bool]:
    """The label's value has namespace and service as parts: "shop/web/80", "outbound|80||web.shop.svc"."""

    def is_of(labels: Labels, namespace: str, service: str) -> bool:
        parts = set(_TOKEN.split(labels.get(label, "").lower()))
        return service in parts and namespace in parts

    return is_of


def _traefik(labels: Labels, namespace: str, service: str) -> bool:
    """ "shop-web-80@kubernetes", "shop-web-http-80@kubernetesgateway": hyphens part all of it, so the port tells where
    the name of the service ends."""
    told = labels.get("service", "").partition("@")[0]
    return told == f"{namespace}/{service}" or bool(
        re.fullmatch(rf"{re.escape(f'{namespace}-{service}-')}(?:https?-)?[a-z0-9]+", told)
    )


def _nginx(labels: Labels, namespace: str, service: str) -> bool:
    there = labels.get("exported_namespace") or labels.get("namespace")
    return there == namespace and (labels.get("exported_service") or labels.get("service")) == service


def _istio(labels: Labels, namespace: str, service: str) -> bool:
    named = labels.get("destination_service_name") == service
    return (
        named
        and labels.get("destination_service_namespace") == namespace
        and labels.get("reporter", "source") == "source"
    )


FAMILIES = (
    Family("Envoy", "envoy_cluster_upstream_rq_xx", "envoy_response_code_class", _named("envoy_cluster_name")),
    Family("ingress-nginx", "nginx_ingress_controller_requests", "status", _nginx),
    Family("Traefik", "traefik_service_requests_total", "code", _traefik),
    Family("Istio", "istio_requests_total", "response_code", _istio),
    Family("HAProxy", "haproxy_backend_http_responses_total", "code", _named("proxy")),
)


def counted(lines: Iterable[str], namespace: str, service: str) -> Counted | None:
    """What a page of Prometheus text says of one service; None where it counts nothing of it."""
    by_series = {family.series: family for family in FAMILIES}
    found: dict[str, Counted] = {}
    started = ""
    for line in lines:
        match = _SAMPLE.match(line)
        if match is None:
            continue
        if match["name"] == STARTED:
            started = match["value"]
        family = by_series.get(match["name"])
        if family is None:
            continue
        labels = dict(_LABEL.findall(match["labels"] or ""))
        if family.is_of(labels, namespace, service):
            _add(found.setdefault(family.gateway, Counted(gateway=family.gateway)), labels.get(family.code, ""), match)
    # A mesh's sidecars count beside the gateway's own proxy: the first row of the table that has counts is taken.
    for family in FAMILIES:
        if family.gateway in found:
            found[family.gateway].started = started
            return found[family.gateway]
    return None


def _add(counts: Counted, code: str, match: re.Match[str]) -> None:
    try:
        value = int(float(match["value"]))
    except (ValueError, OverflowError):
        return
    counts.requests += value
    if code.startswith("5") or code == "0":
        counts.failed += value
        counts.by_kind["5xx" if code.startswith("5") else "reset"] += value
