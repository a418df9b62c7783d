"""Live curves: complete, each point once, through kills; and never a trouble to training."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from reprogan.tracking.curves import read_history
from reprogan.tracking.publish import publish

PROJECT = Path(__file__).parents[2]

# A training that only writes what training writes: ten rows a second from row `first` on, to `last` at most, until
# there is a file `enough` (a loaded machine takes its time to import MLflow).
TRAINING = """
import sys, time
from pathlib import Path
from reprogan.training.follower import Follower
from reprogan.training.history import History
first, last, sha256 = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
folder = Path(".reprogan/live/gan")
folder.mkdir(parents=True, exist_ok=True)
params = {"system": "gan", "training": {"seed": 1}}
follower = Follower(folder, {"variant": "gan", "fingerprint": "f" * 64, "params": params, "tags": {"data": "ramps"}})
row = lambda i: [1000.0 * i, 1 / i, i / 3]
history = History(("generator_loss", "discriminator_loss"), folder / "history.csv")
history.replace([row(i) for i in range(1, first)])
for i in range(first, last + 1):
    history.append(1000 * i, row(i)[1:])
    time.sleep(0.1)
    if Path("enough").exists():
        break
started = time.monotonic()
follower.finish({"model_sha256": sha256, "images_seen": 1000 * i, "seconds": 2.5, "images_per_second": 99.0})
print("finished within", time.monotonic() - started)
"""


def start(root: Path, first: int, last: int = 5000, sha256: str = "0" * 64) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", TRAINING, str(first), str(last), sha256]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "src"), "REPROGAN_TRACKING": "now"}
    return subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(condition: Any, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.1)


def points(repository: Any) -> int:
    """How many points of losses MLflow holds; it has others of the machine's load."""
    ((count,),) = repository.rows("SELECT count(*) FROM metrics WHERE key LIKE '%loss'")
    return int(count)


def test_a_killed_training_is_killed_in_mlflow_and_goes_on_in_the_same_run(repository: Any) -> None:
    root = repository.root
    training = start(root, 1)
    wait_for(lambda: points(repository) >= 20, 120)
    training.send_signal(signal.SIGKILL)
    training.wait()
    wait_for(lambda: repository.rows("SELECT status FROM runs") == [("KILLED",)], 12)

    resumed = start(root, 4, sha256="5" * 64)  # from a checkpoint long before the kill
    wait_for(lambda: repository.rows("SELECT status FROM runs") == [("RUNNING",)], 120)
    before = points(repository)
    wait_for(lambda: points(repository) > before + 20, 120)
    (root / "enough").touch()
    out, errors = resumed.communicate(timeout=120)
    assert (resumed.returncode, errors) == (0, "") and "finished within" in out
    assert repository.rows("SELECT status FROM runs") == [("FINISHED",)]
    assert repository.rows("SELECT value FROM tags WHERE key = 'model.sha256'") == [("5" * 64,)]
    expected = sorted(
        (point.key, point.step, point.value) for point in read_history(root / ".reprogan/live/gan/history.csv")
    )
    losses = "SELECT key, step, value FROM metrics WHERE key LIKE '%loss' ORDER BY key, step"
    assert repository.rows(losses) == expected and len(expected) >= 40
    assert repository.rows("SELECT value FROM metrics WHERE key = 'images_per_second'") == [(99.0,)]


