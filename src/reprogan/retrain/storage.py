"""DVC's remote, which machines share: outputs, the run-cache and, while a training lasts, its checkpoints."""

import logging
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprogan.errors import UserError

if TYPE_CHECKING:
    from dvc.data_cloud import Remote
    from dvc.repo import Repo

_PROBE = ("reprogan", "probes")


class Storage:
    """The default remote of the repository `root`. Every failure to reach it is one line: UserError."""

    def __init__(self, root: Path) -> None:
        from dvc.config import Config

        self._root = root
        config = Config(str(root / ".dvc"))
        self.name: str | None = config["core"].get("remote")
        self._place = str(config["remote"].get(self.name, {}).get("url", "")) if self.name else ""

    def __str__(self) -> str:
        return f"the DVC remote {self.name} ({self._place})"

    def fetch(self) -> None:
        """Bring what dvc.lock names into the workspace; what the remote does not have stays missing."""

        def work(repo: "Repo") -> None:
            repo.fetch()
            repo.checkout(allow_missing=True, force=True)  # what a killed stage left half-written makes way

        self._do("fetching from", work)

    def checkout(self) -> None:
        """Bring what the cache has of what dvc.lock names into the workspace."""
        with _repo(self._root) as repo:
            repo.checkout(allow_missing=True, force=True)

    def expect_writable(self) -> None:
        """Raise UserError where nothing can be written: before hours of training, not after them."""

        def work(repo: "Repo") -> None:
            remote = repo.cloud.get_remote(self.name)
            path = remote.fs.join(remote.path, *_PROBE, uuid.uuid4().hex)  # several machines may try at once
            with suppress(NotImplementedError):  # HTTP has no folders
                remote.fs.makedirs(remote.fs.parent(path))
            with tempfile.NamedTemporaryFile() as file:
                file.write(b"written by `reprogan retrain` to see whether it may\n")
                file.flush()
                remote.fs.put_file(file.name, path)
            with suppress(NotImplementedError):  # nor can what it has be removed
                remote.fs.remove(path)

        self._do("writing to", work)

    def push(self) -> int:
        """Store the outputs that dvc.lock names, and the run-cache; how many files were new there.

        Also outputs that git keeps (metrics): DVC would not store these, and without them a stage is not restored.
        """
        from dvc.stage.cache import RunCacheNotSupported

        stored = 0

        def work(repo: "Repo") -> None:
            nonlocal stored
            try:
                stored = repo.push(run_cache=True)
            except RunCacheNotSupported:
                stored = repo.push()
            outs = [out for stage in repo.index.stages for out in stage.outs if not out.use_cache and out.hash_info]
            repo.cloud.push({out.hash_info for out in outs if repo.cache.local.exists(out.hash_info.value)})

        self._do("storing in", work)
        return stored

    def with_remote(self, work: Callable[["Remote"], None]) -> None:
        """Do something with the remote's files."""
        self._do("reaching", lambda repo: work(repo.cloud.get_remote(self.name)))

    def _do(self, what: str, work: Callable[["Repo"], None]) -> None:
        logged = _Logged()
        try:
            with _repo(self._root) as repo, logged:
                work(repo)
        except UserError:
            raise
        except Exception as error:  # the file systems of a dozen kinds of storage each have errors of their own
            raise UserError(
                f"{what} {self} failed: {_said(error, logged.errors)}; expected storage that can be reached, with "
                "credentials that are valid and room left; nothing is lost: run it again"
            ) from error


@contextmanager
def _repo(root: Path) -> Iterator[Any]:
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        yield repo


class _Logged(logging.Handler):
    """What DVC logs while this is entered, instead of on the terminal: why each file failed stands nowhere else."""

    _NAMES = ("dvc", "dvc_data", "dvc_objects")

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.errors: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self.errors.append(": ".join(filter(None, (record.getMessage(), "" if error is None else str(error)))))

    def __enter__(self) -> None:
        for name in self._NAMES:
            logging.getLogger(name).addHandler(self)

    def __exit__(self, *_: object) -> None:
        for name in self._NAMES:
            logging.getLogger(name).removeHandler(self)


def _said(error: BaseException, logged: list[str]) -> str:
    """What an error, those that it came from and what was logged of it first say, in one line."""
    parts: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        parts.append(str(cause) or type(cause).__name__)
        cause = cause.__cause__
    line = ": ".join(dict.fromkeys(" ".join(part.split()) for part in (*parts, *logged[:1])))
    return line if len(line) <= 300 else f"{line[:297]}..."
