"""What a retrain asks of git: to commit what it made, and to hand it on."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from reprogan.errors import UserError


def expect_identity(root: Path) -> None:
    """Raise UserError where git would not commit for want of a name: before hours of training, not after them."""
    if git(root, "var", "GIT_COMMITTER_IDENT").returncode:
        raise UserError(
            f"{root}: git has no name to commit with; expected one; run `git config user.name …` and "
            "`git config user.email …`"
        )


def branch(root: Path) -> str:
    """The branch that is checked out. Raises UserError where none is."""
    done = git(root, "symbolic-ref", "--quiet", "--short", "HEAD")
    if done.returncode:
        raise UserError(f"{root}: no branch is checked out; expected one, to push to; run `git switch BRANCH`")
    return done.stdout.strip()


def commit(root: Path, paths: Sequence[str], message: str) -> str | None:
    """Commit these paths alone, whatever else is staged; the commit, or None where they are as they were."""
    there = [path for path in paths if (root / path).exists()]
    _do(root, "add", "--", *there)
    if git(root, "diff", "--quiet", "HEAD", "--", *there).returncode == 0:
        return None
    _do(root, "commit", "--quiet", "--message", message, "--", *there)
    return _do(root, "rev-parse", "HEAD")


def push(root: Path, remote: str, name: str) -> bool:
    """Push what is checked out to a branch; False where that has the same results already, by another commit.

    Raises UserError where it has moved on to others, or the remote refuses.
    """
    done = git(root, "push", "--quiet", remote, f"HEAD:refs/heads/{name}")
    if done.returncode == 0:
        return True
    said = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("hint:")]
    if "[rejected]" in done.stderr or "fetch first" in done.stderr:
        _do(root, "fetch", "--quiet", remote, name)
        if git(root, "diff", "--quiet", "HEAD", "FETCH_HEAD", "--", "dvc.lock", "params.yaml").returncode == 0:
            return False
        raise UserError(
            f"git push {remote} {name}: the branch has moved on while this ran; what was trained is stored: run it "
            f"again on the newer commit, which takes it from there (by hand: `git pull --rebase {remote} {name}` first)"
        )
    why = said[-1] if said else "failed"
    raise UserError(f"git push {remote} {name}: {why}; expected a remote that may be pushed to")


def git(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run git; it asks for no password."""
    command = ["git", "-C", str(root), *arguments]
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL)


def _do(root: Path, *arguments: str) -> str:
    done = git(root, *arguments)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no word why").splitlines()[-1]
        raise UserError(f"git {arguments[0]}: {said}; expected a repository that can be committed to")
    return done.stdout.strip()
