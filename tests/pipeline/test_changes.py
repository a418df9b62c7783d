"""Law 3: a change re-runs only what it changes."""

import json
import re

import pytest

CLASSIFIERS = ("digit_features", "cnn_classifier")
EXTRACTORS = (*CLASSIFIERS, "face_features", "caption_features")
GANS = ("gan", "dcgan", "ring_gan", "progan")
STAGES = ("stackgan_1", "stackgan")
REFERENCES = ("digits", "faces", "captions", "edges")
DRAWN = (*GANS, "vae", "pix2pix_edges", *STAGES)
DRAWING_UP = {"export", "report", "publish"}  # look at every variant's block, by way of what `check` puts out


def stages(stage: str, *variants: str) -> set[str]:
    return {f"{stage}@{variant}" for variant in variants}


def edit(project, path: str) -> None:
    """Add a comment to a file of code."""
    file = project.root / path
    file.write_text(file.read_text() + "\n# edited\n")


def status(project) -> dict[str, list]:
    """What `dvc status` finds changed: by stage, what changed for it."""
    found = json.loads(project.dvc("status", "--json").stdout)
    return {name.removeprefix("dvc.yaml:"): changes for name, changes in found.items()}


def changed_for(changes: list) -> set[str]:
    """Of a stage's changes the files, folders and parameters that it depends on."""
    deps = {name: what for change in changes for name, what in change.get("changed deps", {}).items()}
    keys = deps.pop("params.yaml", {})
    return deps.keys() | (set(keys) if isinstance(keys, dict) else {"params.yaml"})


# What is edited => the stages that DVC finds changed by the edit itself; what follows, follows by their outputs.
PARAMETERS = {
    "variants.dcgan.training.images": (640, stages("train", "dcgan")),
    "variants.dcgan.training.seeds": (
        [1, 2, 3],
        stages("train", "dcgan") | stages("sample", "dcgan") | stages("evaluate", "dcgan"),
    ),
    "variants.dcgan.network.filters": (8, stages("train", "dcgan")),
    "variants.dcgan.sampling.count": (300, stages("sample", "dcgan")),
    "variants.gan.objective.generator.learning_rate": (2e-4, stages("train", "gan")),
    "variants.stackgan.training.images": (64, stages("train", "stackgan")),
    "evaluation.count": (100, stages("reference", *REFERENCES) | stages("evaluate", *EXTRACTORS, *DRAWN)),
    "evaluation.seeds": (1, stages("sample", *EXTRACTORS, *DRAWN) | stages("evaluate", *EXTRACTORS, *DRAWN)),
    "profile": ("another name", set()),
    "captions.least": (3, {"prepare_captions"}),
    "pairs.edges.options": ({"sigma": 2.0}, {"prepare_pairs@edges"}),
    "faces.toyfaces.count": (61, {"prepare_faces", "prepare_pairs@edges"}),
    "ring.std": (0.03, {"prepare_ring"}),
    "stacked.seed": (2, {"prepare_stacked"}),
}

CODE = {
    "models/dcgan.py": {"check", "export", "publish"} | stages("train", "dcgan") | stages("sample", "dcgan"),
    "models/fully_connected.py": {"check", "export", "publish"} | stages("train", "gan") | stages("sample", "gan"),
    "models/cnn_classifier.py": {"check", "export", "publish"}
    | stages("train", "cnn_classifier")
    | stages("sample", "cnn_classifier")
    | stages("evaluate", "cnn_classifier"),
    "models/stackgan.py": {"check", "export", "publish"} | stages("train", *STAGES) | stages("sample", *STAGES),
    "models/caption_features.py": {"check", "export", "publish"}
    | stages("train", "caption_features", *STAGES)
    | stages("sample", "caption_features", *STAGES)
    | stages("evaluate", "caption_features"),
    "models/unet.py": {"check", "export", "publish"}
    | stages("train", "pix2pix_edges")
    | stages("sample", "pix2pix_edges"),
    "models/multilayer.py": {"check", "export", "publish"}
    | stages("train", "ring_gan")
    | stages("sample", "ring_gan")
    | stages("evaluate", "ring_gan"),
    "models/progan.py": {"check", "export", "publish"} | stages("train", "progan") | stages("sample", "progan"),
    "systems/pix2pix.py": {"check"} | stages("train", "pix2pix_edges"),
    "systems/gan.py": {"check"} | stages("train", *GANS),
    "systems/vae.py": {"check"} | stages("train", "vae"),
    "systems/features.py": {"check"} | stages("train", "face_features"),
    "systems/adam.py": {"check", "code_of_train"},
    "losses/contrastive.py": {"check"} | stages("train", "caption_features"),
    "losses/bernoulli.py": {"check"} | stages("train", "vae"),
    "losses/cross_entropy.py": {"check"} | stages("train", *CLASSIFIERS),
    "data/tasks/edges.py": {"check", "prepare_pairs@edges"},
    "data/tasks/grey.py": {"check"},
    "data/text.py": {"prepare_captions"},
    "data/toyfaces/hair.py": {"check", "prepare_faces"},
    "data/faces/crop.py": {"check", "prepare_faces", "prepare_pairs@edges"},
    "data/ring.py": {"prepare_ring"},
    "sampling/pictures.py": {"code_of_sample", "code_of_evaluate", "export"},
    "evaluation/frechet.py": {"code_of_evaluate", "code_of_reference"},
    "evaluation/score.py": {"code_of_evaluate"},
    "export/costs.py": {"export"},
    "report/contents.py": {"report"},
    "report/templates/page.js": {"report"},
    "tracking/publish.py": {"publish"},
    "cli.py": set(),
}

