"""`dvc` with its lock file and its parameters kept in memory: python -m reprogan.lockfile repro …

After every stage DVC parses the whole of dvc.lock and writes it anew, by a parser that keeps comments; a second each
time once some ninety stages stand in it. Here what was last written is kept, parsed and as the text of each stage, so
that only the stage that ran is turned into text. Three times a stage it parses params.yaml and searches all of it for
each key of the stage, a tenth of a second in all: here it is parsed once, until the file changes, and a key looked up.
What is written are the same characters at the same moments (tests/pipeline/test_lockfile.py).

Nor does a process that was killed keep what it was working on from the next one until its parent has waited for it,
which in a container without an init may be never.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dpath
import dvc.cli
import dvc.dependency.param
import dvc.dvcfile
import dvc.rwlock
import psutil
from dvc.dependency.param import read_param_file
from dvc.utils.serialize import dumps_yaml, load_path, modify_yaml
from dvc.utils.serialize._yaml import parse_yaml_for_update

_BLOCK = re.compile(r"(?m)^(?=  \S)")  # where the text of a stage begins
_ANCHOR = re.compile(r"(: |- )&id\d")
_PATTERN = re.compile(r"[*?\[\]!]")
_NOT_THERE = object()


class LockFile:
    """A lock file as it was last read or written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text: str | None = None
        self._data: Any = None
        self._stages: dict[str, tuple[Any, str]] = {}  # {name: what it was, and its text}

    @contextmanager
    def modify(self) -> Iterator[Any]:
        """What the file holds, to be changed; then it is written."""
        text = self.read()
        as_dvc_writes = text == self._text  # no comments, nothing by hand
        self._text = None  # what is not written in the end is not to be known for it
        before = dict(self._data.get("stages", {}))
        yield self._data
        new = self._as_text() if as_dvc_writes else None
        self._path.write_text(new or dumps_yaml(self._parsed_anew(text, before)), encoding="utf-8")
        self._text = new

    def read(self) -> str:
        """Read the file, and parse what is new in it."""
        text = self._path.read_text(encoding="utf-8")
        if text != self._text and not self._follow(text):  # the first time, or written otherwise than by DVC
            self._data, self._stages = parse_yaml_for_update(text, str(self._path)), {}
            self._text = self._as_text()
        return text

    def _follow(self, text: str) -> bool:
        """Take over the stages that another process has written since; whether that is all that is new."""
        if self._text is None:
            return False
        head = dumps_yaml({"schema": self._data["schema"]}) + "stages:\n"
        known = {text: (name, stage) for name, (stage, text) in self._stages.items()}
        stages: dict[str, Any] = {}
        for block in _BLOCK.split(text.removeprefix(head))[1:]:
            name, stage = known.get(block) or next(iter(parse_yaml_for_update(block, str(self._path)).items()))
            stages[name] = stage
            self._stages[name] = stage, block
        if head + "".join(self._stages[name][1] for name in stages) != text:
            return False
        now = self._data["stages"]
        for name in list(now):
            del now[name]
        now.update(stages)
        self._text = self._as_text()
        return self._text == text

    def _parsed_anew(self, text: str, before: dict[str, Any]) -> Any:
        """What DVC would write: `text` with what has changed since `before`, and nothing kept from earlier writings."""
        data = parse_yaml_for_update(text, str(self._path))
        stages, now = data.setdefault("stages", {}), self._data["stages"]
        for name in [name for name in stages if name not in now]:
            del stages[name]
        stages.update({name: stage for name, stage in now.items() if before.get(name) is not stage})
        data.update({key: value for key, value in self._data.items() if key != "stages"})
        return data

    def _as_text(self) -> str | None:
        """As DVC writes it, the text of a stage made when it is another object than the last time; None: not known."""
        if list(self._data) != ["schema", "stages"] or not self._data["stages"]:
            return None
        texts = [dumps_yaml({"schema": self._data["schema"]}), "stages:\n"]
        for name, stage in self._data["stages"].items():
            if self._stages.get(name, (None,))[0] is not stage:
                self._stages[name] = stage, dumps_yaml({"stages": {name: stage}}).removeprefix("stages:\n")
            texts.append(self._stages[name][1])
        # Anchors are numbered through the whole file, so their text is no matter of one stage.
        return None if any(_ANCHOR.search(text) for text in texts) else "".join(texts)


class ParameterFiles:
    """What DVC has read of parameter files, as long as these are what they were."""

    def __init__(self) -> None:
        self._texts: dict[str, bytes] = {}
        self._contents: dict[str, Any] = {}

    def read(self, fs: Any, path: str, key_paths: list[str] | None = None, flatten: bool = False, **others: Any) -> Any:
        """As `dvc.dependency.param.read_param_file`, whose arguments these are; every caller gets a copy."""
        if others or not flatten or not key_paths or not os.path.isfile(path):
            return read_param_file(fs, path, key_paths, flatten, **others)
        text = Path(path).read_bytes()
        if self._texts.get(path) != text:
            content = load_path(path, fs)
            if Path(path).read_bytes() != text:  # edited meanwhile
                return read_param_file(fs, path, key_paths, flatten)
            self._texts[path], self._contents[path] = text, content
        found = {key: _value(self._contents[path], key) for key in key_paths}
        return {key: deepcopy(value) for key, value in found.items() if value is not _NOT_THERE}


def _value(content: Any, key: str) -> Any:
    """What a dotted key stands for. DVC's own search goes through the whole file: it knows patterns and lists, too."""
    value = content
    for part in key.split("."):
        if _PATTERN.search(part) or not isinstance(value, dict) or part not in value:
            try:
                return dpath.get(content, key, separator=".")
            except KeyError:
                return _NOT_THERE
        value = value[part]
    return value


@contextmanager
def parameters_kept() -> Iterator[None]:
    """DVC's reading of parameter files by `ParameterFiles` while this is entered."""
    dvc.dependency.param.read_param_file = ParameterFiles().read
    try:
        yield
    finally:
        dvc.dependency.param.read_param_file = read_param_file


_files: dict[str, LockFile] = {}


def read_ahead() -> None:
    """Read the lock file of this folder, so that a fork of this process need not."""
    path = os.path.abspath(dvc.dvcfile.LOCK_FILE)
    if os.path.isfile(path):
        _files.setdefault(path, LockFile(Path(path))).read()


def _modify(path: str, fs: Any = None) -> Any:
    if os.path.basename(path) != dvc.dvcfile.LOCK_FILE or not os.path.isfile(path):
        return modify_yaml(path, fs=fs)
    return _files.setdefault(os.path.abspath(path), LockFile(Path(path))).modify()


def _runs(pid: int) -> bool:
    """Whether this process can still do something: one that is ending, or was not waited for, has no command line."""
    try:
        return bool(psutil.Process(pid).cmdline())
    except psutil.AccessDenied:  # another account's, on macOS
        return True
    except psutil.NoSuchProcess:  # or a zombie
        return False


def main(arguments: list[str]) -> int:
    """Run `dvc` with these arguments; its exit status."""
    dvc.dvcfile.modify_yaml = _modify
    dvc.rwlock.psutil = SimpleNamespace(pid_exists=_runs)  # all that it asks; for DVC a zombie exists
    with parameters_kept():
        return int(dvc.cli.main(arguments) or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
