"""A gateway's counters over a rollout: users' requests wherever they were answered, and never a copy of one."""

from __future__ import annotations

import pytest

from failback.model.observation import RequestCounts
from failback.targets.kubernetes import gateway_counts
from failback.targets.kubernetes.gateway_counts import Gateway


class Page:
    """What the gateway has counted by Service: (good, failed)."""

    def __init__(self) -> None:
        self.gateway = Gateway("http://gateway/metrics", "shop", ["web"])
        self.gateway._page = self.read  # type: ignore[method-assign, assignment]
        self.counts: dict[str, tuple[int, int]] = {"web": (1000, 0)}

    async def read(self) -> list[str]:
        series = "envoy_cluster_upstream_rq_xx"
        return [
            f'{series}{{envoy_response_code_class="{code}",envoy_cluster_name="shop_{name}_80"}} {n}'
            for name, both in self.counts.items()
            for code, n in zip("25", both, strict=True)
        ]

    async def counted(self) -> tuple[int, int]:
        await self.gateway.look()
        users = self.gateway.users()
        return users.requests, users.failed


@pytest.fixture
async def page() -> Page:
    """A gateway that has answered a thousand requests before anything began."""
    made = Page()
    await made.gateway.start()
    await made.gateway.close()  # looked at by the stories alone
    return made


async def test_a_copy_is_no_users_request(page: Page) -> None:
    page.counts = {"web": (1100, 0), "web-failback": (60, 40)}

    assert await page.counted() == (1100, 0)


async def test_what_the_share_answered_counts_and_is_compared_with_the_others(page: Page) -> None:
    """After copies, which are left out of it."""
    page.counts = {"web": (1100, 0), "web-failback": (60, 40)}
    await page.gateway.switched(shared=True)
    page.counts = {"web": (1190, 0), "web-failback": (67, 43)}

    assert await page.counted() == (1200, 3)
    view = page.gateway.view()
    assert view is not None
    assert (view.new, view.stable) == (RequestCounts(10, 3), RequestCounts(190, 0))


async def test_what_the_gateway_forgets_stays_counted(page: Page) -> None:
    await page.gateway.switched(shared=True)
    page.counts = {"web": (1090, 0), "web-failback": (7, 3)}
    await page.gateway.look()
    page.counts = {"web": (1190, 0)}

    assert await page.counted() == (1200, 3)
    assert page.gateway.restarts == 0


async def test_the_next_rollout_begins_from_nothing(page: Page) -> None:
    """The same name again, with fewer requests than it had: nobody restarted the gateway."""
    await page.gateway.switched(shared=True)
    for counts in ({"web-failback": (90, 0)}, {}, {"web-failback": (95, 1)}):
        page.counts = {"web": (1000, 0), **counts}
        await page.gateway.look()

    assert await page.counted() == (1000 + 90 + 96, 1)
    assert page.gateway.restarts == 0


async def test_without_a_share_what_comes_after_the_switch_is_the_new_ones(page: Page) -> None:
    page.counts = {"web": (1100, 0)}
    await page.gateway.switched(shared=False)
    page.counts = {"web": (1150, 5)}
    await page.gateway.look()

    view = page.gateway.view()

    assert view is not None
    assert (view.new, view.stable) == (RequestCounts(55, 5), RequestCounts(100, 0))


@pytest.mark.parametrize("forgotten", [False, True], ids=["still-there", "forgotten"])
async def test_another_process_goes_on_counting(page: Page, forgotten: bool) -> None:
    """Killed in the bake; whether or not the gateway has forgotten the share since."""
    await page.gateway.switched(shared=True)
    page.counts = {"web": (1090, 0), "web-failback": (7, 3)}
    await page.gateway.look()
    kept = page.gateway.state()

    other = Page()
    other.counts = {"web": (1090, 0)} if forgotten else dict(page.counts)
    await other.gateway.look()
    other.gateway.go_on(kept)

    assert await other.counted() == (1100, 3)
    assert other.gateway.counts


async def test_copies_are_judged_once_the_new_pods_are_known_to_be_ready(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the gateway has heard of them it has nobody to send a copy to, and counts it as failed."""
    monkeypatch.setattr(gateway_counts, "_JUST_READY_S", 0.0)
    page.counts = {"web": (1100, 0), "web-failback": (0, 100)}
    await page.gateway.look()

    assert page.gateway.copies(ready=False) is None
    page.gateway.copies(ready=True)
    page.counts = {"web": (1200, 0), "web-failback": (90, 110)}
    await page.gateway.look()
    view = page.gateway.copies(ready=True)

    assert view is not None
    assert view.mirrored
    assert (view.new, view.stable) == (RequestCounts(100, 10), RequestCounts(100, 0))
    assert page.gateway.copies(ready=False) is None


async def test_a_gateway_that_was_restarted_is_seen(page: Page) -> None:
    page.counts = {"web": (10, 0)}
    await page.gateway.look()

    assert page.gateway.restarts == 1


async def test_a_page_without_this_service_counts_nothing(page: Page) -> None:
    other = Page()
    other.counts = {"shop": (7, 0)}
    await other.gateway.look()

    assert not other.gateway.known
    assert "counts nothing of shop/web" in other.gateway.problem
