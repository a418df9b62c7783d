"""The lock file that is kept in memory between stages: the same characters as DVC's own writing gives."""

from collections import OrderedDict
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from dvc.dependency.param import read_param_file
from dvc.fs import LocalFileSystem
from dvc.utils.serialize import YAMLFileCorruptedError, modify_yaml
from dvc.utils.serialize._yaml import parse_yaml_for_update

from reprogan import lockfile as module
from reprogan.lockfile import LockFile, ParameterFiles

COMMITTED = (Path(__file__).parents[2] / "dvc.lock").read_text().partition("  sample@")[0]  # its first stages
ODD = {
    "params.yaml": {"odd": [1, 2.5, None, 1e-5, True, "2.0", "it's: a # word", "", {"empty": []}, "sum: " + 70 * "a"]}
}


def training(step: int) -> OrderedDict[str, Any]:
    """As DVC describes a stage that ran."""
    dep = OrderedDict(path="src/reprogan/losses", hash="md5", md5=f"{step:032x}.dir", size=step, nfiles=2)
    return OrderedDict(cmd=f"python stages/train.py {step}", deps=[dep], params=deepcopy(ODD))


def changes(data: Any, step: int) -> None:
    """What a run of DVC does between two writings: a stage anew, one that was not there; another goes."""
    data["stages"].update({"train@gan": training(step), f"train@new{step}": training(step)})
    if step == 2:
        del data["stages"][next(iter(data["stages"]))], data["stages"]["train@new1"]


def test_two_that_write_the_same_file_in_turn_write_what_dvc_writes(both):
    """As stages that run side by side do: each takes over what the other has written."""
    ours, plain = both
    pair = LockFile(ours), LockFile(ours)
    for step in range(6):
        with pair[step % 2].modify() as data:
            changes(data, step)
        with modify_yaml(str(plain)) as data:
            changes(data, step)
        assert ours.read_text() == plain.read_text()


def test_what_another_wrote_is_not_parsed_as_a_whole(tmp_path, monkeypatch):
    path = tmp_path / "dvc.lock"
    path.write_text(COMMITTED)
    mine, other = LockFile(path), LockFile(path)
    mine.read()
    with other.modify() as data:
        changes(data, 0)
    parsed: list[str] = []
    monkeypatch.setattr(
        module, "parse_yaml_for_update", lambda text, where: parsed.append(text) or parse_yaml_for_update(text, where)
    )
    with mine.modify() as data:
        changes(data, 1)
    assert [text.split(":")[0].strip() for text in parsed] == ["train@gan", "train@new0"]


@pytest.fixture(params=["committed", "comments", "data sets", "no stages", "anchors"])
def both(request, tmp_path) -> tuple[Path, Path]:
    """The same lock file twice."""
    text = COMMITTED
    if request.param == "comments":
        text = text.replace("  prepare_ring:\n", "  # by hand\n  prepare_ring:\n").replace(
            "stages:\n", "stages: # all\n"
        )
    if request.param == "data sets":
        text += "datasets: []\n"
    if request.param == "anchors":
        text += (
            "  other:\n    cmd: x\n    params:\n      params.yaml:\n        a: &id001\n        - 1\n        b: *id001\n"
        )
    if request.param == "no stages":
        text = "schema: '2.0'\nstages: {publish: {cmd: x}}\n"
    paths = tmp_path / "ours.lock", tmp_path / "plain.lock"
    for path in paths:
        path.write_text(text)
    return paths


def test_it_writes_what_dvc_writes(both):
    ours, plain = both
    kept = LockFile(ours)
    for step in range(4):
        with kept.modify() as data:
            changes(data, step)
        with modify_yaml(str(plain)) as data:
            changes(data, step)
        assert ours.read_bytes() == plain.read_bytes()


def test_stages_that_say_a_thing_twice_have_anchors_of_their_own(both):
    """As with YAML's anchors in params.yaml; numbered by the stage, two would be one, and DVC refuses such a file."""
    ours, plain = both
    kept = LockFile(ours)
    for step in range(4):
        for path in both:
            betas = [0.5, 0.9]
            stage = {"cmd": "x", "params": {"params.yaml": {"generator": betas, "discriminator": betas}}}
            with kept.modify() if path == ours else modify_yaml(str(path)) as data:
                data["stages"][f"twice{step}"] = stage if step else training(step)
        assert ours.read_bytes() == plain.read_bytes()
    assert ours.read_text().count(" &id") >= 3


