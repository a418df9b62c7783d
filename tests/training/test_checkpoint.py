"""Checkpoints: the newest two are kept, a damaged one is passed over, another run's is not taken."""

import pytest
import torch

from reprogan.training.checkpoint import Checkpoints


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "gan" / "f00", "f00")


def state(value: float) -> dict:
    return {"weights": torch.full((10,), value), "history": [[64.0, value]], "previews": {0: torch.zeros(1)}}


def test_none_at_first(checkpoints):
    assert checkpoints.newest() is None


def test_the_newest_two_are_kept(checkpoints, capsys):
    for seen in (64, 128, 1024, 256):
        checkpoints.save(seen, state(seen))
    assert [int(path.stem) for path in sorted(checkpoints.folder.iterdir())] == [256, 1024]
    seen, found = checkpoints.newest()
    assert seen == 1024 and torch.equal(found["weights"], state(1024.0)["weights"])
    assert found["history"] == [[64.0, 1024.0]]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("damage", ["truncated", "one bit", "empty", "longer"])
def test_a_damaged_one_is_skipped_with_a_warning(checkpoints, capsys, damage):
    checkpoints.save(64, state(1))
    path = checkpoints.save(128, state(2))
    content = path.read_bytes()
    altered = bytearray(content)
    altered[len(content) // 2] ^= 1
    path.write_bytes({"truncated": content[:-7], "one bit": altered, "empty": b"", "longer": content + b"\0"}[damage])
    assert checkpoints.newest()[0] == 64
    error = capsys.readouterr().err
    assert error.startswith(f"reprogan: {path}: damaged") and error.count("\n") == 1


def test_one_of_another_run_is_skipped_with_a_warning(checkpoints, capsys, tmp_path):
    checkpoints.save(64, state(1))
    other = Checkpoints(tmp_path / "gan" / "ba4", "ba4").save(128, state(2))
    (checkpoints.folder / other.name).write_bytes(other.read_bytes())
    assert checkpoints.newest()[0] == 64
    assert "of other parameters, data or code" in capsys.readouterr().err


def test_a_part_that_a_kill_left_behind_is_no_checkpoint(checkpoints):
    checkpoints.save(64, state(1))
    (checkpoints.folder / ".000000000128.ckpt.99999999.part").write_bytes(b"half")
    assert checkpoints.newest()[0] == 64


def test_clear_removes_this_run(checkpoints):
    checkpoints.save(64, state(1))
    checkpoints.clear()
    assert checkpoints.newest() is None
    checkpoints.clear()  # there is nothing left, and that is no mistake


def test_nothing_is_unpickled(checkpoints, monkeypatch):
    """A file with a right digest whose content is a pickle with a command in it: refused, not run."""
    import hashlib
    import pickle

    class Command:
        def __reduce__(self):
            return (exec, ("raise SystemExit('unpickled')",))

    checkpoints.folder.mkdir(parents=True)
    content = pickle.dumps(Command())
    (checkpoints.folder / "000000000064.ckpt").write_bytes(content + hashlib.sha256(content).digest())
    with pytest.raises(Exception, match=r"(?i)weights.only|unpickl"):
        checkpoints.newest()
