"""Publishing shows everything once, completes what is partial and changes nothing that is right."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from reprogan.errors import UserError
from reprogan.tracking import provenance
from reprogan.tracking.curves import read_history
from reprogan.tracking.publish import Published, publish
from reprogan.tracking.store import TrackingFailed

PROJECT = Path(__file__).parents[2]
CURVES = "SELECT key, value, step, timestamp FROM metrics ORDER BY key, step"


def only(published: list[Published], variant: str) -> Published:
    return next(one for one in published if one.variant == variant)


def tags(repository: Any, run_id: str) -> dict[str, str]:
    return dict(repository.rows(f"SELECT key, value FROM tags WHERE run_uuid = '{run_id}'"))  # type: ignore[arg-type]


def test_everything_is_there_and_twice_adds_nothing(repository: Any) -> None:
    first = publish(repository.params, repository.root)
    assert {one.variant for one in first} == {"gan", "cnn_classifier"} and all(one.changed for one in first)
    gan = only(first, "gan")

    # Every point of every curve, with the exact value; every number of the metrics file; texts as tags.
    rows = repository.rows(f"SELECT key, value, step FROM metrics WHERE run_uuid = '{gan.run_id}'")
    points = {
        (point.key, point.value, point.step) for point in read_history(repository.root / "models/gan/history.csv")
    }
    scores = {("accuracy_held_out", 1.5, 6000), ("class_shares/0", 0.25, 6000), ("class_shares/1", 0.75, 6000)}
    assert len(points) == 12 and set(rows) == points | scores and len(rows) == 15
    held = tags(repository, gan.run_id)
    weights = repository.root / "models/gan/generator.safetensors"
    assert held["model.sha256"] == provenance.sha256(weights)
    assert held["data.md5"] == provenance.md5(repository.root / "data/processed/digits.h5")
    assert held["samples.md5"] == provenance.md5(repository.root / "samples/gan/samples.h5")
    assert held["extractor"] == "digit_features" and held["dvc.stage"] == "train@gan"
    assert "images_seen" not in held and held["profile"] == "laptop"
    assert not any(key.startswith("environment.") for key in held)  # where it was trained is not known here
    assert repository.rows("SELECT DISTINCT status FROM runs") == [("FINISHED",)]
    params = dict(repository.rows(f"SELECT key, value FROM params WHERE run_uuid = '{gan.run_id}'"))
    assert params["network.latent_size"] == "20" and params["objective.generator.betas"] == "[0.9, 0.999]"
    assert params["compute.threads"] == str(repository.params.compute.threads)
    assert params["launch.launcher"] == "none" and params["launch.processes"] == "1"
    assert params["evaluation.count"] == str(repository.params.evaluation.count)
    assert sorted(repository.rows("SELECT name, digest FROM datasets")) == [
        ("ramps: held-out", held["data.md5"]),
        ("ramps: training", held["data.md5"]),
    ]
    assert sorted(repository.rows("SELECT DISTINCT value FROM input_tags")) == [("eval",), ("training",)]
    shown = {path.name for path in (repository.root / "mlruns/reprogan" / gan.run_id).rglob("*") if path.is_file()}
    assert shown == {
        "grid.png",
        "progress.png",
        "history.csv",
        "scores.json",
        "params.yaml",
        "dvc.yaml",
        "parameters.json",
    }
    assert len(list((repository.root / "mlruns").rglob("generator.safetensors"))) == 1
    assert not list((repository.root / "mlruns").rglob("samples.h5"))
    assert repository.rows("SELECT name, alias, version FROM registered_model_aliases ORDER BY name") == [
        ("reprogan-cnn_classifier", "challenger", 1),
        ("reprogan-gan", "challenger", 1),
    ]

    counts = repository.counts()
    second = publish(repository.params, repository.root)
    assert repository.counts() == counts
    assert [one.run_id for one in second] == [one.run_id for one in first] and not any(one.changed for one in second)


def test_damaged_weights_are_refused_and_nothing_is_registered(repository: Any) -> None:
    weights = repository.root / "models/gan/generator.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"generator\.safetensors: no weights of this model .*dvc repro -f train@gan"):
        publish(repository.params, repository.root, ["gan"])
    counts = repository.counts()
    assert (counts["runs"], counts["registered_models"], counts["logged_models"]) == (0, 0, 0)


def test_a_lost_store_is_made_again_with_equal_curves(repository: Any) -> None:
    publish(repository.params, repository.root, ["gan"])
    curves = repository.rows(CURVES)
    (repository.root / "mlflow.db").unlink()
    done = run_stage(repository, "gan")
    assert (done.returncode, done.stdout, done.stderr) == (0, "gan: reprogan-gan version 1 (published)\n", "")
    assert repository.rows(CURVES) == curves and len(curves) == 15


def test_what_is_partial_is_completed(repository: Any) -> None:
    (run,) = publish(repository.params, repository.root, ["gan"])
    counts = repository.counts()
    with closing(sqlite3.connect(repository.root / "mlflow.db")) as connection, connection:
        connection.execute("DELETE FROM metrics WHERE key = 'generator_loss' AND step > 2000")
        connection.execute("DELETE FROM params WHERE key LIKE 'network%'")
        connection.execute("DELETE FROM model_versions")
        connection.execute("DELETE FROM model_version_tags")
        connection.execute("DELETE FROM registered_model_aliases")
        connection.execute("UPDATE runs SET status = 'KILLED'")
    shutil.rmtree(repository.root / "mlruns")
    (again,) = publish(repository.params, repository.root, ["gan"])
    assert again.changed and again.run_id == run.run_id
    assert {key: n for key, n in repository.counts().items() if key != "logged_model_tags"} == {
        key: n for key, n in counts.items() if key != "logged_model_tags"
    }
    assert list((repository.root / "mlruns").rglob("generator.safetensors"))
    assert list((repository.root / "mlruns").rglob("grid.png"))
    assert set(repository.rows("SELECT status FROM runs")) == {("FINISHED",)}


def test_another_model_is_another_run_and_version_and_the_newest_is_challenger(repository: Any) -> None:
    (first,) = publish(repository.params, repository.root, ["gan"])
    repository.make_variant("gan", seed=2)
    (second,) = publish(repository.params, repository.root, ["gan"])
    assert (first.version, second.version) == ("1", "2") and first.run_id != second.run_id
    assert repository.rows("SELECT version FROM registered_model_aliases") == [(2,)]
    repository.make_variant("gan", seed=1)  # as after `git checkout`
    (third,) = publish(repository.params, repository.root, ["gan"])
    assert (third.version, third.run_id, third.changed) == ("1", first.run_id, False)


def test_the_same_weights_scored_anew_are_a_new_run_but_no_new_version(repository: Any) -> None:
    (first,) = publish(repository.params, repository.root, ["gan"])
    path = repository.root / "scores/gan/scores.json"
    path.write_text(path.read_text().replace("1.5", "1.25"))
    (second,) = publish(repository.params, repository.root, ["gan"])
    assert second.run_id != first.run_id and second.version == first.version
    latest = repository.rows("SELECT run_uuid, value FROM latest_metrics WHERE key = 'accuracy_held_out'")
    assert set(latest) == {(first.run_id, 1.5), (second.run_id, 1.25)}
    counts = repository.counts()
    publish(repository.params, repository.root, ["gan"])
    assert repository.counts() == counts


def test_a_run_is_bound_to_the_clean_commit_that_holds_the_model(repository: Any) -> None:
    root = repository.root

    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(root), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    (root / ".gitignore").write_text("mlflow.db*\nmlruns\n.reprogan\nmodels\nsamples\ndata\n")
    git("add", ".")
    git("commit", "--quiet", "-m", "before")
    out = provenance.md5(root / "models/gan")
    lock = {"schema": "2.0", "stages": {"train@gan": {"deps": [{"path": "data/processed/digits.h5", "md5": "1" * 32}]}}}
    lock["stages"]["train@gan"]["outs"] = [{"path": "models/gan", "md5": out}]  # type: ignore[index]
    (root / "dvc.lock").write_text(json.dumps(lock))
    (run,) = publish(repository.params, root, ["gan"])
    held = tags(repository, run.run_id)
    assert (held["git.commit"], held["git.dirty"]) == (git("rev-parse", "HEAD"), "true")
    assert (held["dvc.out_md5"], held["data.md5"]) == (out, "1" * 32)
    git("add", ".")
    git("commit", "--quiet", "-m", "the model")
    made_at = git("rev-parse", "HEAD")
    for message in ("", "later"):
        if message:
            git("commit", "--quiet", "--allow-empty", "-m", message)
        publish(repository.params, root, ["gan"])
        held = tags(repository, run.run_id)
        assert (held["git.commit"], held["git.dirty"]) == (made_at, "false")


def test_a_folder_has_the_md5_that_dvc_gives_it(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    (folder / "sub").mkdir(parents=True)
    (folder / "b.txt").write_text("b")
    (folder / "sub" / "a.txt").write_text("a")
    (folder / "sub.txt").write_text("c")
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db import HashFileDB
    from dvc_objects.fs.local import LocalFileSystem

    fs = LocalFileSystem()
    _, _, tree = build(HashFileDB(fs, str(tmp_path / "cache")), str(folder), fs, "md5", dry_run=True)
    assert provenance.md5(folder) == tree.hash_info.value


@pytest.mark.parametrize("known_to_dvc", [True, False])
def test_a_file_that_did_not_change_is_hashed_once(
    tmp_path: Path, known_to_dvc: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dvc.repo import Repo

    if known_to_dvc:
        Repo.init(str(tmp_path), no_scm=True).close()
    file = tmp_path / "samples.h5"
    for text in ("first", "second"):
        file.write_text(text)
        expected = provenance.md5(file)
        with provenance.known_md5(tmp_path) as md5:
            assert md5(file) == expected
        if known_to_dvc:
            with monkeypatch.context() as patched, provenance.known_md5(tmp_path) as md5:
                patched.setattr("dvc_data.hashfile.hash.file_md5", lambda *_, **__: pytest.fail("read again"))
                assert md5(file) == expected


def test_mistakes_are_one_line(repository: Any) -> None:
    with pytest.raises(UserError, match="no variant 'gam'; expected one of"):
        publish(repository.params, repository.root, ["gam"])
    with pytest.raises(UserError, match=r"models/dcgan/model.json: not there; run `dvc repro evaluate@dcgan`"):
        publish(repository.params, repository.root, ["dcgan"])


def run_stage(repository: Any, *variants: str, **environment: str) -> subprocess.CompletedProcess[str]:
    source = {"PYTHONPATH": str(PROJECT / "src")}
    return subprocess.run(
        [sys.executable, str(PROJECT / "stages" / "publish.py"), *variants],
        cwd=repository.root,
        env={**os.environ, **source, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_dead_server_is_an_error_for_the_command_and_a_warning_for_the_stage(
    repository: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = time.monotonic()
    done = run_stage(repository, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert done.returncode == 0 and done.stdout == ""
    assert done.stderr.startswith("reprogan: warning: not published: MLflow at http://127.0.0.1:9")
    assert done.stderr.endswith("`reprogan publish` does it later\n") and done.stderr.count("\n") == 1
    assert time.monotonic() - started < 30
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(TrackingFailed, match="no answer"):
        publish(repository.params, repository.root)
