"""params.yaml: YAML 1.2 floats, strict types, and one line for each mistake, whose exit status is 2."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from reprogan.blocks import read_yaml
from reprogan.check import check_blocks
from reprogan.config import load
from reprogan.entry import exit_status
from reprogan.errors import UserError

REPOSITORY = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "text, value",
    [
        ("1e-5", 1e-5),
        ("2e-4", 2e-4),
        ("1E3", 1000.0),
        ("-3e+2", -300.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("1.e3", 1000.0),
        ("+.25", 0.25),
        (".inf", math.inf),
        ("-.INF", -math.inf),
    ],
)
def test_floats_of_yaml_1_2(tmp_path, text, value):
    file = tmp_path / "params.yaml"
    file.write_text(f"value: {text}\n")
    found = read_yaml(file)["value"]
    assert isinstance(found, float) and found == value


@pytest.mark.parametrize(
    "text, value",
    [("12", 12), ("1_0e", "1_0e"), ("1e5x", "1e5x"), ("e5", "e5"), ("1.2.3", "1.2.3"), ('"2e-4"', "2e-4")],
)
def test_what_is_no_float_stays_what_it_is(tmp_path, text, value):
    file = tmp_path / "params.yaml"
    file.write_text(f"value: {text}\n")
    assert read_yaml(file)["value"] == value


def test_nan(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("value: .nan\n")
    assert math.isnan(read_yaml(file)["value"])


def test_floats_as_dvc_writes_them(tmp_path):
    """`dvc exp run -S` dumps with ruamel or PyYAML: 1.0e-05, 1e-05."""
    from ruamel.yaml import YAML

    file = tmp_path / "params.yaml"
    for dump in (yaml.safe_dump, YAML().dump):
        with open(file, "w") as stream:
            dump({"rate": 1e-5, "other": 2e-4, "large": 1e22}, stream)
        assert read_yaml(file) == {"rate": 1e-5, "other": 2e-4, "large": 1e22}


def test_params_yaml_itself_is_valid():
    params = load(REPOSITORY / "params.yaml")
    check_blocks(params)
    assert {"gan", "dcgan", "cnn_classifier", "digit_features"} <= set(params.variants)


@pytest.fixture
def mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The line that a changed params.yaml fails with, without `reprogan: params.yaml: `; None removes a key."""

    def fail(key: str, value: object) -> str:
        params = read_yaml(REPOSITORY / "params.yaml")
        *blocks, last = key.split(".")
        block = params
        for name in blocks:
            block = block[name]
        if value is None:
            del block[last]
        else:
            block[last] = value
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(params, sort_keys=False))

        def validate() -> None:
            from os import chdir

            chdir(tmp_path)
            check_blocks(load())

        assert exit_status(validate) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("reprogan: params.yaml: ") and captured.err.count("\n") == 1, captured.err
        return captured.err.removeprefix("reprogan: params.yaml: ").rstrip("\n")

    return fail


@pytest.fixture(autouse=True)
def same_folder(monkeypatch: pytest.MonkeyPatch):
    """Come back to the folder that the test began in."""
    monkeypatch.chdir(REPOSITORY)


