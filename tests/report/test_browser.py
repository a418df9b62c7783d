"""The page in a real browser, from disk: what it shows, what can be done with it by hand and by keyboard."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reprogan.config import Parameters
from reprogan.models import trained
from reprogan.report.libraries import FOLDER
from reprogan.report.page import write_report
from reprogan.sampling.generate import generate


def show(browser: Any, page: Path, width: int = 1400, scheme: str = "light", motion: str = "no-preference") -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    wanted = {"prefers-color-scheme": scheme, "prefers-reduced-motion": motion}
    features = [{"name": name, "value": value} for name, value in wanted.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get("about:blank")
    browser.get_log("browser")  # what another test's page said last
    browser.get(page.as_uri())


def run(browser: Any, script: str, *arguments: Any) -> Any:
    return browser.execute_script(script, *arguments)


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (400, "dark"), (1400, "light"), (1400, "dark")])
def test_fits_and_says_nothing(browser: Any, page: Path, width: int, scheme: str, wait_until: Any) -> None:
    show(browser, page, width, scheme)
    run(browser, "document.querySelectorAll('details').forEach(d => d.open = true)")
    run(browser, "document.querySelector('#dcgan').scrollIntoView()")
    assert wait_until(lambda: run(browser, "return document.querySelectorAll('.uplot canvas').length > 1"), 10)
    assert run(browser, "return [innerWidth, document.documentElement.scrollWidth <= innerWidth]") == [width, True]
    assert browser.get_log("browser") == []
    sizes = run(browser, "return [...document.images].map(i => i.complete && i.naturalWidth)")
    assert len(sizes) == 16 and all(sizes)
    outside = run(
        browser,
        "return [...document.querySelectorAll('dd, dt, h2, h3, canvas, label, p, button')]"
        ".filter(e => e.offsetParent && !e.closest('.scroll') && e.getBoundingClientRect().right > innerWidth + 1)"
        ".map(e => e.outerHTML.slice(0, 80))",
    )
    assert outside == []


def test_only_the_page_itself_is_requested(browser: Any, page: Path, wait_until: Any) -> None:
    browser.get("about:blank")
    browser.get_log("performance")
    show(browser, page)
    start_explorer(browser, "sagan", wait_until)
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requested = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert [url for url in requested if not url.startswith("data:")] == [page.as_uri()]


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (1400, "dark"), (400, "light")])
def test_axe_finds_nothing(browser: Any, page: Path, width: int, scheme: str, require: Any, wait_until: Any) -> None:
    """axe-core: contrast, names of controls and pictures, roles, order of headings, what a keyboard reaches."""
    axe = FOLDER / "axe-core/axe.min.js"
    require("npm", "`make test` has npm fetch axe-core: run it again", axe.is_file())
    show(browser, page, width, scheme)
    start_explorer(browser, "dcgan_conditional", wait_until)
    run(browser, "document.querySelectorAll('details').forEach(d => d.open = true)")
    run(browser, axe.read_text())
    found = browser.execute_async_script(
        "const done = arguments[0]; axe.run().then(r => done([r.passes.length, r.violations.map("
        "v => [v.id, v.nodes.map(n => n.html.slice(0, 120) + n.failureSummary)])]))"
    )
    assert found[0] > 20 and found[1] == []


def rows(browser: Any) -> list[str]:
    return run(browser, "return [...document.querySelectorAll('.league tbody')[0].rows].map(r => r.cells[0].innerText)")


def test_a_table_sorts_by_its_columns(browser: Any, page: Path) -> None:
    show(browser, page)
    assert rows(browser) == ["dcgan_conditional", "dcgan", "gan"]
    press = "document.querySelectorAll('.league th button')[arguments[0]].click()"
    run(browser, press, 1)  # distances: the lowest first, as they are
    assert rows(browser) == ["dcgan_conditional", "dcgan", "gan"]
    run(browser, press, 1)
    assert rows(browser) == ["gan", "dcgan", "dcgan_conditional"]
    run(browser, press, 0)  # names
    assert rows(browser) == ["dcgan", "dcgan_conditional", "gan"]
    marks = run(browser, "return [...document.querySelectorAll('.league th')].map(h => h.ariaSort).filter(Boolean)")
    assert marks[0] == "ascending" and len(marks) == 1
    floor = run(browser, "return document.querySelector('.league tfoot tr').cells[0].innerText")
    assert floor == "real images"  # stays below


def test_two_side_by_side_and_back(browser: Any, page: Path) -> None:
    show(browser, page)
    run(
        browser,
        "const form = document.getElementById('compare'); form.elements.one.value = 'gan';"
        "form.elements.other.value = 'dcgan'; form.requestSubmit()",
    )
    shown = (
        "return [...document.querySelectorAll('article')].filter(a => a.offsetParent !== null)"
        ".map(a => [a.id, a.getBoundingClientRect().left, a.getBoundingClientRect().top])"
    )
    (one, left, top), (other, right, beside) = sorted(run(browser, shown), key=lambda found: found[1])
    assert (one, other) == ("gan", "dcgan") and left < right and top == beside
    cells = run(browser, "return [...document.querySelectorAll('#difference tr')].map(r => r.innerText)")
    assert cells[0].split() == ["gan", "dcgan"] and "243.7" in cells[1] and "61.08" in cells[1]
    run(browser, "document.querySelector('#compare [type=reset]').click()")
    assert len(run(browser, shown)) == 6


def test_progress_slides_and_curves_smooth(browser: Any, page: Path, wait_until: Any) -> None:
    show(browser, page)
    at = "const f = document.querySelector('#sagan figure[data-milestones]');"
    slide = "const s = f.querySelector('input'); s.value = arguments[0]; s.dispatchEvent(new Event('input'));"
    place = "return [f.querySelector('img').getBoundingClientRect().left - f.querySelector('.strip').getBoundingClientRect().left, f.querySelector('.strip').clientWidth, f.querySelector('output').textContent]"  # noqa: E501
    for frame, seen in ((0, "0"), (2, "2,000"), (4, "1,800,000")):
        left, width, told = run(browser, at + slide + place, frame)
        assert left == pytest.approx(-frame * width, abs=1) and told == seen

    run(browser, "document.querySelector('#gan').scrollIntoView()")
    assert wait_until(lambda: run(browser, "return document.querySelectorAll('#gan .uplot').length == 2"), 10)
    legend = "return document.querySelector('#gan .u-legend').innerText"
    before = run(browser, legend)
    assert "1,800,000" in before  # the last row, where nobody points
    box = run(browser, "const b = document.querySelector('#gan .u-over').getBoundingClientRect(); return [b.x, b.y]")
    move = {"type": "mouseMoved", "x": box[0] + 60, "y": box[1] + 40}
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", move)
    assert wait_until(lambda: "1,800,000" not in run(browser, legend), 10)
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": 2, "y": 2})
    assert wait_until(lambda: run(browser, legend) == before, 10)
    run(
        browser,
        "const s = document.querySelector('#gan [data-curves] input'); s.value = 90;"
        "s.dispatchEvent(new Event('input'))",
    )
    smooth = run(browser, legend)
    assert smooth != before and "1,800,000" in smooth


def test_a_walk_moves_until_it_is_paused(browser: Any, page: Path, wait_until: Any) -> None:
    place = "return document.querySelector('#sagan .film .sheet').style.backgroundPosition"
    show(browser, page, motion="reduce")
    run(browser, "document.querySelector('#sagan .film').scrollIntoView()")
    assert not wait_until(lambda: run(browser, place), 0.5)  # a reader who wants no motion starts it
    run(browser, "document.querySelector('#sagan .film button').click()")
    assert wait_until(lambda: run(browser, place), 10)

    show(browser, page)
    run(browser, "document.querySelector('#sagan .film').scrollIntoView()")
    first = run(browser, place)
    assert wait_until(lambda: run(browser, place) != first, 10)
    run(browser, "document.querySelector('#sagan .film button').click()")
    paused = run(browser, place)
    assert not wait_until(lambda: run(browser, place) != paused, 0.5)


def test_attention_follows_the_point(browser: Any, page: Path, wait_until: Any) -> None:
    show(browser, page)
    pixels = (
        "const c = document.querySelectorAll('#sagan canvas.map')[arguments[0]];"
        "return [c.width, [...c.getContext('2d').getImageData(0, 0, c.width, c.width).data]"
        ".filter((_, i) => i % 4 == 0)]"
    )
    assert wait_until(lambda: run(browser, pixels, 0)[0] == 8, 10)
    exported = page.parents[1] / "exports/sagan.attention.16.png"
    from PIL import Image

    maps = np.asarray(Image.open(exported))
    run(
        browser,
        "const f = document.querySelector('#sagan .attention'); f.querySelector('select').value = 1;"
        "f.querySelector('.down').value = 20; f.querySelector('.across').value = 70;"
        "f.querySelector('.across').dispatchEvent(new Event('input'))",
    )
    size, shown = run(browser, pixels, 1)
    assert (size, shown) == (16, maps[256 + 3 * 16 + 11].tolist())
    run(browser, "document.querySelector('#sagan canvas.image').scrollIntoView()")
    browser.find_element("css selector", "#sagan canvas.image").click()  # its middle
    assert run(browser, pixels, 1)[1] == maps[256 + 8 * 16 + 8].tolist()


def start_explorer(browser: Any, variant: str, wait_until: Callable[..., bool]) -> None:
    run(
        browser,
        "document.getElementById('explorer-variant').value = arguments[0];"
        "document.querySelector('#explorer form').requestSubmit()",
        variant,
    )
    status = "return document.getElementById('explorer-status').textContent"
    assert wait_until(lambda: run(browser, status) not in ("", "Starting…"), 60)
    assert run(browser, status) == f"{variant} runs in this page"


def explored(browser: Any) -> np.ndarray:
    """uint8 (H, W): the red of what is drawn."""
    data = run(
        browser,
        "const c = document.getElementById('explorer-canvas');"
        "return [c.height, c.width, [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
        ".filter((_, i) => i % 4 == 0)]",
    )
    return np.array(data[2], np.uint8).reshape(data[0], data[1])


def test_generators_run_in_the_page(browser: Any, page: Path, wait_until: Any) -> None:
    """What is drawn there is what torch draws, to a step of brightness; sliders and classes change it."""
    show(browser, page)
    models = page.parents[1] / "models"
    start_explorer(browser, "sagan", wait_until)
    (images,) = generate(trained.load(models / "sagan"), 3, 1)
    drawn = explored(browser)
    assert np.abs(drawn.astype(int) - images[0, 0].numpy()).max() <= 1

    def do(script: str) -> np.ndarray:
        count = "return Number(document.getElementById('explorer-canvas').dataset.drawn)"
        before = run(browser, count)
        run(browser, script)
        assert wait_until(lambda: run(browser, count) > before, 10)
        return explored(browser)

    slide = "const s = document.getElementById('explorer-between'); s.value = {}; s.dispatchEvent(new Event('input'))"
    assert np.abs(do(slide.format(100)).astype(int) - images[1, 0].numpy()).max() <= 1
    half = do(slide.format(50))
    assert (half != drawn).any() and (half != images[1, 0].numpy()).any()
    assert (do("document.getElementById('explorer-random').click()") != half).any()

    start_explorer(browser, "dcgan_conditional", wait_until)
    model = trained.load(models / "dcgan_conditional")
    latent = torch.tensor(json.loads((page.parents[1] / "exports/dcgan_conditional.json").read_text())["latents"][:1])
    for label in (0, 7):
        drawn = explored(browser)
        with torch.no_grad():
            image = model.networks["generator"](latent, torch.tensor([label]))[0, 0]
        expected = ((image + 1) * 127.5).round().clamp(0, 255).numpy()
        assert np.abs(drawn - expected).max() <= 1
        if label == 0:
            do("document.querySelectorAll('#explorer-classes button')[7].click()")
    pressed = run(browser, "return document.querySelectorAll('#explorer-classes [aria-pressed=true]').length")
    assert pressed == 1


def test_a_keyboard_reaches_everything(browser: Any, page: Path, wait_until: Any) -> None:
    """Tab goes through every control that is shown, in the order of the page; what has the focus is marked."""
    show(browser, page)
    start_explorer(browser, "sagan", wait_until)
    controls = run(
        browser,
        "window.wanted = [...document.querySelectorAll('a[href], button, select, input, summary, [tabindex=\"0\"]')]"
        ".filter(e => e.offsetParent !== null && !e.closest('[hidden]')); window.reached = new Set();"
        "document.body.focus(); return wanted.length",
    )
    for _ in range(controls + 40):
        for kind in ("rawKeyDown", "keyUp"):
            key = {"type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
            browser.execute_cdp_cmd("Input.dispatchKeyEvent", key)
        run(browser, "reached.add(document.activeElement)")
    missed = run(browser, "return wanted.filter(e => !reached.has(e)).map(e => e.outerHTML.slice(0, 100))")
    assert controls > 50 and missed == []
    outlined = run(
        browser, "const s = getComputedStyle(document.activeElement); return [s.outlineStyle, s.outlineWidth]"
    )
    assert outlined == ["solid", "2px"]


def test_without_libraries_it_stands_and_says_so(browser: Any, params: Parameters, root: Path) -> None:
    show(browser, write_report(params, root))
    assert browser.get_log("browser") == []
    text = run(browser, "return document.body.innerText")
    assert "Not in this page" in text and "No curves in this page" in text and "generator from" in text
    assert rows(browser) == ["dcgan", "gan"]
