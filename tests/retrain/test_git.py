"""What a retrain commits and hands on."""

import subprocess
from pathlib import Path

import pytest

from reprogan.errors import UserError
from reprogan.retrain import git


def run(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone of a bare repository with one commit."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "test")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "test@test")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    run(tmp_path, "init", "-q", "--bare", "-b", "main", "origin.git")
    root = tmp_path / "one"
    run(tmp_path, "clone", "-q", "origin.git", "one")
    run(root, "symbolic-ref", "HEAD", "refs/heads/main")
    (root / "dvc.lock").write_text("1\n")
    run(root, "add", "dvc.lock")
    run(root, "commit", "-qm", "begin")
    run(root, "push", "-q", "origin", "main")
    return root


def test_only_what_was_asked_is_committed(repository: Path) -> None:
    assert git.commit(repository, ["dvc.lock", "promotions.jsonl"], "nothing") is None
    (repository / "dvc.lock").write_text("2\n")
    (repository / "promotions.jsonl").write_text("{}\n")
    (repository / "mine").write_text("staged by somebody\n")
    run(repository, "add", "mine")
    made = git.commit(repository, ["dvc.lock", "promotions.jsonl", "not there"], "Retrain: gan (held)")
    assert made == run(repository, "rev-parse", "HEAD").strip()
    assert run(repository, "show", "--name-only", "--format=%s").split("\n\n") == [
        "Retrain: gan (held)", "dvc.lock\npromotions.jsonl\n",
    ]  # fmt: skip
    assert run(repository, "status", "--porcelain") == "A  mine\n"
    git.push(repository, "origin", "main")
    assert run(repository.parent / "origin.git", "rev-parse", "main").strip() == made


def test_a_branch_that_has_moved_on_meanwhile(repository: Path) -> None:
    run(repository.parent, "clone", "-q", "origin.git", "two")
    other = repository.parent / "two"
    (other / "dvc.lock").write_text("3\n")
    run(other, "commit", "-qam", "a second push")
    run(other, "push", "-q")
    (repository / "dvc.lock").write_text("2\n")
    git.commit(repository, ["dvc.lock"], "Retrain")
    with pytest.raises(
        UserError, match=r"^git push origin main: the branch has moved on .*git pull --rebase origin main"
    ):
        git.push(repository, "origin", "main")
    assert run(repository.parent / "origin.git", "show", "main:dvc.lock") == "3\n"


def test_a_branch_that_has_the_same_results_by_another_commit(repository: Path) -> None:
    run(repository.parent, "clone", "-q", "origin.git", "two")
    for root in (repository.parent / "two", repository):
        (root / "dvc.lock").write_text("2\n")
        git.commit(root, ["dvc.lock"], f"Retrain in {root.name}")
    assert git.push(repository.parent / "two", "origin", "main")
    assert not git.push(repository, "origin", "main")
    assert "Retrain in two" in run(repository.parent / "origin.git", "log", "-1", "--format=%s", "main")


def test_a_remote_that_is_not_there(repository: Path) -> None:
    with pytest.raises(UserError, match=r"^git push elsewhere main: .*; expected a remote that may be pushed to$"):
        git.push(repository, "elsewhere", "main")


def test_before_the_work_is_begun(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git.expect_identity(repository)
    assert git.branch(repository) == "main"
    run(repository, "checkout", "-q", "--detach")
    with pytest.raises(UserError, match="no branch is checked out; expected one"):
        git.branch(repository)
    for name in ("GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL"):
        monkeypatch.delenv(name, raising=False)
    run(repository, "config", "user.useConfigOnly", "true")
    with pytest.raises(UserError, match=r"git has no name to commit with; expected one; run `git config user.name"):
        git.expect_identity(repository)
