"""`reprogan verify` and `reprogan lineage` in a real repository: the same bytes again, or the name of what differs."""

import json
import re
import shutil
import sys
from typing import Any

import pytest

from reprogan.config import load
from reprogan.errors import UserError
from reprogan.tracking.lineage import Lineage
from reprogan.tracking.lineage import lineage as find

pytestmark = pytest.mark.slow

DIFFERENT = 5


def reprogan(project: Any, *arguments: str, status: int = 0, **options: Any) -> str:
    done = project.run(sys.executable, "-m", "reprogan.cli", *arguments, status=status, **options)
    return str(done.stdout if status != 2 else done.stderr)


def verified(project: Any, *arguments: str, status: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(reprogan(project, "verify", *arguments, "--json", status=status))
    return found


def commit(project: Any, message: str = "change") -> str:
    project.git("add", "-A")
    project.git("commit", "-qm", message)
    return str(project.git("rev-parse", "HEAD").strip())


def test_stages_give_the_same_bytes_in_a_clean_clone(project: Any) -> None:
    before = project.git("status", "--porcelain"), project.digests()
    stages = ("prepare_ring", "train@ring_gan", "sample@ring_gan", "evaluate@ring_gan", "code_of_train")
    found = verified(project, *stages)
    assert found["equal"] and [stage["stage"] for stage in found["stages"]] == list(stages)
    files = {file["name"]: file for stage in found["stages"] for file in stage["outputs"]}
    assert {"data/processed/ring.h5", "models/ring_gan/digests.csv", "metrics/ring_gan.json"} <= files.keys()
    assert all(file["expected"] == file["got"] and len(file["got"]) == 32 for file in files.values())
    assert (project.git("status", "--porcelain"), project.digests()) == before  # nothing here was touched


def test_a_prefix_is_enough_to_see_that_a_training_goes_the_same_way(project: Any) -> None:
    text = reprogan(project, "verify", "train@gan", "--prefix", "1500")
    assert "models/gan/digests.csv, 1,280 images" in text
    assert text.splitlines()[-1] == "1 of 1 files equal: everything is the same"


def test_what_was_edited_since_is_named(project: Any) -> None:
    """A byte of a source, a file among those that all trainings share, and a package's version."""
    own, shared = (project.root / "src/reprogan" / name for name in ("systems/gan.py", "training/ema.py"))
    own.write_text(own.read_text() + "\n")
    shared.write_text(shared.read_text() + "# more\n")
    pins = project.root / "requirements-compute.txt"
    installed = re.search(r"^numpy==(\S+)", pins.read_text(), re.M)
    assert installed is not None
    pins.write_text(pins.read_text().replace(installed[0], "numpy==1.2.3"))
    commit(project)
    asked = ("prepare_ring", "code_of_train", "train@ring_gan")
    found = verified(project, *asked, status=DIFFERENT)
    named = {stage["stage"]: {file["name"] for file in stage["inputs"]} for stage in found["stages"]}
    ema, pinned = "src/reprogan/training/ema.py", "requirements-compute.txt"
    assert named == {
        "prepare_ring": {pinned},
        "code_of_train": {ema, pinned},
        "train@ring_gan": {"src/reprogan/systems/gan.py", ema, pinned},
    }
    trained = found["stages"][-1]["outputs"]
    assert all(file["equal"] for file in trained) and not found["equal"]  # lines that change nothing
    text = reprogan(project, "verify", "prepare_ring", status=DIFFERENT)
    assert "prepare_ring: not as dvc.lock says: requirements-compute.txt: " in text
    assert f"here: numpy: {installed[1]}; expected 1.2.3" in text


def test_a_parameter_is_named_and_so_is_where_trainings_part(project: Any) -> None:
    key = "variants.ring_gan.objective.generator.learning_rate"
    value = project.parameter(key)
    project.change(**{key: 2 * value})
    commit(project)
    found = verified(project, "train@ring_gan", status=DIFFERENT)
    (stage,) = found["stages"]
    assert [(file["name"], file["expected"], file["got"]) for file in stage["inputs"]] == [
        (f"params.yaml: {key}", str(value), str(2 * value))
    ]
    unequal = {file["name"] for file in stage["outputs"] if not file["equal"]}
    assert "models/ring_gan/generator.safetensors" in unequal
    assert stage["parted_at"] == project.parameter("variants.ring_gan.training.log_every")
    text = reprogan(project, "verify", "train@ring_gan", "--prefix", "6000", status=DIFFERENT)
    assert f"params.yaml: {key}: {2 * value}; expected {value}" in text
    assert "train@ring_gan: the trainings part at 2,560 images or before" in text


def test_what_cannot_be_had_is_one_line(project: Any) -> None:
    assert "train@gam: no stage in dvc.lock at" in reprogan(project, "verify", "train@gam", status=2)
    assert "no training among the stages" in reprogan(project, "verify", "check", "--prefix", "9", status=2)
    shutil.rmtree(project.root / ".dvc/cache/files")
    said = reprogan(project, "verify", "train@ring_gan", status=2)
    assert "neither DVC's cache nor a remote holds what dvc.lock says; run `dvc fetch`" in said


def test_from_a_version_back_to_everything_that_made_it(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root)  # some of it in this process: starting one takes seconds
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DVC_ROOT", str(project.root))

    def lineage(asked: str) -> Lineage:
        return find(load(project.root / "params.yaml"), project.root, project.root, asked)

    at = project.git("rev-parse", "HEAD").strip()
    said = reprogan(project, "publish", "stackgan")
    assert "stackgan: reprogan-stackgan version 1 (published)" in said
    found = json.loads(reprogan(project, "lineage", "models:/reprogan-stackgan@challenger", "--json"))
    assert (found["commit"], found["version"]["aliases"]) == (at, ["challenger"])
    names = [link["stage"] for link in found["stages"]]
    assert names[-1] == "train@stackgan"
    assert {"prepare_faces", "prepare_captions", "train@caption_features", "train@stackgan_1", "code_of_train"} < {
        *names
    }
    assert names.index("prepare_faces") < names.index("prepare_captions") < names.index("train@stackgan_1")
    last = found["stages"][-1]
    assert last["params"]["variants.stackgan.network"]["stage"] == 2
    assert "src/reprogan/models/stackgan.py" in last["code"] and last["outs"].keys() == {"models/stackgan"}
    assert found["commands"][0] == f"git checkout {at}"

    of_file, of_stage = lineage("models/stackgan/generator.safetensors"), lineage("stackgan")
    assert of_file.stages == of_stage.stages and json.loads(of_file.as_json())["stages"] == found["stages"]
    assert of_file.sha256 == found["sha256"]
    text = reprogan(project, "lineage", found["run"]["id"])
    assert f"  commit       {at}" in text and f"  weights      sha256 {found['sha256']}" in text

    copy = project.root / "copy.safetensors"  # somebody has a file alone
    shutil.copyfile(project.root / "models/stackgan/generator.safetensors", copy)
    assert lineage("copy.safetensors").run == found["run"]
    copy.write_bytes(b"other")
    with pytest.raises(UserError, match="MLflow knows no weights of sha256"):
        lineage("copy.safetensors")
    assert "no stage in dvc.lock, no variant, no file" in reprogan(project, "lineage", "nothing", status=2)

    # The model is still led back when later commits have another one.
    project.change(**{"variants.stackgan.training.images": 96})
    project.git("commit", "-qam", "another budget")
    later = lineage("models:/reprogan-stackgan/1")
    assert later.stages == of_file.stages and later.lock == f"dvc.lock at commit {at}"
    again = verified(project, "models:/reprogan-stackgan/1", "--prefix", "8")
    assert again["equal"] and again["commit"] == at


def test_the_hook_binds_a_model_to_the_commit_that_holds_it(project: Any, wait_until: Any) -> None:
    assert reprogan(project, "hook").startswith("#!/bin/sh\n# ReproGAN: publish after a commit")
    said = reprogan(project, "hook", "--install")
    path = project.root / said.partition(":")[0]
    assert path.is_file() and path.stat().st_mode & 0o100
    reprogan(project, "publish", "ring_gan")
    lock = project.root / "dvc.lock"
    lock.write_text(lock.read_text() + "\n")
    at = commit(project, "a new lock")
    log = project.root / ".reprogan/hook.log"
    wait_until(lambda: log.is_file() and "stackgan: " in log.read_text(), 120)
    found = json.loads(reprogan(project, "lineage", "models:/reprogan-ring_gan/1", "--json"))
    assert found["commit"] in (at, project.git("rev-parse", "HEAD~1").strip())
    path.write_text("#!/bin/sh\n# mine\n")
    assert "another hook is there; expected none" in reprogan(project, "hook", "--install", status=2)
    assert path.read_text() == "#!/bin/sh\n# mine\n"
