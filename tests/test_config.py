"""params.yaml: YAML 1.2 floats, strict types, and one line for each mistake, whose exit status is 2."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from reprogan.check import check_blocks
from reprogan.config import load, read_yaml
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
    ("prophile", "x", "prophile: unknown key; expected one of profile, compute, digits, evaluation, variants"),
    (
        "compute.thread",
        2,
        "compute.thread: unknown key; expected one of device, threads, isa, precision, channels_last",
    ),
    ("variants.gan.trainning", {}, "variants.gan.trainning: unknown key; expected one of system, architecture"),
    ("variants.gan.training.epochs", 3, "variants.gan.training.epochs: unknown key; expected one of seed, images"),
    ("variants.gan.network.widht", 3, "variants.gan.network.widht: unknown key; expected one of latent_size"),
    ("variants.gan.objective.generator.lr", 3.0, "variants.gan.objective.generator.lr: unknown key; expected one of"),
    ("variants.digit_features.network.hidden", 3, "variants.digit_features.network.hidden: unknown key"),
    ("compute.threads", "two", "compute.threads: found 'two'; input should be a valid integer"),
    ("compute.threads", True, "compute.threads: found True; input should be a valid integer"),
    ("compute.threads", 0, "compute.threads: found 0; input should be greater than or equal to 1"),
    ("compute.isa", "avx512", "compute.isa: found 'avx512'; input should be 'avx2' or 'native'"),
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
    ("variants.gan.system", "diffusion", "variants.gan.system: found 'diffusion'; expected one of classifier, gan"),
    ("variants.gan.objective.loss", "hinges", "variants.gan.objective.loss: found 'hinges'; expected one of"),
    (
        "variants.gan.objective.loss",
        "cross_entropy",
        "variants.gan.objective.loss: found 'cross_entropy'; expected one",
    ),
    ("variants.gan.extractor", "dcgan", "variants.gan.extractor is 'dcgan'; expected a classifier: "),
    ("variants.gan.data", "faces", "variants.gan.data: found 'faces'; input should be 'digits'"),
    ("variants.gan.training", None, "variants.gan.training: missing; add it"),
    ("variants.gan.objective.loss", None, "variants.gan.objective.loss: missing; add it"),
    ("digits.source", "minst", "digits: source is 'minst'; expected one of embedded, mnist"),
    ("digits.sets.mnist.files.test_labels.sha256", "abc", "digits.sets.mnist.files.test_labels.sha256: found 'abc'"),
    ("digits.sets.mnist.files.train_images.name", "../x", "digits.sets.mnist.files.train_images.name: found '../x'"),
    ("evaluation.count", 10, "evaluation.count: found 10; input should be greater than or equal to 100"),
]


@pytest.mark.parametrize("key, value, says", MISTAKES, ids=[f"{key}={value}" for key, value, _ in MISTAKES])
def test_a_mistake_is_one_line_that_names_key_value_and_what_is_allowed(mistake, key, value, says):
    assert says in mistake(key, value)


def test_more_mistakes_are_counted(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("profile: 1\ncompute: 2\n")
    with pytest.raises(UserError, match=r"profile: found 1; .* \(and 4 more\)$"):
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
