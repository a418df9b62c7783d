"""Where runs are kept, and that first users at once, a dead server or a moved repository do no harm."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from reprogan.tracking.store import TrackingFailed, connect, tracking_uri


def test_the_variable_wins_over_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert tracking_uri(tmp_path) == "http://127.0.0.1:1"


# MLflow is imported once, for seconds, and the eight processes are forked from there: then they race.
FIRST_USERS = """
import os, sys, traceback
from pathlib import Path
import mlflow.store.tracking.sqlalchemy_store
from reprogan.tracking.store import connect

def first_use(number):
    with connect(Path(sys.argv[1])) as tracking:
        run = tracking.client.create_run(tracking.experiment_id, run_name=str(number))
        tracking.client.log_param(run.info.run_id, "number", number)
        assert run.info.artifact_uri.startswith(Path(sys.argv[1], "mlruns", "reprogan").as_uri()), run.info.artifact_uri

children = []
for number in range(8):
    if pid := os.fork():
        children.append(pid)
        continue
    try:
        first_use(number)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
sys.exit(sum(os.waitpid(pid, 0)[1] != 0 for pid in children))
"""


def test_eight_first_users_at_once_leave_one_whole_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "src"))
    root = tmp_path / "with spaces"
    done = subprocess.run(
        [sys.executable, "-c", FIRST_USERS, str(root)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(root / "mlflow.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM experiments WHERE name = 'reprogan'").fetchone() == (1,)
        numbers = connection.execute("SELECT value FROM params ORDER BY value").fetchall()
    assert numbers == [(str(number),) for number in range(8)]
    assert not list(root.glob(".*.part"))


def test_a_dead_server_costs_seconds_and_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    started = time.monotonic()
    with pytest.raises(TrackingFailed) as failure, connect(tmp_path):
        pass
    assert time.monotonic() - started < 15
    assert "http://127.0.0.1:9: no answer" in str(failure.value)
    assert "secret" not in str(failure.value) and "\n" not in str(failure.value)


def test_a_broken_store_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "mlflow.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(TrackingFailed, match="not a database") as failure, connect(tmp_path):
        pass
    assert "\n" not in str(failure.value)


def test_a_moved_repository_finds_its_artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    before, after = tmp_path / "before", tmp_path / "another place é"
    with connect(before) as tracking:
        run_id = tracking.client.create_run(tracking.experiment_id).info.run_id
        (tmp_path / "note.txt").write_text("kept")
        tracking.client.log_artifact(run_id, str(tmp_path / "note.txt"))
    shutil.move(before, after)
    with connect(after) as tracking:
        local = tracking.client.download_artifacts(run_id, "note.txt")
        assert Path(local).read_text() == "kept"
        assert tracking.client.get_run(run_id).info.artifact_uri.startswith(after.as_uri())
    assert not before.exists()


def test_the_environment_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with connect(tmp_path):
        assert os.environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path}/mlflow.db"
    assert "MLFLOW_TRACKING_URI" not in os.environ
