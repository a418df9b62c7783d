"""Stage `check`: validate the whole of params.yaml before any work.

data/checked never changes, so nothing that waits for it re-runs; data/parameters.json are the parameters without their
comments and layout, for stages that look at all of them.
"""

import json
from pathlib import Path

import this_checkout  # noqa: F401
from reprogan.atomic import write_atomically
from reprogan.config import Parameters
from reprogan.entry import run_stage


def check(params: Parameters, arguments: list[str]) -> None:
    from reprogan.check import (  # torch may load now: the instruction set is pinned
        check_blocks,
        check_extractors,
        check_sources,
    )

    check_blocks(params)
    check_extractors(params, Path("."))
    check_sources(params, Path("."))
    parameters = json.dumps(params.model_dump(mode="json"), indent=1)
    write_atomically(Path("data/parameters.json"), parameters + "\n")
    write_atomically(Path("data/checked"), "params.yaml: every key is known and every value in range\n")


if __name__ == "__main__":
    run_stage(check)
