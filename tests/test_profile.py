"""Profiles: merged into params.yaml, whose comments stay; twice is once; a mistake changes nothing."""

import re
import shutil
from pathlib import Path

import pytest

from reprogan.check import check_blocks
from reprogan.config import load
from reprogan.errors import UserError
from reprogan.profile import apply_profile

REPOSITORY = Path(__file__).parents[1]
PROFILES = sorted(path.stem for path in (REPOSITORY / "profiles").glob("*.yaml"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with params.yaml and the profiles."""
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    shutil.copytree(REPOSITORY / "profiles", tmp_path / "profiles")
    return tmp_path


def comments(root: Path) -> list[str]:
    return re.findall(r"(?:^|\s)#.*", (root / "params.yaml").read_text())


def test_the_profiles_that_are_promised():
    assert {"smoke", "paper", "offline"} <= set(PROFILES)


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_is_merged_keeps_comments_and_is_idempotent(root, name):
    before = comments(root)
    changes = apply_profile(name, root)
    assert changes
    assert [line.strip() for line in comments(root)] == [line.strip() for line in before]
    check_blocks(load(root / "params.yaml"))
    once = (root / "params.yaml").read_bytes()
    assert apply_profile(name, root) == []
    assert (root / "params.yaml").read_bytes() == once


def test_only_the_lines_that_change_change(root):
    before = (root / "params.yaml").read_text().splitlines()
    changes = apply_profile("offline", root)
    after = (root / "params.yaml").read_text().splitlines()
    assert len(after) == len(before)
    assert sum(a != b for a, b in zip(after, before, strict=True)) == len(changes)
    assert "digits.source: mnist -> embedded" in changes


def test_smoke_shortens_every_variant(root):
    before = load(root / "params.yaml")
    apply_profile("smoke", root)
    after = load(root / "params.yaml")
    assert after.profile == "smoke" and after.compute.threads == 1
    for name, variant in after.variants.items():
        assert variant.training.images < before.variants[name].training.images


def test_variants_that_are_not_there_are_left_out(root):
    (root / "profiles/more.yaml").write_text(
        "variants: {gan: {sampling: {count: 123}}, stylegan: {sampling: {count: 123}}}\n"
    )
    changes = apply_profile("more", root)
    assert len(changes) == 1
    params = load(root / "params.yaml")
    assert params.variants["gan"].sampling.count == 123 and "stylegan" not in params.variants


@pytest.mark.parametrize(
    "content, says",
    [
        ("compute: {threads: none}\n", "compute.threads: found 'none'"),
        ("compute: {cores: 2}\n", "compute.cores: unknown key"),
        ("compute: [\n", "not YAML"),
        ("compute: 3\n", "compute: found 3"),
        ("", "profiles/bad.yaml"),
        ("- a list\n", "profiles/bad.yaml"),
    ],
)
def test_a_profile_with_a_mistake_changes_nothing(root, content, says):
    before = (root / "params.yaml").read_bytes()
    (root / "profiles/bad.yaml").write_text(content)
    with pytest.raises(UserError) as error:
        apply_profile("bad", root)
    assert "profiles/bad.yaml" in str(error.value) and says in str(error.value) and "\n" not in str(error.value)
    assert (root / "params.yaml").read_bytes() == before
    assert [path.name for path in root.glob(".*")] == []


def test_an_unknown_profile_names_those_there_are(root):
    with pytest.raises(
        UserError, match=rf"profiles/smok.yaml: no such profile; expected one of {', '.join(PROFILES)}$"
    ):
        apply_profile("smok", root)
