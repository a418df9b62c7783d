"""What this machine offers and whether the pipeline can run on it."""

import json
import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TextIO

from reprogan.config import EMBEDDED, Parameters
from reprogan.data import hdf5
from reprogan.data.mnist import availability
from reprogan.errors import UserError
from reprogan.profile import apply_profile, set_values
from reprogan.report.libraries import lacking

_SECONDS = 5.0
_NEEDED_GIB = 2.0


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was looked at, what was found, and whether the pipeline can go on with it."""

    subject: str
    found: str
    good: bool = True


def examine(params: Parameters, root: Path, environ: Mapping[str, str]) -> list[Finding]:
    """Python, torch, device, memory, disk and where the digits can be had (5 s at most in all for mirrors)."""
    return [*_machine(params), *_space(root), *_page(params, root), *_digits(params, root, environ)]


def lines(findings: list[Finding]) -> str:
    """The report for people, a line a finding."""
    return "\n".join(f"{'ok ' if one.good else 'no '} {one.subject:8} {one.found}" for one in findings)


def as_json(findings: list[Finding]) -> str:
    """The report for programs."""
    return json.dumps([asdict(one) for one in findings], indent=2)


def data_can_be_had(findings: list[Finding]) -> bool:
    """Whether any place serves the digits that params.yaml asks for."""
    places = [finding for finding in findings if finding.subject == "digits"]
    return any(place.good for place in places)


def page_can_be_made(findings: list[Finding]) -> bool:
    """Whether the libraries that params.yaml wants in the report's page are there."""
    return all(finding.good for finding in findings if finding.subject == "page")


def without_libraries(root: Path, told: TextIO) -> None:
    """Have the page made without them, and say so in one loud line on `told`."""
    set_values(["report.bundle=false"], root)
    print(
        "\n*** THE PAGE'S LIBRARIES ARE NOT THERE: params.yaml now asks for a report without curves and explorer. To "
        "get them later: `make setup` where npm's registry answers, then `reprogan set report.bundle=true`. ***\n",
        file=told,
        flush=True,
    )


def nothing_serves(params: Parameters) -> UserError:
    """The error that names both ways out."""
    return UserError(
        f"params.yaml: digits.source is {params.digits.source} and no place serves it; set REPROGAN_MNIST_MIRROR to a "
        "URL or folder that holds the four files, or run `reprogan profile offline` for the embedded digits"
    )


def fall_back_offline(root: Path, told: TextIO) -> None:
    """Write the profile `offline` into params.yaml, and say so in one loud line on `told`."""
    apply_profile("offline", root)
    print(
        "\n*** NO DATA SOURCE ANSWERS: params.yaml now asks for the EMBEDDED digits (see `git diff`). To get MNIST "
        "later: set REPROGAN_MNIST_MIRROR to a URL or folder with its four files, run `git checkout params.yaml`, "
        "then `make repro`. ***\n",
        file=told,
        flush=True,
    )


def _machine(params: Parameters) -> list[Finding]:
    import torch

    compute = params.compute
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    devices = [f"CPU with {cores} cores"]
    if torch.cuda.is_available():
        devices.append(f"CUDA: {torch.cuda.get_device_name()}")
    if torch.backends.mps.is_available():
        devices.append("MPS")
    findings = [
        Finding("python", platform.python_version()),
        Finding("torch", f"{torch.__version__}, torchvision {version('torchvision')}"),
        Finding("device", f"{', '.join(devices)}; params.yaml uses {compute.device}, {compute.threads} threads"),
    ]
    if compute.device == "cpu" and len(devices) > 1:
        findings.append(Finding("faster", "a GPU is here: `reprogan profile paper`, or set compute.device"))
    if compute.device == "cpu" and cores > compute.threads:
        findings.append(Finding("faster", f"compute.threads could be {cores}; that gives other bytes"))
    native = torch.backends.cpu.get_cpu_capability()
    if compute.device == "cpu" and compute.isa == "avx2" and _has_avx512():
        findings.append(Finding("faster", "this CPU has AVX-512: compute.isa native may be faster; other bytes"))
    if platform.machine() in ("x86_64", "AMD64") and compute.isa == "avx2" and native != "AVX2":
        findings.append(
            Finding(
                "isa", f"kernels use {native}, expected AVX2: the bytes will differ from other machines'", good=False
            )
        )
    return findings


def _has_avx512() -> bool:
    try:
        return " avx512f " in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def _space(root: Path) -> list[Finding]:
    free = shutil.disk_usage(root).free / 2**30
    findings = [
        Finding("disk", f"{free:.1f} GiB free; the pipeline writes under {_NEEDED_GIB:.0f}", free > _NEEDED_GIB)
    ]
    try:
        pages = os.sysconf("SC_AVPHYS_PAGES")
        available = pages * os.sysconf("SC_PAGE_SIZE") / 2**30
        findings.insert(0, Finding("memory", f"{available:.1f} GiB free; training needs about 1", available > 1))
    except (ValueError, OSError, AttributeError):  # not a Unix that tells
        pass
    return findings


def _page(params: Parameters, root: Path) -> list[Finding]:
    if not params.report.bundle:
        return [Finding("page", "made without curves and explorer, as report.bundle is false")]
    missing = lacking(root)
    return [Finding("page", missing or "its libraries are installed", good=not missing)]


def _digits(params: Parameters, root: Path, environ: Mapping[str, str]) -> list[Finding]:
    source = params.digits.source
    if source == EMBEDDED:
        return [Finding("digits", "embedded in scikit-learn: no download")]
    if _prepared(root / "data/processed/digits.h5") == source:
        return [Finding("digits", f"{source} is prepared: data/processed/digits.h5")]
    places = availability(params.digits.sets[source], source, root / "data/raw", environ, _SECONDS)
    return [Finding("digits", f"{place.place}: {place.reason}", place.ok) for place in places]


def _prepared(path: Path) -> str | None:
    """The name of the data set that is prepared, if one is."""
    try:
        return hdf5.describe(path).name
    except UserError:
        return None
