"""A model that MLflow holds is found by its name and alias or version, and loads as the pipeline's own does."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from reprogan.errors import UserError
from reprogan.models import trained
from reprogan.tracking import store
from reprogan.tracking.fetch import fetched
from reprogan.tracking.publish import publish

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def two(repository: Any) -> Any:
    """A repository that published two versions of its GAN: weights of seed 1, then of seed 2; and one classifier."""
    publish(repository.params, repository.root)
    repository.make_variant("gan", seed=2)
    publish(repository.params, repository.root, ["gan"])
    with store.connect(repository.root) as tracking:
        tracking.client.set_registered_model_alias("reprogan-gan", "champion", "1")
    return repository


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return trained.load(folder).networks["generator"].state_dict()


def are_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def refusal(root: Path, uri: str) -> str:
    with pytest.raises(UserError) as caught, fetched(root, uri):
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_alias_and_version_lead_to_the_weights_where_they_lie(two: Any) -> None:
    for named, seed in (("@champion", 1), ("@challenger", 2), ("/1", 1), ("/2", 2), ("/latest", 2)):
        two.make_variant("gan", seed)
        with fetched(two.root, f"models:/reprogan-gan{named}") as folder:
            assert folder.is_relative_to(two.root / "mlruns") and folder.name == "gan", named
            assert are_equal(weights(folder), weights(two.root / "models/gan")), named
            two.make_variant("gan", 3 - seed)
            assert not are_equal(weights(folder), weights(two.root / "models/gan")), named
        assert folder.is_dir()


def test_a_repository_that_moved(two: Any, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.move(two.root, moved)
    with fetched(moved, "models:/reprogan-gan@challenger") as folder:
        assert folder.is_relative_to(moved) and are_equal(weights(folder), weights(moved / "models/gan"))


def test_from_a_server_the_files_are_downloaded_and_removed(
    repository: Any, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(store.URI_VARIABLE, server)
    publish(repository.params, repository.root, ["gan"])
    with fetched(repository.root, "models:/reprogan-gan/1") as folder:
        assert not (repository.root / "mlruns").exists()
        assert are_equal(weights(folder), weights(repository.root / "models/gan"))
    assert not folder.exists()
    assert "no alias 'champion'; expected one of challenger (version 1)" in refusal(
        repository.root, "models:/reprogan-gan@champion"
    )


def test_what_is_not_there_is_said_beside_what_is(two: Any) -> None:
    root, name = two.root, "models:/reprogan-gan"
    known = "challenger (version 2), champion (version 1); the versions are 1, 2"
    assert refusal(root, f"{name}@best") == f"{name}@best: no alias 'best'; expected one of {known}"
    assert refusal(root, f"{name}/3") == f"{name}/3: no version 3; expected one of 1, 2"
    assert refusal(root, f"{name}/0") == f"{name}/0: no version 0; expected one of 1, 2"
    assert refusal(root, "models:/reprogan-gna/1") == (
        "models:/reprogan-gna/1: no model 'reprogan-gna'; expected one of reprogan-cnn_classifier, reprogan-gan; "
        "`reprogan publish` adds what was made"
    )
    assert 'no model "it\'s"; expected one of' in refusal(root, "models:/it's/1")


@pytest.mark.parametrize(
    "uri",
    ["models:/", "models:reprogan-gan/1", "models:/reprogan-gan", "models:/reprogan-gan/", "models:/reprogan-gan@",
     "models:/reprogan-gan/Production", "models:/reprogan-gan/1/more", "models:/reprogan-gan/-1", "models:/a\nb/1"],
)  # fmt: skip
def test_a_uri_of_another_form(tmp_path: Path, uri: str) -> None:
    expected = f"{uri!r}: expected models:/NAME@ALIAS or models:/NAME/VERSION, as models:/reprogan-dcgan/1"
    assert refusal(tmp_path, uri) == expected


def test_an_empty_store_and_none(repository: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no model 'reprogan-gan'; expected one of none" in refusal(repository.root, "models:/reprogan-gan/1")
    (tmp_path / "new").mkdir()
    found = refusal(tmp_path / "new", "models:/reprogan-gan/1")
    assert found == (
        f"sqlite:///{tmp_path}/new/mlflow.db: no tracking store there; `reprogan publish` makes one; "
        "MLFLOW_TRACKING_URI names another"
    )
    assert not list((tmp_path / "new").iterdir())
    monkeypatch.setenv(store.URI_VARIABLE, "http://127.0.0.1:9")
    assert refusal(tmp_path, "models:/reprogan-gan/1").startswith("MLflow at http://127.0.0.1:9: no answer (")


def test_files_that_are_gone_or_others(two: Any) -> None:
    with fetched(two.root, "models:/reprogan-gan/2") as folder:
        pass
    file = folder / "generator.safetensors"
    shutil.copyfile(two.root / "models/cnn_classifier/classifier.safetensors", file)
    found = refusal(two.root, "models:/reprogan-gan/2")
    assert f"models:/reprogan-gan/2: {folder}: weights of sha256 " in found and "those that were published" in found
    shutil.rmtree(folder)
    assert "no */model.json in " in refusal(two.root, "models:/reprogan-gan/2")


def test_a_version_that_is_not_ours(two: Any) -> None:
    with closing(sqlite3.connect(two.root / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE model_versions SET storage_location = ?", (f"file://{two.root.as_posix()}/data",))
    assert "no */model.json in " in refusal(two.root, "models:/reprogan-gan/1")


def test_the_command_draws_what_the_variant_draws(two: Any, tmp_path: Path) -> None:
    two.make_variant("gan", seed=1)

    def sample(*arguments: str) -> "subprocess.CompletedProcess[str]":
        code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from reprogan.cli import main; main()"
        command = [sys.executable, "-c", code, str(PROJECT / "src"), "sample", *arguments]
        return subprocess.run(command, cwd=two.root, capture_output=True, text=True, timeout=120)

    done = sample("models:/reprogan-gan@champion", "--count", "4")
    assert (done.returncode, done.stdout, done.stderr) == (0, "gan.png: 4 images of gan, seed 1\n", "")
    assert sample("gan", "--count", "4", "--out", str(tmp_path / "own.png")).returncode == 0
    assert (two.root / "gan.png").read_bytes() == (tmp_path / "own.png").read_bytes()
    done = sample("models:/reprogan-gan@champion", "--walk", "0:3", "--out", str(tmp_path / "walk.jpg"))
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