def test_live_curves_over_http_go_on_when_the_server_is_back_and_publishing_completes_them(
    repository: Any, mlflow_server: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.address)
    from reprogan.tracking.provenance import sha256
    from reprogan.tracking.store import connect

    weights = sha256(repository.root / "models/gan/generator.safetensors")
    training = start(repository.root, 1, sha256=weights)
    live = repository.root / ".reprogan/live/gan/history.csv"
    with connect(repository.root) as tracking:

        def last_step() -> int:
            runs = tracking.client.search_runs([tracking.experiment_id])
            held = [tracking.client.get_metric_history(run.info.run_id, "generator_loss") for run in runs]
            return max((point.step for points in held for point in points), default=0)

        wait_for(lambda: last_step() > 0, 120)
        mlflow_server.kill()
        rows = len(read_history(live))
        wait_for(lambda: len(read_history(live)) > rows + 60, 60)  # longer than the follower takes to look
        mlflow_server.start()
        there = read_history(live)[-1].step
        wait_for(lambda: last_step() > there, 120)
        (repository.root / "enough").touch()
        _, errors = training.communicate(timeout=120)
        assert training.returncode == 0 and errors.count("\n") == 1
        assert errors.startswith(f"reprogan: live tracking failed (MLflow at {mlflow_server.address}: ")
        assert "; it goes on when that answers; " in errors
        (run,) = tracking.client.search_runs([tracking.experiment_id], f"tags.`model.sha256` = '{weights}'")
        assert run.info.status == "FINISHED" and run.data.metrics["training_seconds"] == 2.5
        began = (repository.root / ".reprogan/live/gan/run.json").stat().st_mtime
        assert run.info.start_time == round(1000 * began)
        history = tracking.client.get_metric_history(run.info.run_id, "generator_loss")
        assert [(point.step, point.value) for point in history] == [
            (point.step, point.value) for point in read_history(live) if point.key == "generator_loss"
        ]
    (published,) = publish(repository.params, repository.root, ["gan"])
    assert published.run_id == run.info.run_id and published.changed
    (again,) = publish(repository.params, repository.root, ["gan"])
    assert again.run_id == run.info.run_id and not again.changed

    # The same training again, as after `dvc repro -f`: in the same run, which is whole already.
    (repository.root / "enough").unlink()
    training = start(repository.root, 1, sha256=weights)
    with connect(repository.root) as tracking:
        of_model = "tags.`reprogan.kind` = 'model'"
        shown = lambda: tracking.client.search_runs([tracking.experiment_id], of_model)  # noqa: E731
        wait_for(lambda: any(run.info.status == "RUNNING" for run in shown()), 120)
        (repository.root / "enough").touch()
        assert training.wait(120) == 0
        (run,) = shown()
        assert run.info.status == "FINISHED" and run.info.run_id == published.run_id
    (again,) = publish(repository.params, repository.root, ["gan"])
    assert again.run_id == published.run_id and not again.changed

    # And once more, killed on the way: the run still shows the training that was finished.
    (repository.root / "enough").unlink()
    training = start(repository.root, 1, sha256=weights)
    with connect(repository.root) as tracking:
        wait_for(lambda: any(run.info.status == "RUNNING" for run in shown()), 120)
        training.kill()
        training.wait()
        wait_for(lambda: [run.info.status for run in shown()] == ["FINISHED"], 30)


def test_a_server_that_was_never_there_costs_training_one_warning_and_publishing_fills_in(
    repository: Any, server: str, monkeypatch: Any
) -> None:
    from reprogan.tracking.store import connect

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    training = start(repository.root, 1)
    time.sleep(6)
    (repository.root / "enough").touch()
    out, errors = training.communicate(timeout=120)
    assert training.returncode == 0 and float(out.split()[-1]) < 5
    assert errors.count("\n") == 1 and errors.startswith("reprogan: live tracking failed (MLflow at http://127.0.0.1:9")

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    (published,) = publish(repository.params, repository.root, ["cnn_classifier"])
    with connect(repository.root) as tracking:
        held = {
            (key, point.step, point.value)
            for key in ("loss", "accuracy")
            for point in tracking.client.get_metric_history(published.run_id, key)
        }
        artifacts = {info.path for info in tracking.client.list_artifacts(published.run_id)}
    rows = read_history(repository.root / "models/cnn_classifier/history.csv")
    assert held == {(point.key, point.step, point.value) for point in rows}
    assert {"grid.png", "scores.json", "history.csv", "pipeline"} <= artifacts


def test_a_short_training_spares_itself_the_follower(repository: Any) -> None:
    training = start(repository.root, 1, 5)
    out, errors = training.communicate(timeout=30)
    assert (training.returncode, errors) == (0, "") and float(out.split()[-1]) < 5
    assert repository.counts()["runs"] == 0


def test_a_row_that_is_still_being_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    assert read_history(path) == []
    path.write_text("images_seen,loss\n1000,0.5\n2000,0.2")
    assert [(point.step, point.value) for point in read_history(path)] == [(1000, 0.5)]
    path.write_text("images_")
    assert read_history(path) == []
