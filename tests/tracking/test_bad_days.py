"""What happens to a tracking store, and that each time one line says so and publishing mends what can be mended."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from reprogan.errors import UserError
from reprogan.tracking import registry
from reprogan.tracking.fetch import fetched
from reprogan.tracking.publish import Published, publish
from reprogan.tracking.serve import serve_model
from reprogan.tracking.store import TrackingFailed, connect

PROJECT = Path(__file__).parents[2]
OLD_RUN = "a" * 32


@pytest.fixture
def answering() -> Iterator[Callable[[int, float], str]]:
    """`answering(status, seconds)`: the address of a server that answers everything so, after so many seconds."""
    servers = []

    def start(status: int, seconds: float) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                time.sleep(seconds)
                self.send_response(status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"no")

            do_POST = do_PUT = do_GET

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("status", "seconds", "says"), [(500, 0, "500"), (401, 0, "401"), (200, 60, "no answer")])
def test_a_server_that_is_no_use_costs_seconds_and_one_line(
    repository: Any, answering: Callable[[int, float], str], monkeypatch: Any, status: int, seconds: float, says: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", answering(status, seconds))
    started = time.monotonic()
    with pytest.raises(TrackingFailed) as failure:
        publish(repository.params, repository.root, ["gan"])
    assert time.monotonic() - started < 30
    assert says in str(failure.value) and "\n" not in str(failure.value)


def test_a_server_that_dies_half_way_is_completed_later(repository: Any, mlflow_server: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.address)
    ensure = registry.ensure_logged_model

    def die(*arguments: Any) -> Any:
        mlflow_server.kill()
        return ensure(*arguments)

    monkeypatch.setattr(registry, "ensure_logged_model", die)
    with pytest.raises(TrackingFailed) as failure:
        publish(repository.params, repository.root, ["gan"])
    assert "\n" not in str(failure.value) and mlflow_server.address in str(failure.value)
    mlflow_server.start()
    monkeypatch.setattr(registry, "ensure_logged_model", ensure)
    (later,) = publish(repository.params, repository.root, ["gan"])
    assert later.changed and later.version == "1"
    with connect(repository.root) as tracking:
        runs = tracking.client.search_runs([tracking.experiment_id])
        assert {run.info.status for run in runs} == {"FINISHED"} and len(runs) == 2  # the model's and the pipeline's
    (again,) = publish(repository.params, repository.root, ["gan"])
    assert again == Published("gan", later.run_id, later.model, "1", False)


def test_a_fault_of_our_own_is_not_said_to_be_mlflows(repository: Any, monkeypatch: Any) -> None:
    def fail(*_: Any) -> Any:
        raise KeyError("ours")

    monkeypatch.setattr(registry, "ensure_logged_model", fail)
    with pytest.raises(KeyError, match="ours"):
        publish(repository.params, repository.root, ["gan"])


def test_a_folder_of_artifacts_that_may_not_be_written(repository: Any, obey_permissions: Callable[[], None]) -> None:
    """The stage warns and succeeds; once it may be written, publishing completes the run that was begun."""
    folder = repository.root / "mlruns"
    folder.mkdir()
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    done = subprocess.run(
        [sys.executable, PROJECT / "stages/publish.py", "gan"], capture_output=True, text=True, cwd=repository.root,
        env=os.environ | {"PYTHONPATH": str(PROJECT / "src")}, preexec_fn=obey_permissions, timeout=120,
    )  # fmt: skip
    folder.chmod(stat.S_IRWXU)
    assert done.returncode == 0 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("reprogan: warning: not published: MLflow at sqlite:///") and "Permission denied" in line
    begun = set(repository.rows("SELECT run_uuid FROM runs"))
    (published,) = publish(repository.params, repository.root, ["gan"])
    assert published.changed and begun <= set(repository.rows("SELECT run_uuid FROM runs"))
    assert repository.rows("SELECT DISTINCT status FROM runs") == [("FINISHED",)]


def test_a_database_whose_schema_is_older_names_the_command_that_mends_it(repository: Any) -> None:
    """Where all tables are there; nothing is written."""
    with closing(sqlite3.connect(repository.root / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'bf29a5ff90ea'")
    before = repository.counts()
    with pytest.raises(TrackingFailed, match=r"out-of-date database schema.*'mlflow db upgrade") as failure:
        publish(repository.params, repository.root, ["gan"])
    assert "\n" not in str(failure.value) and repository.counts() == before


def test_a_database_of_years_ago_is_brought_up_to_date_with_its_runs(repository: Any) -> None:
    """By MLflow itself, where it lacks tables; from another folder, as after a move."""
    from alembic import command
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base
    from sqlalchemy import create_engine, text

    path = repository.root / "mlflow.db"
    path.unlink()
    engine, settings = create_engine(f"sqlite:///{path}"), _get_alembic_config(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        newest_first = [script.revision for script in ScriptDirectory.from_config(settings).walk_revisions()]
        command.upgrade(settings, newest_first[-25])
        at = "file:///before/mlruns/reprogan"
        connection.execute(
            text(
                "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) "
                f"VALUES (1, 'reprogan', '{at}', 'active')"
            )
        )
        connection.execute(
            text(
                "INSERT INTO runs (run_uuid, name, status, lifecycle_stage, experiment_id, artifact_uri, source_type, "
                "user_id, start_time, end_time) VALUES "
                f"('{OLD_RUN}', 'of then', 'FINISHED', 'active', 1, '{at}/{OLD_RUN}', 'LOCAL', 'me', 1, 2)"
            )
        )
    engine.dispose()
    assert "logged_models" not in repository.counts()
    (published,) = publish(repository.params, repository.root, ["gan"])
    assert published.changed
    with connect(repository.root) as tracking:
        old = tracking.client.get_run(OLD_RUN)
    assert old.info.artifact_uri == f"{(repository.root / 'mlruns/reprogan').as_uri()}/{OLD_RUN}"


def test_a_run_that_was_deleted_in_the_pages_is_brought_back(repository: Any) -> None:
    (first,) = publish(repository.params, repository.root, ["gan"])
    rows = repository.counts()
    with connect(repository.root) as tracking:
        for run in tracking.client.search_runs([tracking.experiment_id]):
            tracking.client.delete_run(run.info.run_id)
    (again,) = publish(repository.params, repository.root, ["gan"])
    assert (again.run_id, again.version, again.changed) == (first.run_id, first.version, True)
    assert repository.rows("SELECT DISTINCT lifecycle_stage FROM runs") == [("active",)]
    assert repository.counts() == rows


def test_a_version_without_its_files_says_so_and_publishing_puts_them_back(repository: Any) -> None:
    (published,) = publish(repository.params, repository.root, ["gan"])
    kept = next((repository.root / "mlruns").rglob("generator.safetensors"))
    shutil.rmtree(kept.parent)  # MLmodel is still there
    for use in (lambda: serve_model(repository.params, repository.root, "gan", 1), lambda: enter(repository.root)):
        with pytest.raises(UserError, match=r"no \*/model.json in .*; `reprogan publish` puts back what is gone"):
            use()
    (again,) = publish(repository.params, repository.root, ["gan"])
    assert again.changed and again.version == published.version and kept.is_file()
    enter(repository.root)


def enter(root: Path) -> None:
    """Fetch the challenger."""
    with fetched(root, "models:/reprogan-gan@challenger"):
        pass
