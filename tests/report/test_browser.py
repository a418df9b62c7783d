"""The page in a real browser, from disk: no console message, no sideways scroll, light and dark."""

import json
from pathlib import Path
from typing import Any

import pytest

from reprogan.config import Parameters
from reprogan.report.page import write_report


def show(browser: Any, page: Path, width: int, scheme: str) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    browser.get("about:blank")
    browser.get_log("browser")  # what another test's page said last
    browser.get(page.as_uri())


@pytest.mark.parametrize("width", [320, 400, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_and_says_nothing(browser: Any, params: Parameters, root: Path, width: int, scheme: str) -> None:
    show(browser, write_report(params, root), width, scheme)
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.execute_script("return innerWidth") == width
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.get_log("browser") == []
    sizes = browser.execute_script("return [...document.images].map(i => i.complete && i.naturalWidth)")
    assert len(sizes) == 5 and all(sizes)
    outside = browser.execute_script(
        "return [...document.querySelectorAll('td, dd, dt, h2, h3, svg')]"
        ".filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
    )
    assert outside == []


def test_only_the_page_itself_is_requested(browser: Any, params: Parameters, root: Path) -> None:
    page = write_report(params, root)
    browser.get("about:blank")
    browser.get_log("performance")
    show(browser, page, 1400, "light")
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requested = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert [url for url in requested if not url.startswith("data:")] == [page.as_uri()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_curves_stand_out(browser: Any, params: Parameters, root: Path, scheme: str) -> None:
    """Contrast of at least 4.5 for text and 3 for curves against what they lie on (WCAG 2.2, 1.4.3 and 1.4.11)."""
    show(browser, write_report(params, root), 1400, scheme)
    contrast = """
        const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number).map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const card = light(getComputedStyle(document.querySelector('article')).backgroundColor);
        const found = [...document.querySelectorAll(arguments[0])].map(e => light(getComputedStyle(e)[arguments[1]]));
        return found.map(l => (Math.max(l, card) + 0.05) / (Math.min(l, card) + 0.05));
    """
    for selector, key, least in (
        ("article dd, article dt, .legend, figcaption, td", "color", 4.5),
        ("svg text", "fill", 4.5),
        ("svg path[style*=series]", "stroke", 3),
    ):
        found = browser.execute_script(contrast, selector, key)
        assert found and min(found) >= least, (selector, found)
