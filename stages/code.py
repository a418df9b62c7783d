"""Stage `code_of_<kind>`: one file that names the source files which all stages of a kind run, with their sha256.

A stage of that kind depends on it and not on each of the files, as dvc.lock holds every dep of every stage and is
written anew after each of them: with 2,000 deps that took longer than most stages. `sha256sum -c` reads the file too.
"""

import hashlib
from pathlib import Path

import this_checkout  # noqa: F401
from reprogan.atomic import write_atomically
from reprogan.blocks import read_yaml
from reprogan.config import Parameters
from reprogan.entry import run_stage

_ITSELF = "stages/code.py"
_NOT_CODE = "__pycache__"


def write_sums(params: Parameters, arguments: list[str]) -> None:
    (kind,) = arguments
    shared = read_yaml(Path("dvc.yaml"))["stages"][f"code_of_{kind}"]["deps"]
    files = sorted(file for path in shared if path != _ITSELF for file in _files(Path(path)))
    lines = (f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.as_posix()}\n" for file in files)
    write_atomically(Path(f"data/code/{kind}.sha256"), "".join(lines))


def _files(path: Path) -> list[Path]:
    """A file, or all in a folder and below."""
    if path.is_file():
        return [path]
    return [file for file in path.rglob("*") if file.is_file() and _NOT_CODE not in file.parts]


if __name__ == "__main__":
    run_stage(write_sums)
