"""Law 4: tracking never hurts training."""

import socket
import time

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def silent_server():
    """The address of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("how", ["closed port", "silent server"])
def test_training_without_an_answer_from_mlflow_ends_well_with_the_same_bytes(
    project, pipeline, wait_until, silent_server, how
):
    project.env["REPROGAN_TRACKING"] = "now"
    store = "http://127.0.0.1:9" if how == "closed port" else silent_server
    project.forget("train@gan")
    started = time.monotonic()
    project.dvc("repro", "train@gan", env={"MLFLOW_TRACKING_URI": store})
    seconds = time.monotonic() - started
    expected = {name: digest for name, digest in pipeline.digests.items() if name.startswith("models/gan/")}
    assert project.digests("models/gan") == expected
    assert seconds < 90
    assert wait_until(lambda: not project.processes(), 20), project.processes()


def test_training_needs_no_mlflow(project, pipeline, tmp_path):
    """A Python in which neither mlflow nor dvc can be imported: the stage by itself makes the same model."""
    for package in ("mlflow", "dvc"):
        (project.root / "src" / f"{package}.py").write_text("raise ImportError('not installed')\n")
    project.env["REPROGAN_TRACKING"] = "now"
    project.forget("train@gan")
    project.stage("train", "gan")
    expected = {name: digest for name, digest in pipeline.digests.items() if name.startswith("models/gan/")}
    assert project.digests("models/gan") == expected
