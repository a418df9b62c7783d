"""Stage `export`: generators as ONNX, what an image costs, where attention looks; below exports/."""

from pathlib import Path

import this_checkout  # noqa: F401
from reprogan.config import Parameters
from reprogan.entry import run_stage


def export(params: Parameters, arguments: list[str]) -> None:
    from reprogan.export.export import export  # torch may load now: the instruction set is pinned

    export(params, Path("."))


if __name__ == "__main__":
    run_stage(export)
