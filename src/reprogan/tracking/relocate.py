"""A repository that moved: MLflow stores absolute paths, so its SQLite file is told where its artifacts are now."""

import sqlite3
from contextlib import closing
from pathlib import Path

# Every column of MLflow's tables that holds where something of an experiment lies.
_LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def follow_the_repository(database: Path, experiment: str, artifacts: str) -> None:
    """Make the paths in `database` begin with the URI `artifacts` if `experiment` lay in another folder so named.

    Runs, models and aliases keep their ids. MLflow has no call for it. An experiment whose artifacts were put
    elsewhere on purpose (another folder name, a bucket) is left alone.
    """
    expected = f"{artifacts}/{experiment}"
    folder = artifacts.rpartition("/")[2]
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        row = connection.execute("SELECT artifact_location FROM experiments WHERE name = ?", (experiment,)).fetchone()
        if row is None or row[0] == expected or not row[0].endswith(f"/{folder}/{experiment}"):
            return
        if not row[0].startswith("file://"):
            return
        old = row[0].removesuffix(f"/{experiment}")
        for table, column in _LOCATIONS:
            if column not in {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}:
                continue  # a database of an older MLflow, which will say so
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                (artifacts, len(old) + 1, len(old) + 1, f"{old}/"),
            )
