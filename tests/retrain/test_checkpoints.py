"""Checkpoints that go from one machine to another by DVC's remote."""

from pathlib import Path

import pytest

from reprogan.errors import UserError
from reprogan.retrain.checkpoints import Keeper, SharedCheckpoints
from reprogan.retrain.storage import Storage


def write(scratch: Path, variant: str, fingerprint: str, images: int) -> Path:
    path = scratch / "checkpoints" / variant / fingerprint / f"{images:012d}.ckpt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(f"{variant} {fingerprint} {images}".encode())
    return path


def there(repository: Path) -> list[str]:
    place = repository.parent / "store/reprogan/checkpoints"
    return sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())


def test_another_machine_goes_on_from_the_newest(repository: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    write(one, "gan", "old", 5)  # of before: nobody's concern
    shared = SharedCheckpoints(one, Storage(repository))
    assert shared.bring(["gan"]) == []
    first, second = write(one, "gan", "f1", 100), write(one, "gan", "f1", 200)
    shared.store()
    assert there(repository) == ["gan/f1/000000000100.ckpt", "gan/f1/000000000200.ckpt"]
    first.unlink()
    write(one, "gan", "f1", 300)
    shared.store()
    assert there(repository) == ["gan/f1/000000000200.ckpt", "gan/f1/000000000300.ckpt"]
    (repository.parent / "store/reprogan/checkpoints/gan/f1/000000000400.ckpt.part").write_bytes(b"cut short")

    elsewhere = SharedCheckpoints(two, Storage(repository))
    assert elsewhere.bring(["gan", "dcgan"]) == ["gan at 300 images"]
    brought = two / "checkpoints/gan/f1/000000000300.ckpt"
    assert brought.read_bytes() == b"gan f1 300" and not (brought.parent / second.name).exists()
    assert elsewhere.bring(["gan"]) == []  # it is here
    last = write(two, "gan", "f1", 400)
    elsewhere.store()
    assert "gan/f1/000000000400.ckpt" in there(repository) and "gan/f1/000000000200.ckpt" not in there(repository)

    # Trained: the copies stay until the model is stored.
    last.unlink()
    brought.unlink()
    elsewhere.store()
    assert "gan/f1/000000000400.ckpt" in there(repository)
    elsewhere.forget(["gan"])
    assert there(repository) == []


def test_what_others_train_is_left_alone(repository: Path, tmp_path: Path) -> None:
    theirs = SharedCheckpoints(tmp_path / "theirs", Storage(repository))
    write(tmp_path / "theirs", "dcgan", "f2", 100)
    theirs.store()
    mine = SharedCheckpoints(tmp_path / "mine", Storage(repository))
    mine.bring(["gan"])
    write(tmp_path / "mine", "gan", "f1", 100)
    mine.store()
    (tmp_path / "mine/checkpoints/gan/f1/000000000100.ckpt").unlink()
    mine.forget(["gan", "dcgan"])
    assert there(repository) == ["dcgan/f2/000000000100.ckpt"]


def test_a_remote_that_fails_is_said_once_and_tried_again(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = SharedCheckpoints(tmp_path / "one", Storage(repository))
    write(tmp_path / "one", "gan", "f1", 100)
    keeper = Keeper(shared, 1000)
    store = SharedCheckpoints.store

    def fail(_: SharedCheckpoints) -> None:
        raise UserError("out of reach")

    monkeypatch.setattr(SharedCheckpoints, "store", fail)
    keeper.start()
    keeper._store()
    keeper._store()
    monkeypatch.setattr(SharedCheckpoints, "store", store)
    keeper.finish()
    assert capsys.readouterr().err == "reprogan: checkpoints are not copied: out of reach; trying again\n"
    assert there(repository) == ["gan/f1/000000000100.ckpt"]
