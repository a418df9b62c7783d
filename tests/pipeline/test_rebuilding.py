"""MLflow made again from DVC alone: here after its store was lost, and on another machine after `dvc pull`."""

import json
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from reprogan.config import load
from reprogan.tracking.publish import publish as publish_variants

pytestmark = pytest.mark.slow

# What must be equal in two stores: by variant and hash, for ids differ.
CURVES = """
SELECT v.value, k.value, m.key, m.step, m.value FROM metrics m
JOIN tags v ON v.run_uuid = m.run_uuid AND v.key = 'model.sha256'
JOIN tags k ON k.run_uuid = m.run_uuid AND k.key = 'reprogan.kind'
WHERE m.key NOT IN ('images_per_second', 'training_seconds', 'training_cpu_seconds', 'peak_memory_mib')
ORDER BY 1, 2, 3, 4
"""
PARAMS = """
SELECT v.value, p.key, p.value FROM params p JOIN tags v ON v.run_uuid = p.run_uuid AND v.key = 'model.sha256'
ORDER BY 1, 2
"""
VERSIONS = """
SELECT m.name, m.version, t.value, m.description LIKE '%## Limits%' FROM model_versions m
JOIN model_version_tags t ON t.name = m.name AND t.version = m.version AND t.key = 'model.sha256' ORDER BY 1, 2
"""
ALIASES = "SELECT name, alias, version FROM registered_model_aliases ORDER BY 1, 2"


def rows(root: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(root / "mlflow.db")) as connection:
        return connection.execute(query).fetchall()


def counts(root: Path) -> dict[str, int]:
    tables = [name for (name,) in rows(root, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {table: rows(root, f'SELECT count(*) FROM "{table}"')[0][0] for table in tables}


def view(root: Path) -> dict[str, list[Any]]:
    return {
        name: rows(root, query) for name, query in (("curves", CURVES), ("params", PARAMS), ("aliases", ALIASES))
    } | {"versions": rows(root, VERSIONS)}


def reprogan(project: Any, *arguments: str, status: int = 0) -> Any:
    return project.run(sys.executable, "-m", "reprogan.cli", *arguments, status=status)


def publish(project: Any, *names: str) -> list[str]:
    """As `reprogan publish`, in this process; what it says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        return [str(one) for one in publish_variants(load(), project.root, names or None)]


def lose_the_store(root: Path) -> None:
    for path in root.glob("mlflow.db*"):
        path.unlink()
    shutil.rmtree(root / "mlruns")


def test_a_lost_store_and_another_machine_get_everything_back(project: Any, tmp_path: Path) -> None:
    root, some = project.root, ("dcgan", "vae", "ring_gan")  # with training seeds, with a score that is a loss, points
    lose_the_store(root)  # it has what the pipeline published: all variants
    reprogan(project, "publish", *some)
    assert reprogan(project, "promote", "dcgan", "--count", "200", status=None).returncode in (0, 4)
    decided = json.loads((root / "promotions.jsonl").read_text().splitlines()[-1])
    if decided["outcome"] == "refused":  # tiny trainings collapse: say by hand that it is the champion
        (root / "promotions.jsonl").write_text(json.dumps(decided | {"outcome": "promoted"}) + "\n")
    project.git("add", "promotions.jsonl")
    project.git("commit", "-qm", "a decision")
    reprogan(project, "publish", *some)
    first = view(root)
    assert ("reprogan-dcgan", "champion", 1) in first["aliases"] and len(first["curves"]) > 300
    assert {kind for _, kind, *_ in first["curves"]} == {"model", "seed"}  # dcgan has two training seeds here

    lose_the_store(root)
    publish(project, *some)
    assert view(root) == first
    before = counts(root)
    for _ in range(2):
        said = publish(project, *some)
        assert [line for line in said if not line.endswith("(already there)")] == []
        assert len(said) == len(first["versions"])
    assert counts(root) == before

    # Another machine, by a DVC remote in a folder.
    project.dvc("remote", "add", "-d", "store", str(tmp_path / "remote"))
    project.git("commit", "-qam", "a remote")
    project.dvc("push")
    other = type(project)(tmp_path / "other", project.env)
    project.run("git", "clone", "-q", str(root), str(other.root))
    other.dvc("pull")
    publish(other, *some)
    assert view(other.root) == first

    # The champion stays when the pipeline has gone on to another model, also in a new store.
    project.change(**{"variants.dcgan.training.seeds": [3]})
    project.repro("evaluate@dcgan")
    project.git("commit", "-qam", "another seed")
    publish(project, "dcgan")
    assert {("reprogan-dcgan", "challenger", 2), ("reprogan-dcgan", "champion", 1)} <= {*view(root)["aliases"]}
    lose_the_store(root)
    done = reprogan(project, "publish", "dcgan")
    assert (
        f"is not in MLflow; `reprogan publish --revision {decided['model']['commit']} dcgan` brings it back"
        in done.stderr
    )
    assert view(root)["aliases"] == [("reprogan-dcgan", "challenger", 1)]
    reprogan(project, "publish", "--revision", decided["model"]["commit"], "dcgan")
    assert view(root)["aliases"] == [("reprogan-dcgan", "challenger", 1), ("reprogan-dcgan", "champion", 2)]
    assert view(root)["versions"][1][2] == decided["model"]["sha256"]
    assert project.git("status", "--porcelain") == ""
    assert "git knows no such revision" in reprogan(project, "publish", "--revision", "nowhere", status=2).stderr
