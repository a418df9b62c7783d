"""The MLflow UI as a person opens it: `reprogan ui` and a browser."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from reprogan.tracking.publish import Published, publish

PROJECT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture
def published(repository: Any) -> list[Published]:
    """Both variants in MLflow, with a grid that can be shown."""
    for name in ("gan", "cnn_classifier"):
        Image.radial_gradient("L").resize((120, 120)).save(repository.root / f"samples/{name}/grid.png")
    return publish(repository.params, repository.root)


@pytest.fixture
def address(repository: Any, published: list[Published], wait_until: Callable[..., bool]) -> Iterator[str]:
    """`reprogan ui` over the store of `repository`, on a free port."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "src"), "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    shutil.copytree(PROJECT / "profiles", repository.root / "profiles")
    with open(repository.root / "ui.log", "w") as log:
        command = [sys.executable, "-m", "reprogan.cli", "ui", "--port", str(port)]
        process = subprocess.Popen(
            command, cwd=repository.root, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        assert wait_until(lambda: closing_connect(port) == 0, 90), (repository.root / "ui.log").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def closing_connect(port: int) -> int:
    with closing(socket.socket()) as connection:
        return connection.connect_ex(("127.0.0.1", port))


def test_what_was_published_can_be_seen(
    browser: Any, address: str, published: list[Published], repository: Any, wait_until: Callable[..., bool]
) -> None:
    browser.set_window_size(1600, 1200)
    ((experiment,),) = repository.rows("SELECT DISTINCT experiment_id FROM runs")

    def text() -> str:
        return str(browser.execute_script("return document.body ? document.body.innerText : ''"))

    def opens(page: str, *words: str) -> None:
        for _ in range(3):  # a page whose requests ran out of time on a busy machine says so: load it again
            browser.get("about:blank")
            browser.get(f"{address}/#/{page}")
            if wait_until(lambda: all(word in text() for word in words), 30):
                return
        raise AssertionError((page, words, text()))

    names = {one.variant: browser_name(repository, one.run_id) for one in published}
    opens(f"experiments/{experiment}/runs", "pipeline ")
    ((parent,),) = repository.rows("SELECT run_uuid FROM tags WHERE key = 'reprogan.kind' AND value = 'pipeline'")
    opens(f"experiments/{experiment}/runs/{parent}", "Child runs", *names.values())

    gan, classifier = (next(one for one in published if one.variant == name) for name in ("gan", "cnn_classifier"))
    opens(f"experiments/{experiment}/runs/{gan.run_id}", "model.sha256", "objective.generator.learning_rate")
    browser.execute_script(
        "[...document.querySelectorAll('button, a, span')].filter(e => e.innerText.startsWith('ramps: training'))"
        ".forEach(e => e.click())"
    )
    assert wait_until(lambda: "images: 20channels: 1height: 28width: 28" in "".join(text().split("\n")), 60), text()
    assert "Unrecognized" not in text()
    opens(f"experiments/{experiment}/runs/{gan.run_id}/model-metrics", "class_shares", "Model metrics")
    # Charts are drawn when they come into view, and how far down the losses stand depends on the fonts.
    to_the_losses = (
        "[...document.querySelectorAll('*')].filter(e => !e.children.length && e.innerText === 'Model metrics')"
        ".at(-1).scrollIntoView()"
    )

    def losses_are_shown() -> bool:
        browser.execute_script(to_the_losses)
        return all(word in text() for word in ("generator_loss", "discriminator_loss"))

    assert wait_until(losses_are_shown, 60), text()
    drawn = "return document.querySelectorAll('.js-plotly-plot .scatterlayer path.js-line').length"
    assert wait_until(lambda: browser.execute_script(drawn) >= 2, 60), text()

    opens(f"experiments/{experiment}/runs/{gan.run_id}/artifacts/grid.png", "grid.png")
    shown = "return [...document.images].map(i => i.complete && i.naturalWidth)"
    assert wait_until(lambda: 120 in browser.execute_script(shown), 60), text()

    runs = f'["{gan.run_id}","{classifier.run_id}"]'
    opens(f'compare-runs?runs={runs}&experiments=["{experiment}"]', *names.values())
    opens("models", "reprogan-gan", "reprogan-cnn_classifier")
    opens(f"models/{gan.model}", "Version 1")
    opens(f"models/{gan.model}/versions/1", "Limits", "Make it again", "challenger")
    assert wait_until(lambda: 120 in browser.execute_script(shown), 60), text()  # the card shows the grid


def browser_name(repository: Any, run_id: str) -> str:
    """The name that a run bears in the UI."""
    return str(repository.rows(f"SELECT name FROM runs WHERE run_uuid = '{run_id}'")[0][0])