MISTAKES = [
    # key, value, what the line says
    (
        "prophile",
        "x",
        "prophile: unknown key; expected one of profile, compute, launch, retrain, report, digits, stacked, ring, "
        "faces, captions, pairs, evaluation, references, variants",
    ),
    (
        "compute.thread",
        2,
        "compute.thread: unknown key; expected one of device, threads, isa, precision, channels_last",
    ),
    ("variants.gan.trainning", {}, "variants.gan.trainning: unknown key; expected one of system, architecture"),
    ("variants.gan.training.epochs", 3, "variants.gan.training.epochs: unknown key; expected one of seeds, images"),
    ("variants.gan.network.widht", 3, "variants.gan.network.widht: unknown key; expected one of latent_size"),
    ("variants.gan.objective.generator.lr", 3.0, "variants.gan.objective.generator.lr: unknown key; expected one of"),
    ("variants.digit_features.network.hidden", 3, "variants.digit_features.network.hidden: unknown key"),
    ("compute.threads", "two", "compute.threads: found 'two'; input should be a valid integer"),
    ("compute.threads", True, "compute.threads: found True; input should be a valid integer"),
    ("compute.threads", 0, "compute.threads: found 0; input should be greater than or equal to 1"),
    ("compute.isa", "avx512", "compute.isa: found 'avx512'; input should be 'avx2' or 'native'"),
    ("launch.processes", 2, "launch: processes is 2 and launcher none; expected 1, or torchrun"),
    ("launch.nodes", 2, "launch: processes is 1 on 2 nodes; expected as many on each"),
    ("retrain.count", 5, "retrain.count: found 5; input should be greater than or equal to 100"),
    ("compute.device", "gpu", "compute.device: found 'gpu'; input should be 'cpu', 'cuda' or 'mps'"),
    ("variants.gan.training.images", "many", "variants.gan.training.images: found 'many'; input should be"),
    ("variants.gan.training.images", "640", "variants.gan.training.images: found '640'; input should be"),
    ("variants.gan.training.images", 1.5, "variants.gan.training.images: found 1.5; input should be"),
    ("variants.gan.training.images", -1, "variants.gan.training.images: found -1; input should be greater than"),
    ("variants.gan.training.batch_size", 0, "variants.gan.training.batch_size: found 0; input should be"),
    ("variants.gan.training.milestones", [5, 3], "variants.gan.training.milestones: milestones are [5, 3]; expected"),
    ("variants.gan.training.milestones", [-1], "variants.gan.training.milestones: milestones begin at -1; expected"),
    ("variants.gan.objective.generator.learning_rate", "1e-3x", "found '1e-3x'; input should be a valid number"),
    ("variants.gan.objective.generator.learning_rate", -1e-3, "found -0.001; input should be greater than 0"),
    ("variants.gan.objective.generator.betas", [0.5, 1.5], "variants.gan.objective.generator.betas.1: found 1.5"),
    ("variants.digit_features.objective.betas", [-0.1, 0.9], "variants.digit_features.objective.betas.0: found -0.1"),
    ("variants.gan.network.dropout", 1.0, "variants.gan.network.dropout: found 1.0; input should be less than 1"),
    ("variants.gan.architecture", "transformer", "variants.gan.architecture: found 'transformer'; expected one of"),
    ("variants.gan.architecture", "trained", "variants.gan.architecture: found 'trained'; expected one of"),
    (
        "variants.gan.system",
        "diffusion",
        "variants.gan.system: found 'diffusion'; expected one of autoencoder, classifier, contrastive, features, gan, "
        "pix2pix, stackgan, vae",
    ),
    (
        "variants.progan.training.images",
        2775,
        "variants.progan.objective.growth: stable and fade reach the last resolution after 2,775 images; "
        "training.images is 2,775; expected more",
    ),
    *(
        (
            f"variants.{name}.training.batch_size",
            1,
            f"variants.{name}.training.batch_size is 1; system {system} compares the images of a batch with each "
            "other; expected 2 or more",
        )
        for name, system in (("stackgan", "stackgan"), ("caption_features", "contrastive"))
    ),
    ("variants.gan.objective.loss", "hinges", "variants.gan.objective.loss: found 'hinges'; expected one of"),
    (
        "variants.gan.objective.loss",
        "cross_entropy",
        "variants.gan.objective.loss: found 'cross_entropy'; expected one",
    ),
    (
        "variants.gan.extractor",
        "dcgan",
        "variants.gan.extractor is 'dcgan'; expected 'digit_features', as data/references/digits.h5 is made with",
    ),
    (
        "variants.gan.data",
        "cats",
        "variants.gan.data is 'cats'; expected one of digits, stacked, ring, faces, captions, edg",
    ),
    ("variants.gan.training", None, "variants.gan.training: missing; add it"),
    ("variants.gan.objective.loss", None, "variants.gan.objective.loss: missing; add it"),
    ("digits.source", "minst", "digits: source is 'minst'; expected one of embedded, mnist"),
    ("digits.sets.mnist.files.test_labels.sha256", "abc", "digits.sets.mnist.files.test_labels.sha256: found 'abc'"),
    ("digits.sets.mnist.files.train_images.name", "../x", "digits.sets.mnist.files.train_images.name: found '../x'"),
    ("variants.gan.view.size", 0, "variants.gan.view.size: found 0; input should be greater than or equal to 1"),
    ("variants.gan.view.size", 64.0, "variants.gan.view.size: found 64.0; input should be a valid integer"),
    ("variants.gan.view.size", None, "variants.gan.view.size: missing; add it"),
    ("variants.gan.view.classes", [], "variants.gan.view.classes: found []; tuple should have at least 1 item"),
    ("variants.gan.view.classes", [7], "variants.gan.view.classes.0: found 7; input should be a valid string"),
    ("variants.gan.view.per_class", 0, "variants.gan.view.per_class: found 0; input should be greater than or equal"),
    ("variants.gan.view.sise", 64, "variants.gan.view.sise: unknown key; expected one of size, classes, per_class"),
    ("stacked.seed", -1, "stacked.seed: found -1; input should be greater than or equal to 0"),
    ("stacked.train", 0, "stacked.train: found 0; input should be greater than or equal to 1"),
    ("stacked.test", 0, "stacked.test: found 0; input should be greater than or equal to 1"),
    ("stacked.channels", 3, "stacked.channels: unknown key; expected one of seed, train, test"),
    ("ring.seed", -1, "ring.seed: found -1; input should be greater than or equal to 0"),
    ("ring.modes", 1, "ring.modes: found 1; input should be greater than or equal to 2"),
    ("ring.std", 0.0, "ring.std: found 0.0; input should be greater than 0"),
    ("ring.train", 0, "ring.train: found 0; input should be greater than or equal to 1"),
    ("ring.test", 0, "ring.test: found 0; input should be greater than or equal to 1"),
    ("ring.radius", 2.0, "ring.radius: unknown key; expected one of seed, modes, std, train, test"),
    ("faces.source", "", "faces.source: found ''; string should have at least 1 character"),
    ("faces.limit", 1, "faces.limit: found 1; input should be greater than or equal to 2"),
    ("faces.resize", "longer_side", "faces.resize: found 'longer_side'; input should be 'none' or 'shorter_side'"),
    ("faces.on_small", "stretch", "faces.on_small: found 'stretch'; input should be 'error', 'pad' or 'skip'"),
    ("faces.grey", "skip", "faces.grey: found 'skip'; input should be 'repeat' or 'error'"),
    ("faces.alpha", "red", "faces.alpha: found 'red'; input should be 'white', 'black' or 'error'"),
    ("faces.test_share", 0.0, "faces.test_share: found 0.0; input should be greater than 0"),
    ("faces.test_share", 1.0, "faces.test_share: found 1.0; input should be less than 1"),
    ("faces.compression", "zip", "faces.compression: found 'zip'; input should be 'none' or 'gzip'"),
    ("faces.toyfaces.count", 1, "faces.toyfaces.count: found 1; input should be greater than or equal to 2"),
    ("faces.toyfaces.sead", 1, "faces.toyfaces.sead: unknown key; expected one of seed, count"),
    ("faces", None, "faces: missing; add it"),
    ("stacked", None, "stacked: missing; add it"),
    ("ring", None, "ring: missing; add it"),
    (
        "variants.ring_gan.extractor",
        "ring_r3gan",
        "variants.ring_gan.extractor is 'ring_r3gan'; expected 'ring_gan', scored by itself",
    ),
    (
        "variants.ring_gan.reference",
        "data/references/digits.h5",
        "variants.ring_gan.reference is 'data/references/digits.h5'; expected 'data/checked', scored by itself",
    ),
    (
        "variants.cnn_classifier.extractor",
        "digit_features",
        "variants.cnn_classifier.extractor is 'digit_features'; expected 'cnn_classifier', scored by itself",
    ),
    (
        "variants.progan.extractor",
        "inception",
        "variants.progan.extractor is 'inception'; expected 'face_features', as data/references/faces.h5 is made with",
    ),
    (
        "variants.gan.extractor_architecture",
        "cnn_classifier",
        "variants.gan.extractor_architecture is 'cnn_classifier'; expected 'digit_features', as data/references/",
    ),
    (
        "variants.ring_gan.extractor_architecture",
        "digit_features",
        "variants.ring_gan.extractor_architecture is 'digit_features'; expected 'multilayer', scored by itself",
    ),
    (
        "variants.gan.reference",
        "data/references/digits64.h5",
        "variants.gan.reference is 'data/references/digits64.h5'; expected one of data/references/digits.h5: of data "
        "digits, size null",
    ),
    (
        "variants.sagan.view.size",
        32,
        "variants.sagan.reference is 'data/references/digits64.h5'; expected one that is added under `references`: of "
        "data digits, size 32",
    ),
    ("variants.gan.reference", None, "variants.gan.reference: missing; add it"),
    (
        "references.digits.data",
        "cats",
        "references.digits.data is 'cats'; expected one of digits, stacked, ring, faces",
    ),
    ("references.digits.extractor", "dcgan", "references.digits.extractor is 'dcgan'; expected a classifier: cnn"),
    ("references.digits.extractor", "nobody", "references.digits.extractor is 'nobody'; expected a classifier: cnn_c"),
    ("references.digits.extractor", "inception", "references.digits.extractor is 'inception'; expected a classifier"),
    (
        "references.digits.extractor",
        "cnn_classifier",
        "references.digits.architecture is 'digit_features'; expected 'cnn_classifier', the architecture of cnn_c",
    ),
    (
        "references.faces.extractor",
        "inception",
        "references.faces.architecture is 'face_features'; expected 'inception', the architecture of inception",
    ),
    ("references.digits.size", 0, "references.digits.size: found 0; input should be greater than or equal to 1"),
    ("references.Digits", {}, "references"),
    ("evaluation.seeds", 0, "evaluation.seeds: found 0; input should be greater than or equal to 1"),
    ("variants.gan.training.seeds", [], "variants.gan.training.seeds: found []; tuple should have at least 1 item"),
    ("variants.gan.training.seeds", [1, 1], "variants.gan.training.seeds: seeds are [1, 1]; expected different whole"),
    ("variants.gan.training.seeds", [-1], "variants.gan.training.seeds: seeds are [-1]; expected different whole"),
    ("variants.gan.extractor_architecture", None, "variants.gan.extractor_architecture: missing; add it"),
    ("variants.gan.objective.n_critic", 0, "variants.gan.objective.n_critic: found 0; input should be greater than or"),
    ("variants.gan.objective.clip", 0.0, "variants.gan.objective.clip: found 0.0; input should be greater than 0"),
    ("variants.gan.objective.clip", -0.01, "variants.gan.objective.clip: found -0.01; input should be greater than 0"),
    ("variants.wgan_gp.objective.penalty", -1.0, "variants.wgan_gp.objective.penalty: found -1.0; input should be"),
    (
        "variants.dcgan_conditional.objective.penalty",
        1.0,
        "variants.dcgan_conditional.objective.penalty is 1.0; non_saturating has no penalty on gradients; expected 0",
    ),
    (
        "variants.r3gan.objective.penalty",
        0.0,
        "variants.r3gan.objective.burn_in is there and penalty is 0.0; expected",
    ),
    ("variants.r3gan.objective.burn_in.share", 0.0, "variants.r3gan.objective.burn_in.share: found 0.0; input should"),
    ("variants.r3gan.objective.burn_in.share", 1.1, "variants.r3gan.objective.burn_in.share: found 1.1; input should"),
    ("variants.r3gan.objective.burn_in.penalty", -1.0, "variants.r3gan.objective.burn_in.penalty: found -1.0; input"),
    (
        "variants.r3gan.objective.burn_in.beta_2",
        1.0,
        "variants.r3gan.objective.burn_in.beta_2: found 1.0; input should",
    ),
    ("variants.vae.objective.kl_weight", -1.0, "variants.vae.objective.kl_weight: found -1.0; input should be greater"),
    (
        "variants.gan.objective.loss",
        "bernoulli",
        "variants.gan.objective.loss: found 'bernoulli'; expected one of hinge",
    ),
    (
        "variants.vae.objective.loss",
        "hinge",
        "variants.vae.objective.loss: found 'hinge'; expected one of bernoulli, squared_error",
    ),
    (
        "variants.autoencoder.objective.loss",
        "cross_entropy",
        "variants.autoencoder.objective.loss: found 'cross_entropy'; expected one of bernoulli, squared_error",
    ),
    (
        "variants.digit_features.objective.loss",
        "squared_error",
        "variants.digit_features.objective.loss: found 'squared_error'; expected one of cross_entropy",
    ),
    ("evaluation.count", 10, "evaluation.count: found 10; input should be greater than or equal to 100"),
]


