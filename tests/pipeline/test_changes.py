"""Law 3: a change re-runs only what it changes."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

CLASSIFIERS = ("digit_features", "cnn_classifier")
EXTRACTORS = (*CLASSIFIERS, "face_features", "caption_features")
GANS = ("gan", "dcgan", "ring_gan", "progan")
STAGES = ("stackgan_1", "stackgan")
REFERENCES = ("digits", "faces", "captions", "edges")
DRAWN = (*GANS, "vae", "pix2pix_edges", *STAGES)
DRAWING_UP = {"report", "publish"}  # look at every variant's block, by way of what `check` puts out


def stages(stage: str, *variants: str) -> set[str]:
    return {f"{stage}@{variant}" for variant in variants}


def parameter(key: str, value: object) -> Callable:
    return lambda project: project.change(**{key: value})


def code(path: str) -> Callable:
    def edit(project) -> None:
        file = Path(project.root / path)
        file.write_text(file.read_text() + "\n# edited\n")

    return edit


def comment(project) -> None:
    file = project.root / "params.yaml"
    file.write_text("# a comment\n" + file.read_text())


def new_variant(project) -> None:
    project.change(**{"variants.second": project.parameter("variants.gan")})


# What is edited => the stages that DVC finds changed by the edit itself; what follows, follows by their outputs.
EDITS = {
    "variants.dcgan.training": (
        parameter("variants.dcgan.training.images", 640),
        {"check"} | stages("train", "dcgan"),
    ),
    "variants.dcgan.network": (parameter("variants.dcgan.network.filters", 8), {"check"} | stages("train", "dcgan")),
    "variants.dcgan.sampling": (
        parameter("variants.dcgan.sampling.count", 300),
        {"check"} | stages("sample", "dcgan"),
    ),
    "variants.dcgan.extractor": (
        lambda project: project.change(
            **{"variants.dcgan.extractor": "cnn_classifier", "variants.dcgan.extractor_architecture": "cnn_classifier"}
        ),
        {"check"} | stages("evaluate", "dcgan"),
    ),
    "variants.gan.objective": (
        parameter("variants.gan.objective.generator.learning_rate", 2e-4),
        {"check"} | stages("train", "gan"),
    ),
    "a new variant": (
        new_variant,
        {"check"} | stages("train", "second") | stages("sample", "second") | stages("evaluate", "second"),
    ),
    "evaluation.count": (
        parameter("evaluation.count", 100),
        {"check"} | stages("reference", *REFERENCES) | stages("evaluate", *EXTRACTORS, *DRAWN),
    ),
    "evaluation.seeds": (
        parameter("evaluation.seeds", 1),
        {"check"} | stages("sample", *EXTRACTORS, *DRAWN) | stages("evaluate", *EXTRACTORS, *DRAWN),
    ),
    "references.digits": (
        lambda project: project.change(
            **{"references.digits.extractor": "cnn_classifier", "references.digits.architecture": "cnn_classifier"}
        ),
        {"check"} | stages("reference", "digits"),
    ),
    "variants.dcgan.training.seeds": (
        parameter("variants.dcgan.training.seeds", [1, 2, 3]),
        {"check"} | stages("train", "dcgan") | stages("sample", "dcgan") | stages("evaluate", "dcgan"),
    ),
    "profile": (parameter("profile", "another name"), {"check"}),
    "captions.least": (parameter("captions.least", 3), {"check", "prepare_captions"}),
    "pairs.edges.options": (parameter("pairs.edges.options", {"sigma": 2.0}), {"check", "prepare_pairs@edges"}),
    "variants.stackgan.training": (
        parameter("variants.stackgan.training.images", 64),
        {"check"} | stages("train", "stackgan"),
    ),
    "variants.stackgan.upstream": (
        parameter("variants.stackgan.upstream.model", "models/caption_features"),
        {"check"} | stages("train", "stackgan"),
    ),
    "ring.std": (parameter("ring.std", 0.03), {"check", "prepare_ring"}),
    "stacked.seed": (parameter("stacked.seed", 2), {"check", "prepare_stacked"}),
    "a comment in params.yaml": (comment, {"check"}),
    "models/dcgan.py": (
        code("src/reprogan/models/dcgan.py"),
        {"check", "publish"} | stages("train", "dcgan") | stages("sample", "dcgan"),
    ),
    "models/fully_connected.py": (
        code("src/reprogan/models/fully_connected.py"),
        {"check", "publish"} | stages("train", "gan") | stages("sample", "gan"),
    ),
    "models/cnn_classifier.py": (
        code("src/reprogan/models/cnn_classifier.py"),
        {"check", "publish"}
        | stages("train", "cnn_classifier")
        | stages("sample", "cnn_classifier")
        | stages("evaluate", "cnn_classifier"),
    ),
    "models/stackgan.py": (
        code("src/reprogan/models/stackgan.py"),
        {"check", "publish"} | stages("train", *STAGES) | stages("sample", *STAGES),
    ),
    "models/caption_features.py": (
        code("src/reprogan/models/caption_features.py"),
        {"check", "publish"}
        | stages("train", "caption_features", *STAGES)
        | stages("sample", "caption_features", *STAGES)
        | stages("evaluate", "caption_features"),
    ),
    "models/unet.py": (
        code("src/reprogan/models/unet.py"),
        {"check", "publish"} | stages("train", "pix2pix_edges") | stages("sample", "pix2pix_edges"),
    ),
    "systems/pix2pix.py": (code("src/reprogan/systems/pix2pix.py"), {"check"} | stages("train", "pix2pix_edges")),
    "losses/contrastive.py": (
        code("src/reprogan/losses/contrastive.py"),
        {"check"} | stages("train", "caption_features"),
    ),
    "data/tasks/edges.py": (code("src/reprogan/data/tasks/edges.py"), {"check", "prepare_pairs@edges"}),
    "data/tasks/grey.py": (code("src/reprogan/data/tasks/grey.py"), {"check"}),
    "data/text.py": (code("src/reprogan/data/text.py"), {"prepare_captions"}),
    "systems/gan.py": (code("src/reprogan/systems/gan.py"), {"check"} | stages("train", *GANS)),
    "systems/vae.py": (code("src/reprogan/systems/vae.py"), {"check"} | stages("train", "vae")),
    "losses/bernoulli.py": (code("src/reprogan/losses/bernoulli.py"), {"check"} | stages("train", "vae")),
    "models/multilayer.py": (
        code("src/reprogan/models/multilayer.py"),
        {"check", "publish"}
        | stages("train", "ring_gan")
        | stages("sample", "ring_gan")
        | stages("evaluate", "ring_gan"),
    ),
    "models/progan.py": (
        code("src/reprogan/models/progan.py"),
        {"check", "publish"} | stages("train", "progan") | stages("sample", "progan"),
    ),
    "systems/features.py": (code("src/reprogan/systems/features.py"), {"check"} | stages("train", "face_features")),
    "faces.toyfaces": (
        parameter("faces.toyfaces.count", 61),
        {"check", "prepare_faces", "prepare_pairs@edges"},
    ),
    "data/toyfaces/": (code("src/reprogan/data/toyfaces/hair.py"), {"check", "prepare_faces"}),
    "data/faces/": (code("src/reprogan/data/faces/crop.py"), {"check", "prepare_faces", "prepare_pairs@edges"}),
    "data/ring.py": (code("src/reprogan/data/ring.py"), {"prepare_ring"}),
    "losses/cross_entropy.py": (
        code("src/reprogan/losses/cross_entropy.py"),
        {"check"} | stages("train", *CLASSIFIERS),
    ),
    "sampling/": (code("src/reprogan/sampling/pictures.py"), {"code_of_sample", "code_of_evaluate"}),
    "evaluation/": (
        code("src/reprogan/evaluation/frechet.py"),
        {"code_of_evaluate", "code_of_reference"},
    ),
    "evaluation/score.py": (code("src/reprogan/evaluation/score.py"), {"code_of_evaluate"}),
    "systems/adam.py": (code("src/reprogan/systems/adam.py"), {"check", "code_of_train"}),
    "report/": (code("src/reprogan/report/contents.py"), {"report"}),
    "tracking/": (code("src/reprogan/tracking/publish.py"), {"publish"}),
    "cli.py": (code("src/reprogan/cli.py"), set()),
    "README.md": (lambda project: (project.root / "README.md").write_text("read me\n"), set()),
}


@pytest.mark.parametrize("what", EDITS)
def test_an_edit_touches_only_its_stages(pipeline_copy, what):
    edit, expected = EDITS[what]
    edit(pipeline_copy)
    changed = json.loads(pipeline_copy.dvc("status", "--json").stdout)
    assert {name.removeprefix("dvc.yaml:") for name in changed} == expected


@pytest.fixture(scope="module")
def module_copy(pipeline, tmp_path_factory):
    """One copy of the finished pipeline for all edits: DVC has hashed it once."""
    import shutil
    from dataclasses import replace

    root = tmp_path_factory.mktemp("edits") / "repository"
    shutil.copytree(pipeline.project.root, root, symlinks=True)
    return replace(pipeline.project, root=root)


@pytest.fixture
def pipeline_copy(module_copy):
    """The copy, as it was before any edit."""
    yield module_copy
    module_copy.git("checkout", "-q", "--", ".")
    module_copy.git("clean", "-qfd")


@pytest.mark.slow
def test_a_change_to_dcgan_for_real(project, pipeline):
    """Its block and its network: its stages run, check and the summing-up around them, and no other."""
    project.change(**{"variants.dcgan.training.images": 640, "variants.dcgan.training.milestones": [0, 320]})
    network = project.root / "src/reprogan/models/dcgan.py"
    network.write_text(network.read_text().replace("LeakyReLU(0.2)", "LeakyReLU(0.1)"))
    done = project.repro()
    ran = set(re.findall(r"Running stage '(.+)'", done.stdout))
    own = stages("train", "dcgan") | stages("sample", "dcgan") | stages("evaluate", "dcgan")
    assert ran == own | {"check"} | DRAWING_UP
    after = project.digests()
    changed = {name for name in pipeline.digests | after if pipeline.digests.get(name) != after.get(name)}
    assert {"models/dcgan/generator.safetensors", "metrics/dcgan.json", "report/index.html"} <= changed
    assert {name for name in changed if "dcgan" not in name} == {"report/index.html"}


def test_a_comment_changes_nothing_but_check(project):
    comment(project)
    ran = set(re.findall(r"Running stage '(.+)'", project.repro().stdout))
    assert ran == {"check"}


def test_an_edit_of_shared_code_touches_every_stage_of_its_kind(project):
    code("src/reprogan/systems/adam.py")(project)
    code("src/reprogan/sampling/pictures.py")(project)
    project.repro("-s", "check", "code_of_train", "code_of_sample", "code_of_evaluate", "code_of_reference")
    changed = json.loads(project.dvc("status", "--json").stdout)
    assert {name.removeprefix("dvc.yaml:") for name in changed} == (
        stages("train", *EXTRACTORS, *DRAWN)
        | stages("sample", *EXTRACTORS, *DRAWN)
        | stages("evaluate", *EXTRACTORS, *DRAWN)
    )


@pytest.mark.slow
def test_a_broken_dep_shows_in_the_real_file(project):
    """A dep taken out of dvc.yaml itself: DVC then misses the edit, as the import check would tell."""
    file = project.root / "dvc.yaml"
    file.write_text(file.read_text().replace("        - src/reprogan/models/${item.architecture}.py\n", ""))
    code("src/reprogan/models/dcgan.py")(project)
    changed = json.loads(project.dvc("status", "--json").stdout)
    assert "train@dcgan" not in changed or "deps" not in str(changed["train@dcgan"])
