"""A DVC repository with one tracked file, whose remote is a folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

CONTENT = b"x" * 3_000_000


@pytest.fixture
def content() -> bytes:
    """Of the file `data`."""
    return CONTENT


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point_at: Callable[[Path, str], None]) -> Path:
    """The repository; its remote is `store` beside it."""
    from dvc.repo import Repo

    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    root = tmp_path / "repository"
    root.mkdir()
    monkeypatch.chdir(root)
    with Repo.init(str(root), no_scm=True) as repo:
        (root / "data").write_bytes(CONTENT)
        repo.add("data")
    point_at(root, str(tmp_path / "store"))
    return root


@pytest.fixture(scope="session")
def point_at() -> Callable[[Path, str], None]:
    """`point_at(root, url)`: give a repository another remote."""

    def point(root: Path, url: str) -> None:
        text = f"[core]\n    no_scm = True\n    remote = store\n['remote \"store\"']\n    url = {url}\n"
        (root / ".dvc/config").write_text(text)

    return point