@pytest.mark.parametrize("key, value, says", MISTAKES, ids=[f"{key}={value}" for key, value, _ in MISTAKES])
def test_a_mistake_is_one_line_that_names_key_value_and_what_is_allowed(mistake, key, value, says):
    assert says in mistake(key, value)


def test_more_mistakes_are_counted(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("profile: 1\ncompute: 2\n")
    with pytest.raises(UserError, match=r"profile: found 1; .* \(and 13 more\)$"):
        load(file)


@pytest.mark.parametrize(
    "content, says",
    [
        (None, "No such file or directory; expected a readable YAML file"),
        (b"a: [1\nb: 2\n", "line 2: not YAML: "),
        (b"a: \xff\n", "not YAML: "),
        (b"\tprofile: x\n", "line 1: not YAML: "),
        (b"", "found None; input should be a valid dictionary"),
        (b"just text\n", "found 'just text'; input should be a valid dictionary"),
        (b"a: !!python/object/apply:os.getcwd []\n", "line 1: not YAML: "),
    ],
)
def test_a_file_that_is_missing_or_no_parameters(tmp_path, capsys, content, says):
    path = tmp_path / "params.yaml"
    if content is not None:
        path.write_bytes(content)
    assert exit_status(lambda: load(path) and None) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"reprogan: {path}") and says in error and error.count("\n") == 1


def test_variant_by_name():
    params = load(REPOSITORY / "params.yaml")
    assert params.variant("gan").architecture == "fully_connected"
    with pytest.raises(UserError, match="no variant 'gna'; expected one of digit_features, "):
        params.variant("gna")