def test_what_another_process_wrote_meanwhile_is_kept(both):
    ours, plain = both
    kept = LockFile(ours)
    for path in both:  # a first writing, so that something is kept
        with kept.modify() if path == ours else modify_yaml(str(path)) as data:
            changes(data, 0)
    for path in both:
        with modify_yaml(str(path)) as data:
            data["stages"]["by_another"] = training(7)
    for path in both:
        with kept.modify() if path == ours else modify_yaml(str(path)) as data:
            changes(data, 1)
    assert "by_another" in ours.read_text() and ours.read_bytes() == plain.read_bytes()


def test_a_change_that_fails_is_forgotten(both):
    ours, _plain = both
    kept = LockFile(ours)
    before = ours.read_bytes()
    with pytest.raises(RuntimeError), kept.modify() as data:
        changes(data, 0)
        raise RuntimeError("in the middle")
    assert ours.read_bytes() == before
    with kept.modify() as data:
        assert "train@new0" not in data["stages"]


def test_only_the_stage_that_changed_is_turned_into_text(tmp_path, monkeypatch):
    path = tmp_path / "dvc.lock"
    path.write_text(COMMITTED)
    kept = LockFile(path)
    with kept.modify() as data:
        changes(data, 0)
    parsed, written = [], []
    dumps = module.dumps_yaml
    monkeypatch.setattr(module, "parse_yaml_for_update", lambda *_: parsed.append(1))
    monkeypatch.setattr(
        module,
        "dumps_yaml",
        lambda data: written.append(list(data.get("stages", []))) or dumps(data),
    )
    with kept.modify() as data:
        changes(data, 0)
    assert parsed == [] and written == [[], ["train@gan"], ["train@new0"]]


@pytest.fixture
def parameters(tmp_path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text("a: {rate: 2e-4, betas: [0.5, 0.9]}\nb: &b [1]\nc: *b\nd: {}\ne: {f: null}\ng: []\n")
    return path


@pytest.mark.parametrize("flatten", [True, False])
@pytest.mark.parametrize(
    "keys", [None, ["a"], ["a.betas", "b", "c", "not.there"], ["a.betas.1", "a.b*", "a.rate.x", "d", "e.f", "g"]]
)
def test_parameters_are_what_dvc_reads(parameters, keys, flatten):
    kept = ParameterFiles()
    for text in (None, "a: {rate: 3, betas: []}\nb: no\nc: 1\n"):
        if text:
            parameters.write_text(text)
        wanted = read_param_file(LocalFileSystem(), str(parameters), keys, flatten=flatten)
        first = kept.read(LocalFileSystem(), str(parameters), keys, flatten=flatten)
        assert first == wanted
        if "a" in first:
            first["a"]["rate"] = "changed by the caller"
        assert kept.read(LocalFileSystem(), str(parameters), keys, flatten=flatten) == wanted


def test_parameters_are_parsed_once_for_all_stages_until_they_change(parameters, monkeypatch):
    kept, parsed, parse = ParameterFiles(), [], module.load_path
    monkeypatch.setattr(module, "load_path", lambda *given: parsed.append(given) or parse(*given))
    monkeypatch.setattr(module, "read_param_file", lambda *_: pytest.fail("read as DVC does"))
    for keys in (["a"], ["b", "c"], ["a.rate"]):
        kept.read(LocalFileSystem(), str(parameters), keys, flatten=True)
    assert len(parsed) == 1
    parameters.write_text("a: {rate: 1}\n")
    assert kept.read(LocalFileSystem(), str(parameters), ["a.rate", "b"], flatten=True) == {"a.rate": 1}
    assert len(parsed) == 2


def test_parameters_that_cannot_be_read_fail_as_in_dvc(parameters):
    kept = ParameterFiles()
    parameters.write_text("a: [")
    for read in (read_param_file, kept.read):
        with pytest.raises(YAMLFileCorruptedError):
            read(LocalFileSystem(), str(parameters), ["a"], flatten=True)
    parameters.unlink()
    for read in (read_param_file, kept.read):
        with pytest.raises(FileNotFoundError):
            read(LocalFileSystem(), str(parameters), ["a"], flatten=True)
