"""Law 1: outputs are a pure function of parameters, data and code."""

import json
import platform
import time
from pathlib import Path

from reprogan.config import load

REPOSITORY = Path(__file__).parents[2]


def test_running_everything_again_changes_no_byte(project, pipeline):
    """In another folder, with DVC's cache and all outputs there or not."""
    lock = project.lock()
    done = project.repro("-f")
    assert done.stdout.count("Running stage") == len(lock["stages"])
    assert project.lock() == lock
    assert project.digests() == pipeline.digests


def test_a_second_repro_runs_nothing(project):
    done = project.repro()
    assert "Running stage" not in done.stdout
    assert json.loads(project.dvc("status", "--json").stdout) == {}


def test_every_stage_ran_and_every_variant_has_all_its_files(pipeline):
    stages = set(pipeline.project.lock()["stages"])
    variants = pipeline.project.parameter("variants")
    prepared = {f"prepare_{data}" for data in ("digits", "stacked", "ring", "faces", "captions", "pairs@edges")}
    each = {f"{stage}@{variant}" for stage in ("train", "sample", "evaluate") for variant in variants}
    shared = {"code_of_train", "code_of_sample", "code_of_reference", "code_of_evaluate"}
    references = {f"reference@{name}" for name in pipeline.project.parameter("references")}
    assert stages == {"check", "export", "report", "publish"} | shared | prepared | references | each
    for variant in ("gan", "dcgan", "ring_gan", "progan", "pix2pix_edges", "stackgan_1", "stackgan"):
        for file in ("model.json", "generator.safetensors", "discriminator.safetensors", "history.csv"):
            assert f"models/{variant}/{file}" in pipeline.digests
        for file in ("samples.h5", "grid.png", "progress.png"):
            assert f"samples/{variant}/{file}" in pipeline.digests
    for variant in ("digit_features", "cnn_classifier", "face_features"):
        assert {f"models/{variant}/classifier.safetensors", f"samples/{variant}/grid.png"} <= set(pipeline.digests)
    assert {"models/vae/encoder.safetensors", "models/vae/decoder.safetensors"} <= set(pipeline.digests)
    for file in ("samples.h5", "grid.png", "reconstructions.png", "latents.png", "progress.png"):
        assert f"samples/vae/{file}" in pipeline.digests
    assert "models/caption_features/text_encoder.safetensors" in pipeline.digests
    assert "samples/pix2pix_edges/spread.png" in pipeline.digests and "samples/stackgan/walk.gif" in pipeline.digests
    assert {f"metrics/{variant}.json" for variant in variants} | {"report/index.html"} <= set(pipeline.digests)
    assert {f"scores/{variant}/scores.json" for variant in variants} <= set(pipeline.digests)
    assert {f"scores/{variant}/copies.png" for variant in ("gan", "dcgan", "vae", "progan")} <= set(pipeline.digests)


def test_every_score_has_its_spread_over_sample_sets_and_training_seeds(pipeline):
    root = pipeline.project.root
    for variant in ("gan", "dcgan", "ring_gan", "progan", "vae", "pix2pix_edges", "stackgan"):
        scores = json.loads((root / f"scores/{variant}/scores.json").read_text())
        score = "reverse_kl" if variant == "ring_gan" else "frechet_distance"
        first, second = scores["sets"][score]
        assert first == scores[score] != second
    for file in ("generator.safetensors", "model.json", "history.csv"):
        own, other = (root / "models/dcgan" / place / file for place in ("", "seeds/2"))
        assert file == "model.json" or own.read_bytes() != other.read_bytes()
    of_seeds = json.loads((root / "scores/dcgan/scores.json").read_text())["training"]
    assert of_seeds["seeds"] == [1, 2] and of_seeds["frechet_distance"][0] != of_seeds["frechet_distance"][1]
    assert (root / "samples/dcgan/seeds/2/grid.png").is_file()


def test_no_output_names_this_machine_or_this_day(pipeline):
    root = pipeline.project.root
    words = [str(root), str(Path.home()), str(root.parent), time.strftime("%Y-%m-%d")]
    words += [platform.node()] if len(platform.node()) > 3 else []  # shorter, it may stand there by chance
    for name in pipeline.digests:
        content = (root / name).read_bytes()
        assert [word for word in words if len(word) > 3 and word.encode() in content] == [], name


def test_git_is_clean_but_for_what_the_pipeline_commits(pipeline):
    """Models, samples, data and scratch are ignored: only dvc.lock, metrics and the like are for git."""
    tracked = pipeline.project.git("ls-files").splitlines()
    kept = (
        "models/",
        "samples/",
        "scores/",
        "data/references",
        "data/processed",
        "data/raw",
        "report/",
        ".reprogan/",
        "mlruns/",
        "mlflow.db",
    )
    assert [name for name in tracked if name.startswith(kept)] == []
    assert {"dvc.lock", "metrics/gan.json"} <= set(tracked)


def test_metrics_and_plots_are_declared(project):
    shown = json.loads(project.dvc("metrics", "show", "--json").stdout)[""]["data"]
    assert set(shown) == {f"metrics/{name}.json" for name in project.parameter("variants")}
    assert shown["metrics/gan.json"]["data"]["frechet_distance"] > 0
    for scores in shown.values():  # few, rounded, all numbers: a line of a terminal each
        assert 1 <= len(scores["data"]) <= 15
        assert all(isinstance(value, int | float) and len(f"{value:.12g}") <= 10 for value in scores["data"].values())
    plots = json.loads(project.dvc("plots", "show", "--json").stdout)["data"]
    images = {f"samples/{name}/grid.png" for name in load(REPOSITORY / "params.yaml").variants}
    assert {name for name in plots if name.endswith(".png")} == images
    assert set(plots) - images == {
        "GAN losses",
        "absolute error",
        "classifier losses",
        "discriminator probabilities",
        "gradient norms",
        "reconstruction",
    }
    for title, drawn in plots.items():
        if title in images:
            assert [one["type"] for one in drawn] == (["image"] if (project.root / title).is_file() else [])
        elif title != "gradient norms":  # of variants that the tiny pipeline does without
            assert drawn and drawn[0]["content"], title
