"""The cost of a first view on a slow network: its bytes are checked, the time of its paint is reported."""

from __future__ import annotations

import pytest

MOST_BYTES = 60_000
SLOW = {"offline": False, "latency": 300, "downloadThroughput": 50_000, "uploadThroughput": 50_000}
PAINT = """() => new Promise((done) => new PerformanceObserver((list) => {
  const paint = list.getEntriesByName("first-contentful-paint")[0];
  if (paint) done(paint.startTime);
}).observe({ type: "paint", buffered: true }))"""
RENDER_BLOCKING = """() => performance.getEntriesByType("resource")
  .filter((one) => one.renderBlockingStatus === "blocking").map((one) => one.name)"""


@pytest.fixture
def pages(site, webhook) -> dict[str, str]:
    site.emit(40)
    delivery = site.deliveries()[0]
    own = f"/webhooks/{webhook.id}"
    return {"list": "/", "form": "/new", "webhook": own, "log": "/deliveries", "delivery": f"/deliveries/{delivery.id}"}


def test_first_view_is_light_and_painted_before_scripts_run(site, browse, pages, request):
    for name, path in pages.items():
        page = browse()
        session = page.context.new_cdp_session(page)
        received: list[float] = []
        session.on("Network.loadingFinished", lambda one, kept=received: kept.append(one["encodedDataLength"]))
        session.send("Network.enable")
        session.send("Network.emulateNetworkConditions", SLOW)
        page.goto(site.url + path, wait_until="networkidle")
        # About a second. It depends on what else the machine does, so `--junitxml` reports it and nothing checks it.
        request.node.user_properties.append((f"first paint of {name} in ms", round(page.evaluate(PAINT))))
        request.node.user_properties.append((f"bytes of {name}", sum(received)))
        assert 0 < sum(received) < MOST_BYTES, name
        blocking = page.evaluate(RENDER_BLOCKING)
        assert len(blocking) == 1, blocking
        assert blocking[0].endswith(".css")
