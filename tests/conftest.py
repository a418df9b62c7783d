"""What all tests share: tools that may be missing, and copies of this repository that run under real git and DVC."""

import ctypes
import gc
import gzip
import hashlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from filelock import FileLock

from reprogan.blocks import read_yaml
from reprogan.profile import apply_profile

# Before torch is loaded, here and in what tests start: three workers share two cores, and a thread that spins while it
# waits takes its core from another's work (a quarter of the time of all).
os.environ.setdefault("GOMP_SPINCOUNT", "0")
gc.set_threshold(200_000)  # what is imported here stays: looking for garbage among it takes long

REPOSITORY = Path(__file__).parents[1]
REQUIRED = "REPROGAN_TEST_REQUIRE"  # tools, by comma, whose absence fails a test instead of skipping it
SPY = "REPROGAN_TEST_SPY"  # a folder: each stage leaves a list of the project's files that it opened there

# Small enough for a run in seconds, long enough that a training can be caught in the middle.
TINY = {
    "profile": "tiny",
    "digits": {
        "source": "blobs",
        "sets": {
            "blobs": {
                "mirrors": ["mirror"],
                "classes": [f"blob {label}" for label in range(10)],
                "files": {},  # filled in when the set is made
            }
        },
    },
    "stacked": {"train": 600, "test": 300},
    "ring": {"train": 1000, "test": 300},
    "faces": {"toyfaces": {"count": 60}},
    "evaluation": {"count": 200, "seeds": 2},
    "report": {"bundle": False, "explorer": ["gan"]},  # a page of its own has tests/report
    "variants": {
        "digit_features": {
            "training": {"images": 1920, "log_every": 640, "checkpoint_every": 1280},
            "sampling": {"count": 100},
        },
        "cnn_classifier": {
            "training": {"images": 1920, "log_every": 640, "checkpoint_every": 1280},
            "sampling": {"count": 100},
        },
        "gan": {
            "training": {"images": 25600, "log_every": 640, "checkpoint_every": 1280, "milestones": [0, 640, 6400]},
            "sampling": {"count": 200},
        },
        "dcgan": {
            "network": {"filters": 4},
            "training": {
                "seeds": [1, 2],
                "images": 3200,
                "log_every": 64,
                "checkpoint_every": 160,
                "milestones": [0, 320, 1600],
            },
            "sampling": {"count": 200},
        },
        "vae": {
            "network": {"width": 8},
            "training": {"images": 12800, "log_every": 320, "checkpoint_every": 1280, "milestones": [0, 640]},
            "sampling": {"count": 200},
        },
        "ring_gan": {
            "training": {"images": 102400, "log_every": 2560, "checkpoint_every": 10240, "milestones": [0, 2560]},
            "sampling": {"count": 200},
        },
        "face_features": {
            "network": {"widths": [4, 4, 8, 8], "features": 8},
            "training": {"images": 320, "batch_size": 16, "log_every": 16, "checkpoint_every": 64},
            "sampling": {"count": 100},
        },
        "progan": {
            "network": {"latent_size": 8, "widths": [8, 8, 4, 4, 4, 4]},
            "objective": {"growth": {"stable": [16] * 5, "fade": [48] * 5}},
            "training": {
                "images": 400,
                "batch_size": 4,
                "log_every": 8,
                "checkpoint_every": 16,
                "milestones": [0, 48],
            },
            "sampling": {"count": 100},
        },
        "pix2pix_edges": {
            "training": {"images": 192, "log_every": 8, "checkpoint_every": 32, "milestones": [0, 32]},
            "sampling": {"count": 100},
        },
        "caption_features": {
            "training": {"images": 320, "batch_size": 16, "log_every": 16, "checkpoint_every": 64},
            "sampling": {"count": 100},
        },
        "stackgan_1": {
            "training": {"images": 192, "log_every": 8, "checkpoint_every": 32, "milestones": [0, 32]},
            "sampling": {"count": 100},
        },
        "stackgan": {
            "training": {"images": 192, "log_every": 8, "checkpoint_every": 32, "milestones": [0, 32]},
            "sampling": {"count": 100},
        },
    },
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First a test that makes the pipeline, then those that do without it, so that no parallel worker waits for it.

    Of either the longest first, so that the last ones are short and the workers end together.
    """
    items.sort(key=_turn)


LONGEST = ("test_retrain.py", "test_any_cpu.py", "test_rebuilding.py", "test_verify.py", "test_warm.py")


def _turn(item: pytest.Item) -> tuple[int, int]:
    if item.name == "test_running_everything_again_changes_no_byte":
        return 0, 0
    place = LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST)
    return 2 if "pipeline" in getattr(item, "fixturenames", ()) else 1, place


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread, for on busy cores several wait for each other; and torch's settings as they were before."""
    import torch

    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture(scope="session")
def require() -> Callable[[str, str, object], None]:
    """`require(tool, how to get it, found)`: skip where a tool is missing; fail if $REPROGAN_TEST_REQUIRE names it."""

    def check(tool: str, how_to_get: str, found: object) -> None:
        if found:
            return
        if tool in os.environ.get(REQUIRED, "").split(","):
            pytest.fail(f"{tool} is missing and {REQUIRED} names it; {how_to_get}")
        pytest.skip(f"{tool} is missing; {how_to_get}")

    return check


BROWSER_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory, require: Callable[[str, str, object], None]) -> Iterator[Any]:
    """Headless Chromium, driven by selenium, that keeps the console's and the network's messages."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    require("chromium", "on Debian: apt-get install chromium chromium-driver", chromium and driver)
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(chromium)
    for flag in (*BROWSER_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driven = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(driver)))
    yield driven
    driven.quit()


@dataclass
class Project:
    """A copy of the repository: its own git history, its own DVC cache, its own code (PYTHONPATH), tiny data."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """What its commands see: this Python as `python`, the copy's code, no store or mirror of the machine's."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("REPROGAN_", "MLFLOW_", "DVC_"))}
        kept.pop("PYTHONDONTWRITEBYTECODE", None)  # the copy's code is compiled once, not by each process
        return kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{self.root.parent / 'spy'}{os.pathsep}{self.root / 'src'}",
            "DVC_SITE_CACHE_DIR": str(self.root.parent / f"{self.root.name} site"),
            "DVC_NO_ANALYTICS": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            **{f"GIT_{who}_{what}": "test@test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
            **self.env,
        }

    def run(self, *command: str, status: int | None = 0, **options: Any) -> "subprocess.CompletedProcess[str]":
        """Run a command in the root to its end; fail the test if it exits otherwise than with `status`."""
        options = {"timeout": 1200, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
        environment = self.environment() | options.pop("env", {})
        done = subprocess.run(command, cwd=self.root, env=environment, stdin=subprocess.DEVNULL, **options)
        if status is not None:
            assert done.returncode == status, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def dvc(self, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        """Run dvc."""
        return self.run(sys.executable, "-m", "dvc", *arguments, **options)

    def repro(self, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        """As `dvc repro`, and faster."""
        return self.run(sys.executable, "-m", "reprogan.cli", "repro", *arguments, **options)

    def git(self, *arguments: str) -> str:
        """Run git; its output."""
        return self.run("git", *arguments).stdout

    def stage(self, name: str, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        """Run one stage by itself, as DVC's command line for it does."""
        return self.run(sys.executable, f"stages/{name}.py", *arguments, **options)

    def change(self, **values: Any) -> None:
        """Set parameters: `change(**{"variants.gan.training.images": 640})`."""
        params = read_yaml(self.root / "params.yaml")
        for key, value in values.items():
            *blocks, last = key.split(".")
            block = params
            for name in blocks:
                block = block[name]
            block[last] = value
        (self.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    def parameter(self, key: str) -> Any:
        """One value of params.yaml."""
        value = read_yaml(self.root / "params.yaml")
        for name in key.split("."):
            value = value[name]
        return value

    def lock(self) -> dict[str, Any]:
        """The parsed dvc.lock."""
        return yaml.safe_load((self.root / "dvc.lock").read_text())

    def digests(self, *folders: str) -> dict[str, str]:
        """{path: sha256} of every file below these paths; without any, of every output of the pipeline."""
        chosen = folders or (
            "data/checked",
            "data/processed",
            "data/references",
            "models",
            "samples",
            "scores",
            "exports",
            "metrics",
            "report",
        )
        files = [path for name in chosen for path in ((self.root / name).rglob("*"), [self.root / name])]
        found = {path for paths in files for path in paths if path.is_file() and path.name != ".gitignore"}
        return {
            str(path.relative_to(self.root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(found)
        }

    def forget(self, *stages: str) -> None:
        """Make DVC forget that these stages ever ran: nothing in dvc.lock, no output, no run-cache."""
        lock = self.lock()
        for stage in stages:
            for out in lock["stages"].pop(stage)["outs"]:
                path = self.root / out["path"]
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        (self.root / "dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False))
        shutil.rmtree(self.root / ".dvc/cache/runs", ignore_errors=True)

    def processes(self) -> list[str]:
        """The command lines of all processes whose current folder is this project's."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (process / "cwd").resolve().is_relative_to(self.root):
                    words = (process / "cmdline").read_bytes().split(b"\0")
                    found.append(f"{process.name} {b' '.join(words).decode()}")
        return [line for line in found if line.split(" ", 1)[1]]  # a zombie has no command line

    def stop_all(self) -> None:
        """Kill what a failed test has left running here."""
        for line in self.processes():
            with suppress(ProcessLookupError):
                os.kill(int(line.split()[0]), signal.SIGKILL)


@dataclass(frozen=True)
class Pipeline:
    """The whole tiny pipeline, run once for all tests: do not change it, take a copy (`project`)."""

    project: Project
    digests: dict[str, str]  # of every output
    output: str  # what `dvc repro` said

    def copy(self, root: Path) -> Project:
        """A copy at `root`; what DVC and MLflow keep, where no file is ever changed, is linked to the same bytes."""
        kept = tuple(f"{self.project.root / name}{os.sep}" for name in (".dvc/cache/files", "mlruns"))

        def copy(source: str, target: str) -> None:
            (os.link if source.startswith(kept) else shutil.copy2)(source, target)

        shutil.copytree(self.project.root, root, symlinks=True, copy_function=copy)
        shutil.rmtree(root / ".reprogan", ignore_errors=True)
        return Project(root, {"REPROGAN_TRACKING": "off"})


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """The finished tiny pipeline. Parallel workers share one: the first makes it, the others wait."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "pipeline"
    project = Project(folder / "repository")
    with FileLock(f"{folder}.lock"):
        if not (folder / "output").is_file():
            copy_repository(project.root)
            make_blobs(project.root / "mirror")
            begin(project)
            settings = {SPY: str(folder / "opened"), "REPROGAN_TRACKING": "off"}
            done = project.repro(env=settings, stderr=subprocess.STDOUT)
            project.git("add", "-A")
            project.git("commit", "-qm", "run")
            (folder / "output").write_text(done.stdout)
    return Pipeline(project, project.digests(), (folder / "output").read_text())


@pytest.fixture
def project(pipeline: Pipeline, tmp_path: Path) -> Iterator[Project]:
    """A copy of the finished pipeline for one test to do with as it likes; nothing of it is left running."""
    copied = pipeline.copy(tmp_path / "repository")
    yield copied
    copied.stop_all()


def copy_repository(root: Path) -> None:
    """Copy the files that git knows or would add, as they now are."""
    names = subprocess.check_output(["git", "ls-files", "-coz", "--exclude-standard"], cwd=REPOSITORY, text=True)
    for name in filter(None, names.split("\0")):
        if (REPOSITORY / name).is_file() and not name.startswith(("metrics/", "tests/")) and name != "dvc.lock":
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, root / name)


def make_blobs(folder: Path) -> None:
    """A data set in MNIST's format: 600 and 300 images, a bright square whose place tells the class, and noise."""
    folder.mkdir()
    random = np.random.default_rng(1)
    for split, name, count in (("train", "train", 600), ("test", "t10k", 300)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        images = random.integers(0, 60, (count, 28, 28), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            top, left = 2 + 13 * (label % 2) + random.integers(0, 3), 1 + 5 * (label // 2) + random.integers(0, 2)
            image[top : top + 9, left : left + 5] += np.uint8(150)
        for kind, array in (("images", images), ("labels", labels)):
            header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
            file = folder / f"{name}-{kind}-idx{array.ndim}-ubyte.gz"
            file.write_bytes(gzip.compress(header + array.tobytes(), mtime=0))
            block = {"name": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
            TINY["digits"]["sets"]["blobs"]["files"][f"{split}_{kind}"] = block  # type: ignore[index]


def begin(project: Project) -> None:
    """Point params.yaml at the tiny data and budgets, commit everything, and lay the spy beside the repository."""
    (project.root / "profiles/tiny.yaml").write_text(yaml.safe_dump(TINY))
    apply_profile("smoke", project.root)
    apply_profile("tiny", project.root)
    kept = {name: project.parameter(f"variants.{name}") for name in TINY["variants"]}  # one of each kind is enough
    references = {name: project.parameter(f"references.{name}") for name in ("digits", "faces", "captions", "edges")}
    project.change(variants=kept, pairs={"edges": project.parameter("pairs.edges")}, references=references)
    project.git("init", "-q")
    project.git("add", "-A")
    project.git("commit", "-qm", "begin")
    spy = project.root.parent / "spy"
    spy.mkdir()
    shutil.copyfile(Path(__file__).parent / "pipeline/spy.py", spy / "sitecustomize.py")


def wait_until(true: Callable[[], object], seconds: float = 60.0) -> bool:
    """Look every few milliseconds until it is so, or time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.005)
    return False


@pytest.fixture(scope="session", name="wait_until")
def wait_until_fixture() -> Callable[..., bool]:
    """Look every few milliseconds until it is so, or time is up: `wait_until(is_it_so, seconds)`."""
    return wait_until


class Server:
    """A real `mlflow server` on a free loopback port, with a store of its own in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{self.folder}/server.db"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        settings = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with open(self.folder / "log", "w") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=os.environ | settings, stdout=log, stderr=log, start_new_session=True
            )
        assert wait_until(lambda: answers(self.port), 60), (self.folder / "log").read_text()

    def kill(self) -> None:
        """Kill it and its workers, as where a machine goes down."""
        if self._process is not None:
            os.killpg(self._process.pid, 9)
            self._process.wait()
        self._process = None


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """It, started."""
    started = Server(tmp_path_factory.mktemp("server"))
    try:
        started.start()
        yield started
    finally:
        started.kill()


@pytest.fixture(scope="module")
def server(mlflow_server: Server) -> str:
    """Its address."""
    return mlflow_server.address


def answers(port: int) -> bool:
    with closing(socket.socket()) as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2


@pytest.fixture(scope="session")
def obey_permissions() -> Callable[[], None]:
    """For `preexec_fn`: root goes past file permissions; the program started next does not."""

    def obey() -> None:
        if os.geteuid() == 0:
            libc = ctypes.CDLL(None, use_errno=True)
            for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
                if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
                    raise OSError(ctypes.get_errno(), "prctl")

    return obey
