"""Where runs are kept: `MLFLOW_TRACKING_URI`, else a SQLite file and a folder of artifacts under the repository."""

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reprogan.atomic import atomic_path
from reprogan.errors import UserError
from reprogan.tracking.relocate import follow_the_repository

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "reprogan"
URI_VARIABLE = "MLFLOW_TRACKING_URI"
DATABASE = "mlflow.db"
ARTIFACTS = "mlruns"
_KIND = "mlflow.experimentKind"  # which pages MLflow opens: those of trained models, not of language models

_MLFLOW = ("alembic", "filelock", "mlflow", "requests", "sqlalchemy", "sqlite3")  # packages whose errors are MLflow's
_LOCK_SECONDS = 120.0  # creating the database takes about 3 s
_ANSWER_SECONDS = 5.0
# A server that does not answer costs seconds, not the minutes of MLflow's own settings; the user's settings win.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


class TrackingFailed(UserError):
    """MLflow could not be reached or would not take what it was given. Nothing that DVC made depends on it."""


@dataclass(frozen=True)
class Tracking:
    """An open tracking store and the experiment that holds the runs."""

    client: "MlflowClient"
    experiment_id: str
    uri: str


def tracking_uri(root: Path) -> str:
    """The URI of the store: `MLFLOW_TRACKING_URI` if it is set, else `mlflow.db` in the repository `root`."""
    return os.environ.get(URI_VARIABLE) or f"sqlite:///{root.resolve() / DATABASE}"


def expect_store(root: Path) -> None:
    """Raise UserError where `connect` would make an empty database: for what only reads."""
    uri = tracking_uri(root)
    if uri.startswith("sqlite:"):
        from sqlalchemy.engine import make_url

        if not Path(make_url(uri).database or ":memory:").is_file():
            raise UserError(
                f"{uri}: no tracking store there; `reprogan publish` makes one; {URI_VARIABLE} names another"
            )


@contextmanager
def connect(root: Path) -> Iterator[Tracking]:
    """Open the store of the repository `root`, creating it and its experiment where they are missing.

    What goes wrong in MLflow, also inside the `with` block, is raised as TrackingFailed, in one line; errors of our own
    code pass through as they are.
    """
    uri, before = tracking_uri(root), os.environ.get(URI_VARIABLE)
    try:
        try:
            tracking = _open(uri)
        except UserError:
            raise
        except Exception as error:  # MLflow's own errors, and those of requests, SQLAlchemy and the file system
            raise _failed(uri, error) from error
        try:
            yield tracking
        except Exception as error:
            if not _is_from_mlflow(error):
                raise
            raise _failed(uri, error) from error
    finally:
        if "mlflow" in sys.modules:
            sys.modules["mlflow"].set_tracking_uri(before)  # None: as if it had never been set


def _open(uri: str) -> Tracking:
    if uri.startswith(("http://", "https://")):
        _expect_answer(uri)  # before MLflow is imported, which takes seconds
    _prepare_mlflow()
    import mlflow

    artifacts = _prepare_database(uri) if uri.startswith("sqlite:") else None
    mlflow.set_tracking_uri(uri)  # a part of MLflow's registry ignores the client's own URI
    client = mlflow.MlflowClient(uri)
    return Tracking(client, _experiment(client, artifacts), uri)


def _failed(uri: str, error: Exception) -> TrackingFailed:
    reason = " ".join(str(error).split()) or type(error).__name__
    reason = reason if len(reason) <= 300 else f"{reason[:297]}..."
    return TrackingFailed(f"MLflow at {without_secrets(uri)}: {reason}")


def _is_from_mlflow(error: Exception) -> bool:
    """Whether an error is of, or was raised in a call of, MLflow or what it stands on."""
    frames = traceback.walk_tb(error.__traceback__)
    modules = [type(error).__module__, *(str(frame.f_globals.get("__name__")) for frame, _ in frames)]
    return not isinstance(error, UserError) and any(name.partition(".")[0] in _MLFLOW for name in modules)


def _prepare_mlflow() -> None:
    """Set MLflow's timeouts and silence its chatter; its variables are read when it is imported or used."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"mlflow\b")
    import mlflow  # noqa: F401 - sets its loggers' level anew

    logging.getLogger("mlflow").setLevel(logging.ERROR)


def _prepare_database(uri: str) -> str | None:
    """Create the SQLite file of `uri` if need be; return the URI of the artifact folder beside it.

    MLflow creates its tables step by step, and two first users at once break them for good: so one process
    does it, under a lock, in a file of another name that is renamed when it is whole.
    """
    from filelock import FileLock
    from sqlalchemy.engine import make_url

    database = make_url(uri).database
    if not database or database == ":memory:":
        return None
    path = Path(database).resolve()
    artifacts = (path.parent / ARTIFACTS).as_uri()
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=_LOCK_SECONDS):
        if not path.is_file() or path.stat().st_size == 0:
            from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

            with atomic_path(path) as temporary:
                SqlAlchemyStore(f"sqlite:///{temporary}", artifacts).engine.dispose()
        follow_the_repository(path, EXPERIMENT, artifacts)
    return artifacts


def _expect_answer(uri: str) -> None:
    """Raise TrackingFailed unless something answers at `uri`: MLflow itself would retry for long."""
    import requests

    try:
        requests.get(f"{uri.rstrip('/')}/health", timeout=_ANSWER_SECONDS)
    except requests.exceptions.SSLError:
        pass  # MLflow has settings of its own for certificates: let it judge
    except requests.RequestException as error:
        raise TrackingFailed(
            f"MLflow at {without_secrets(uri)}: no answer ({type(error).__name__}); start that server, "
            f"or unset {URI_VARIABLE} to use {DATABASE}"
        ) from error


def _experiment(client: "MlflowClient", artifacts: str | None) -> str:
    """The experiment's id; created if need be, with its artifacts below `artifacts` (None: the server decides)."""
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        try:
            client.create_experiment(EXPERIMENT, f"{artifacts}/{EXPERIMENT}" if artifacts else None)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            # else another process was faster
        experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    if experiment.lifecycle_stage != "active":
        raise TrackingFailed(
            f"MLflow: experiment {EXPERIMENT!r} was deleted; bring it back with "
            f"`mlflow experiments restore --experiment-id {experiment.experiment_id}`"
        )
    if _KIND not in experiment.tags:
        client.set_experiment_tag(experiment.experiment_id, _KIND, "custom_model_development")
    return str(experiment.experiment_id)


def without_secrets(uri: str) -> str:
    """`uri` without a user name and password in it."""
    scheme, separator, rest = uri.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
