"""Metrics pages as the gateways print them: this service's requests are counted, others' are not."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from failback.targets.kubernetes.gateway import Counted, counted


def line(series: str, value: object, **labels: object) -> str:
    """As the exposition format has it."""
    told = ",".join(f'{name}="{text}"' for name, text in labels.items())
    return f"{series}{{{told}}} {value}"


def nginx(status: int, count: int, namespace: str = "shop", service: str = "web") -> str:
    labels = {"host": "shop.example", "ingress": "web", "method": "GET", "path": "/"}
    series = "nginx_ingress_controller_requests"
    return line(series, count, canary="", **labels, namespace=namespace, service=service, status=status)


def istio(code: int, count: int, reporter: str = "source") -> str:
    labels = {"destination_service_name": "web", "destination_service_namespace": "shop"}
    return line("istio_requests_total", count, reporter=reporter, source_workload="gw", **labels, response_code=code)


def traefik(code: int, count: int, service: str = "shop-web-80@kubernetes") -> str:
    return line("traefik_service_requests_total", count, code=code, method="GET", protocol="http", service=service)


def envoy(code: int, count: int, cluster: str = "shop/web/80/da39a3ee5e") -> str:
    return line("envoy_cluster_upstream_rq_xx", count, envoy_response_code_class=code, envoy_cluster_name=cluster)


def haproxy(code: str, count: int, proxy: str = "shop_web_80") -> str:
    return line("haproxy_backend_http_responses_total", count, proxy=proxy, code=code)


NGINX = (
    "# TYPE nginx_ingress_controller_requests counter",
    nginx(200, 1200),
    nginx(404, 4),
    nginx(503, 3),
    nginx(500, 99, service="webshop"),
    nginx(500, 98, namespace="other"),
    "process_start_time_seconds 1.768906795e+09",
)
TRAEFIK = (
    traefik(200, 1000),
    traefik(200, 204, "shop-web-http-80@kubernetesgateway"),
    traefik(502, 3),
    traefik(502, 99, "shop-webshop-80@kubernetes"),
    traefik(502, 98, "shop-web-failback-80@kubernetes"),
)
ISTIO = (istio(200, 1204), istio(503, 2), istio(0, 1), istio(200, 1204, "destination"))
ENVOY = (
    envoy(2, 1204, "shop_web_80"),
    envoy(5, 3),
    envoy(5, 99, "shop/webshop/80/da39a3ee5e"),
    envoy(5, 98, "shop_web-failback_80"),
)
HAPROXY = (haproxy("2xx", 1204), haproxy("5xx", 3), haproxy("5xx", 99, "shop_webshop_80"))


def read(page: Iterable[str], service: str = "web", namespace: str = "shop") -> Counted | None:
    return counted(page, namespace, service)


@pytest.mark.parametrize(
    ("gateway", "page"),
    [("ingress-nginx", NGINX), ("Traefik", TRAEFIK), ("Istio", ISTIO), ("Envoy", ENVOY), ("HAProxy", HAPROXY)],
)
def test_requests_of_this_service_alone_are_counted(gateway: str, page: Iterable[str]) -> None:
    """All of them: 1,207, three failed."""
    found = read(page)

    assert found is not None
    assert (found.gateway, found.requests, found.failed) == (gateway, 1207, 3)


def test_a_service_that_the_page_does_not_know_is_not_counted_as_zero() -> None:
    assert read(NGINX, "checkout") is None
    assert read(()) is None


def test_what_a_client_did_wrong_is_no_failure() -> None:
    found = read(NGINX)

    assert found is not None
    assert dict(found.by_kind) == {"5xx": 3}


def test_the_start_of_the_gateway_is_kept_so_that_a_restart_is_seen() -> None:
    found = read(NGINX)

    assert found is not None
    assert found.started == "1.768906795e+09"


def test_lines_that_are_no_metrics_are_passed_over() -> None:
    assert read(("<html>503</html>", "nginx_ingress_controller_requests{broken 7", "\x00\xff")) is None
