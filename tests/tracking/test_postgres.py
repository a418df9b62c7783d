"""A tracking server as `docs/operations.md` sets it up: MLflow over PostgreSQL, which is strict about lengths."""

import getpass
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from reprogan.blocks import read_yaml
from reprogan.tracking import decisions
from reprogan.tracking.publish import publish
from reprogan.tracking.store import TrackingFailed, connect

PROJECT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def free_port() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def answers(port: int) -> bool:
    with closing(socket.socket()) as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def database(require: Callable[[str, str, object], None], wait_until: Callable[..., bool]) -> Iterator[str]:
    """A PostgreSQL of its own with an empty database: the URI."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = str(found[-1]) if found else shutil.which("initdb")
    require("postgres", "on Debian: apt-get install postgresql", initdb)
    # It refuses to run as root.
    root = os.geteuid() == 0
    account = ["runuser", "-u", "postgres", "--"] if root else []
    programs, port = Path(str(initdb)).parent, free_port()
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        if root:
            shutil.chown(folder, "postgres")
        user = "postgres" if root else getpass.getuser()
        data = f"{folder}/data"
        subprocess.run(
            [*account, initdb, "-D", data, "-A", "trust", "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync"],
            check=True, capture_output=True, cwd=folder,
        )  # fmt: skip
        server = subprocess.Popen(
            [*account, programs / "postgres", "-D", data, "-p", str(port), "-k", folder, "-h", "127.0.0.1", "-F"],
            cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            assert wait_until(lambda: answers(port), 60)
            base = [programs / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", user, "mlflow"]
            assert wait_until(lambda: subprocess.run(base, capture_output=True).returncode == 0, 60)
            yield f"postgresql+psycopg2://{user}@127.0.0.1:{port}/mlflow"
        finally:
            subprocess.run([*account, programs / "pg_ctl", "-D", data, "-m", "immediate", "stop"], cwd=folder)
            server.wait(30)


PASSWORDS = {"DATABASE_PASSWORD": "d", "STORE_PASSWORD": "s", "SECRET_KEY": "k", "ADMIN_PASSWORD": "long enough 1"}


def composed(text: str, values: dict[str, str]) -> str:
    """A value of compose.yaml with its variables filled in, as Compose does it."""

    def value(match: "re.Match[str]") -> str:
        name, _, default = match[1].partition(":")
        return values[name] if name in values else default.removeprefix("-")

    return re.sub(r"\$\{([^}]+)\}", value, text)


@pytest.fixture
def server(database: str, tmp_path: Path, wait_until: Callable[..., bool]) -> Iterator[str]:
    """The server of deploy/compose.yaml over the database, with passwords; artifacts in a folder: its address."""
    compose = read_yaml(PROJECT / "deploy/compose.yaml")
    service, port = compose["services"]["mlflow"], free_port()
    places = {
        f"postgresql+psycopg2://mlflow:{PASSWORDS['DATABASE_PASSWORD']}@database:5432/mlflow": database,
        "s3://mlflow": str(tmp_path / "artifacts"),
        "/etc/mlflow/auth.ini": str(tmp_path / "auth.ini"),
        "0.0.0.0": "127.0.0.1",
        "--port=5000": f"--port={port}",
        ":5000": f":{port}",
    }

    def here(text: str) -> str:
        text = composed(text, PASSWORDS)
        for there, place in places.items():
            text = text.replace(there, place)
        return text

    (tmp_path / "auth.ini").write_text(here(compose["configs"]["auth"]["content"]))
    environment = os.environ | {key: here(value) for key, value in service["environment"].items()}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen(
            [*map(here, service["command"]), "--workers=1"], cwd=tmp_path, env=environment, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        assert wait_until(lambda: answers(port), 120), (tmp_path / "log").read_text()
        yield f"127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def test_pins_of_the_server_are_those_of_the_project() -> None:
    """MLflow's and the driver's: a client and a server of two versions may not understand each other."""
    built = read_yaml(PROJECT / "deploy/compose.yaml")["services"]["mlflow"]["build"]["dockerfile_inline"]
    pins = (PROJECT / "requirements.txt").read_text() + (PROJECT / "requirements-test.txt").read_text()
    for package in ("mlflow", "psycopg2-binary"):
        (version,) = re.findall(rf"^{package}==(\S+)", pins, re.M)
        assert re.search(rf"{package}(\[auth\])?=={re.escape(version)}\b", built)


def test_publishing_to_a_server_over_postgres(repository: Any, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for password in ("wrong", None):
        monkeypatch.setenv(
            "MLFLOW_TRACKING_URI", f"http://admin:{password}@{server}" if password else f"http://{server}"
        )
        with pytest.raises(TrackingFailed, match="not authenticated") as failure:
            publish(repository.params, repository.root)
        assert "\n" not in str(failure.value) and "wrong" not in str(failure.value)
    forged = requests.get(f"http://{server}/health", headers={"Host": "elsewhere.example"}, timeout=30)
    listed = requests.get(f"http://{server}/", headers={"Host": "elsewhere.example"}, timeout=30)
    assert (forged.status_code, listed.status_code) == (200, 403)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{server}")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORDS["ADMIN_PASSWORD"])
    model = decisions.Model(1, "0" * 64, None)
    published = publish(repository.params, repository.root)
    assert all(one.changed for one in published)
    (gan,) = (one for one in published if one.variant == "gan")
    with connect(repository.root) as tracking:
        weights = tracking.client.get_run(gan.run_id).data.tags["model.sha256"]
    for turn in range(40):  # more decisions than a description has room for
        one = decisions.Decision(
            "gan",
            "held",
            f"2020-01-01T00:00:{turn:02}+00:00",
            "ünd " * 50,
            decisions.Model(1, weights, None),
            model,
            {},
        )
        decisions.add(repository.root, one)
    assert any(one.changed for one in publish(repository.params, repository.root))
    assert not any(one.changed for one in publish(repository.params, repository.root))
    with connect(repository.root) as tracking:
        client = tracking.client
        kinds = [run.data.tags["reprogan.kind"] for run in client.search_runs([tracking.experiment_id])]
        assert sorted(kinds) == ["model", "model", "pipeline"]
        version = client.get_model_version_by_alias("reprogan-gan", "challenger")
        assert 4000 < len(version.description) <= 5000 and "T00:00:39" in version.description
        history = client.get_metric_history(gan.run_id, "generator_loss")
        assert [point.step for point in history] == [1000 * row for row in range(1, 7)]
