"""Mistakes as the user meets them, through `dvc repro` and the stages: one line, exit status, nothing half-written."""

import stat

import pytest
from PIL import Image


def one_line(done) -> str:
    """The one line of the project's own on stderr, without its prefix."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("reprogan: ")]
    assert len(lines) == 1 and "Traceback" not in done.stderr, done.stderr
    return lines[0].removeprefix("reprogan: ")


def test_a_wrong_parameter_stops_repro_before_any_work(project, pipeline):
    project.change(**{"variants.gan.architecture": "transformer"})
    done = project.dvc("repro", status=None)
    assert done.returncode != 0
    assert one_line(done).startswith("params.yaml: variants.gan.architecture: found 'transformer'; ")
    assert "failed to reproduce 'check'" in done.stderr and "exited with 2" in done.stderr
    assert "Running stage 'train" not in done.stdout
    project.change(**{"variants.gan.architecture": "fully_connected", "variants.dcgan.training.images": -1})
    line = one_line(project.stage("check", status=2))
    assert line.startswith("params.yaml: variants.dcgan.training.images: found -1; ")
    after = project.digests()
    assert {name: pipeline.digests[name] for name in after} == after
    assert set(pipeline.digests) - set(after) <= {"data/checked"}
    project.git("checkout", "-q", "--", "params.yaml")  # mended, nothing has to be made again
    assert "Running stage 'train" not in project.dvc("repro").stdout
    assert project.digests() == pipeline.digests


@pytest.mark.parametrize(
    "stage", ["check", "prepare_digits", "prepare_faces", "train", "sample", "evaluate", "report", "publish"]
)
def test_every_stage_refuses_parameters_that_are_missing_or_wrong(project, stage):
    arguments = ["gan"] if stage in ("train", "sample", "evaluate") else []
    before = project.digests()
    (project.root / "params.yaml").unlink()
    done = project.stage(stage, *arguments, status=2)
    assert one_line(done).startswith("params.yaml: No such file or directory; expected a readable YAML file")
    (project.root / "params.yaml").write_text("profile: laptop\nprophile: x\n")
    done = project.stage(stage, *arguments, status=2)
    assert one_line(done).startswith("params.yaml: prophile: unknown key; expected one of profile, compute")
    assert done.stdout == "" and project.digests() == before


def test_faces_that_are_not_there(project):
    project.change(**{"faces.source": "nowhere.zip"})
    done = project.dvc("repro", status=None)
    assert done.returncode != 0 and "reprogan: params.yaml: faces.source is 'nowhere.zip'; no such file" in done.stderr


def test_pictures_that_are_broken(project, pipeline, tmp_path):
    """A folder outside the repository: named by key and counted, and the faces there were are not half gone."""
    (tmp_path / "mine").mkdir()
    for index in range(8):
        (tmp_path / f"mine/{index}.jpg").write_bytes(b"no picture")
    project.change(**{"faces.source": str(tmp_path / "mine")})
    line = one_line(project.stage("prepare_faces", status=2))
    assert line.startswith(f"{tmp_path / 'mine'}: 0.jpg is no picture, 1.jpg is no picture") and "(8 in all)" in line
    assert project.digests()["data/processed/faces.h5"] == pipeline.digests["data/processed/faces.h5"]


def test_own_pictures_are_a_dependency(project, tmp_path):
    """Prepared through DVC from a folder outside the repository; another picture there prepares anew."""
    (tmp_path / "mine").mkdir()
    for index in range(40):
        Image.new("RGB", (140, 130 + index), (6 * index, 90, 40)).save(tmp_path / f"mine/{index}.png")
    project.change(**{"faces.source": str(tmp_path / "mine")})
    assert "faces.h5: mine, " in project.dvc("repro", "prepare_faces").stdout
    before = project.digests()["data/processed/faces.h5"]
    assert "Running stage" not in project.dvc("repro", "prepare_faces").stdout
    Image.new("RGB", (140, 130), "red").save(tmp_path / "mine/40.png")
    assert "Running stage 'prepare_faces'" in project.dvc("repro", "prepare_faces").stdout
    assert project.digests()["data/processed/faces.h5"] != before


def test_a_variant_that_is_not_there(project):
    line = one_line(project.stage("sample", "gna", status=2))
    known = "digit_features, cnn_classifier, gan, dcgan, vae, ring_gan, face_features, progan, "
    known += "pix2pix_edges, caption_features, stackgan_1, stackgan"
    assert line == f"params.yaml: no variant 'gna'; expected one of {known}"


def test_a_damaged_model_at_sample_and_evaluate(project, pipeline):
    for stage, folder, weights in (
        ("sample", "models/gan", "generator.safetensors"),
        ("evaluate", "models/digit_features", "classifier.safetensors"),
    ):
        path = project.root / folder / weights
        path.write_bytes(path.read_bytes()[:-100])
        outs = {name: digest for name, digest in project.digests().items() if not name.startswith("models/")}
        line = one_line(project.stage(stage, "gan", status=2))
        assert line.startswith(f"{folder}/{weights}: no weights of this model") and "dvc repro" in line
        now = {name: digest for name, digest in project.digests().items() if not name.startswith("models/")}
        assert now == outs


@pytest.mark.parametrize("folder", ["models/gan", ".reprogan"])
def test_no_permission_to_write(project, pipeline, obey_permissions, folder):
    """Where the model goes, and where checkpoints go."""
    project.change(**{"variants.gan.training.images": 1280, "variants.gan.training.checkpoint_every": 640})
    project.forget("train@gan")
    locked = project.root / folder
    locked.mkdir(parents=True)
    locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        done = project.stage("train", "gan", status=None, preexec_fn=obey_permissions)
    finally:
        locked.chmod(stat.S_IRWXU)
    assert done.returncode == 2, done.stderr
    line = one_line(done)
    assert "no permission; expected a path this account may read and write" in line and folder in line
    assert list(locked.iterdir()) == []


def test_params_that_may_not_be_read(project, obey_permissions):
    (project.root / "params.yaml").chmod(0)
    done = project.stage("check", status=2, preexec_fn=obey_permissions)
    assert one_line(done).startswith("params.yaml: Permission denied")
