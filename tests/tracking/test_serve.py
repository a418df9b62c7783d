"""`reprogan serve` as its users meet it: over HTTP, with the same bytes, and alive after bad requests."""

import base64
import io
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

from reprogan.tracking.publish import publish

PROJECT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture
def address(repository: Any, wait_until: Callable[..., bool]) -> Iterator[str]:
    """The champion, else challenger, of `gan`, served on a free port."""
    publish(repository.params, repository.root, ["gan"])
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "reprogan.cli", "serve", "gan", "--port", str(port)]
    with open(repository.root / "log", "w") as log:
        environment = os.environ | {"PYTHONPATH": str(PROJECT / "src")}
        process = subprocess.Popen(
            command, cwd=repository.root, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        try:
            return requests.get(f"{url}/ping", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    try:
        assert wait_until(is_up, 90), (repository.root / "log").read_text()
        yield url
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def drawn(root: Path, counts: dict[int, int]) -> list[np.ndarray]:
    """{seed: count} images of each seed, drawn with the instruction set of params.yaml, as all commands do."""
    code = (
        "import sys; from pathlib import Path; from reprogan.config import load; "
        "from reprogan.entry import pin_instruction_set; params = load(); pin_instruction_set(params.compute); "
        "import numpy, torch; from reprogan.models import trained; from reprogan.sampling.generate import generate; "
        "torch.set_num_threads(params.compute.threads); model = trained.load(Path('models/gan')); "
        f"numpy.savez('drawn.npz', *[torch.cat(list(generate(model, n, seed))) for seed, n in {counts}.items()])"
    )
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "src")}
    subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, check=True, timeout=120)
    with np.load(root / "drawn.npz") as found:
        return list(found.values())


def test_a_model_is_served(repository: Any, address: str) -> None:
    assert "models:/reprogan-gan@challenger, version 1: http://127.0.0.1:" in (repository.root / "log").read_text()

    def ask(**params: Any) -> requests.Response:
        return requests.post(f"{address}/invocations", json={"inputs": [0], "params": params}, timeout=60)

    expected = drawn(repository.root, {7: 120})[0]
    answer = ask(seed=7, count=120)
    assert answer.status_code == 200
    np.testing.assert_array_equal(np.array(answer.json()["predictions"], np.uint8), expected)
    pictures = ask(seed=7, count=3, format="png").json()["predictions"]
    opened = [np.asarray(Image.open(io.BytesIO(base64.b64decode(picture)))) for picture in pictures]
    np.testing.assert_array_equal(np.stack(opened)[:, None], expected[:3])

    bad = {
        "count is 10000000; expected 1 to 10000": ask(count=10_000_000),
        "class 11 of a model that is told no classes": ask(label=11),
        "Invalid parameters found": ask(seed="NaN"),
        "format is 'gif'; expected one of array, png": ask(format="gif"),
        "valid JSON": requests.post(
            f"{address}/invocations", data=b"\xff{", headers={"Content-Type": "application/json"}
        ),
        "exactly one of the input fields": requests.post(f"{address}/invocations", json={}),
    }
    for words, answer in bad.items():
        assert answer.status_code == 400 and words in answer.text, (words, answer.status_code, answer.text)
    assert requests.post(f"{address}/invocations", data="x", headers={"Content-Type": "text/plain"}).status_code == 415

    # Many at once: each gets its own.
    images = drawn(repository.root, dict.fromkeys(range(100), 1))

    def first(seed: int) -> bool:
        image = np.array(ask(seed=seed, count=1).json()["predictions"], np.uint8)
        return bool((image == images[seed]).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(first, range(100)))
