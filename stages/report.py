"""Stage `report`: one HTML page of all variants, report/index.html."""

from pathlib import Path

import this_checkout  # noqa: F401
from reprogan.config import Parameters
from reprogan.entry import run_stage


def report(params: Parameters, arguments: list[str]) -> None:
    from reprogan.report.page import write_report  # jinja2 and Pillow: not for a stage that fails early

    write_report(params, Path("."))


if __name__ == "__main__":
    run_stage(report)