# These change which files and parameters a stage depends on.
LINKS = {
    "a new variant": (
        lambda project: {"variants.second": project.parameter("variants.gan")},
        stages("train", "second") | stages("sample", "second") | stages("evaluate", "second"),
    ),
    "variants.dcgan.extractor": (
        lambda project: {
            "variants.dcgan.extractor": "cnn_classifier",
            "variants.dcgan.extractor_architecture": "cnn_classifier",
        },
        stages("evaluate", "dcgan"),
    ),
    "variants.stackgan.upstream": (
        lambda project: {"variants.stackgan.upstream.model": "models/caption_features"},
        stages("train", "stackgan"),
    ),
    "references.digits": (
        lambda project: {
            "references.digits.extractor": "cnn_classifier",
            "references.digits.architecture": "cnn_classifier",
        },
        stages("reference", "digits"),
    ),
}


def test_an_edit_of_a_parameter_touches_only_its_stages(pipeline_copy):
    """All at once: DVC says for each stage which of its parameters it is that changed."""
    pipeline_copy.change(**{key: value for key, (value, _) in PARAMETERS.items()})
    found = status(pipeline_copy)
    assert changed_for(found.pop("check")) == {"params.yaml"}
    declared = {stage: changed_for(changes) for stage, changes in found.items()}
    touched = {
        edited: {stage for stage, keys in declared.items() if any(f"{edited}.".startswith(f"{key}.") for key in keys)}
        for edited in PARAMETERS
    }
    assert touched == {key: expected for key, (_, expected) in PARAMETERS.items()}
    assert set().union(*touched.values()) == declared.keys()


def test_an_edit_of_code_touches_only_its_stages(pipeline_copy):
    """All at once: DVC says for each stage which of its files and folders it is that changed."""
    for name in CODE:
        edit(pipeline_copy, f"src/reprogan/{name}")
    (pipeline_copy.root / "README.md").write_text("read me\n")
    declared = {stage: changed_for(changes) for stage, changes in status(pipeline_copy).items()}
    touched = {
        edited: {
            stage
            for stage, deps in declared.items()
            if any(f"src/reprogan/{edited}/".startswith(f"{dep}/") for dep in deps)
        }
        for edited in CODE
    }
    assert touched == CODE
    assert set().union(*touched.values()) == declared.keys()


@pytest.mark.parametrize("what", LINKS)
def test_another_link_touches_only_its_stages(pipeline_copy, what):
    edits, expected = LINKS[what]
    pipeline_copy.change(**edits(pipeline_copy))
    assert status(pipeline_copy).keys() == {"check"} | expected


@pytest.fixture(scope="module")
def module_copy(pipeline, tmp_path_factory):
    """One copy of the finished pipeline for all edits: DVC has hashed it once."""
    return pipeline.copy(tmp_path_factory.mktemp("edits") / "repository")


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
    file = project.root / "params.yaml"
    file.write_text("# a comment\n" + file.read_text())
    ran = set(re.findall(r"Running stage '(.+)'", project.repro().stdout))
    assert ran == {"check"}


def test_an_edit_of_shared_code_touches_every_stage_of_its_kind(project):
    edit(project, "src/reprogan/systems/adam.py")
    edit(project, "src/reprogan/sampling/pictures.py")
    project.repro("-s", "check", "code_of_train", "code_of_sample", "code_of_evaluate", "code_of_reference")
    assert status(project).keys() == (
        stages("train", *EXTRACTORS, *DRAWN)
        | stages("sample", *EXTRACTORS, *DRAWN)
        | stages("evaluate", *EXTRACTORS, *DRAWN)
        | {"export"}
    )


@pytest.mark.slow
def test_a_broken_dep_shows_in_the_real_file(project):
    """A dep taken out of dvc.yaml itself: DVC then misses the edit, as the import check would tell."""
    file = project.root / "dvc.yaml"
    file.write_text(file.read_text().replace("        - src/reprogan/models/${item.architecture}.py\n", ""))
    edit(project, "src/reprogan/models/dcgan.py")
    assert "src/reprogan/models/dcgan.py" not in changed_for(status(project).get("train@dcgan", []))
