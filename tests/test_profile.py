"""Profiles: merged into params.yaml, whose comments stay; twice is once; a mistake changes nothing."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from reprogan.check import check_blocks
from reprogan.config import load
from reprogan.errors import UserError
from reprogan.profile import apply_profile, set_values

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
    if name == "laptop":
        apply_profile("smoke", root)
    changes = apply_profile(name, root)
    assert changes
    assert [line.strip() for line in comments(root)] == [line.strip() for line in before]
    check_blocks(load(root / "params.yaml"))
    once = (root / "params.yaml").read_bytes()
    assert apply_profile(name, root) == []
    assert (root / "params.yaml").read_bytes() == once


def test_laptop_goes_back_to_the_defaults(root):
    """Where params.yaml has been changed by a later commit than the defaults, it need not be these."""
    last = {
        file: subprocess.run(
            ["git", "log", "-1", "--format=%H", "--", file], cwd=REPOSITORY, capture_output=True, text=True, check=True
        ).stdout
        for file in ("params.yaml", "profiles/laptop.yaml")
    }
    if last["params.yaml"] != last["profiles/laptop.yaml"]:
        pytest.skip("params.yaml was committed after profiles/laptop.yaml: it has parameters of its own")
    before = load(root / "params.yaml")
    for name in ("paper", "smoke", "offline"):
        assert apply_profile(name, root)
    apply_profile("laptop", root)
    assert load(root / "params.yaml") == before


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


# ---- single keys ----------------------------------------------------------------------------------------------------


def test_keys_are_set_and_comments_stay(root):
    before, lines = comments(root), (root / "params.yaml").read_text().splitlines()
    changes = set_values(["faces.source=/tmp/my pictures", "faces.limit=100", "digits.source=embedded"], root)
    assert changes == [
        "faces.source: src/reprogan/data/toyfaces -> /tmp/my pictures",
        "faces.limit: None -> 100",
        "digits.source: mnist -> embedded",
    ]
    assert [line.strip() for line in comments(root)] == [line.strip() for line in before]
    after = (root / "params.yaml").read_text().splitlines()
    assert sum(a != b for a, b in zip(after, lines, strict=True)) == 3
    params = load(root / "params.yaml")
    assert (params.faces.source, params.faces.limit) == ("/tmp/my pictures", 100)
    assert set_values(["faces.limit=null"], root) == ["faces.limit: 100 -> None"]


@pytest.mark.parametrize("path", ["/tmp/my pictures #1", "/tmp/a: b", "/tmp/[x]", "/tmp/'y'", "12"])
def test_text_is_taken_as_it_stands(root, path):
    set_values([f"faces.source={path}"], root)
    assert load(root / "params.yaml").faces.source == path


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("faces.source", "'faces.source': expected KEY=VALUE, as in faces.source=/home/me/pictures"),
        ("=3", "'=3': expected KEY=VALUE"),
        ("faces..limit=3", "'faces..limit=3': expected KEY=VALUE"),
        ("faces.sauce=x", "faces.sauce: no such key in params.yaml; expected one of source, size, group"),
        ("variants.gna.training.images=5", "variants.gna.training.images: no such key in params.yaml; expected one of"),
        ("variants.gan.network.hiden=5", "variants.gan.network.hiden: no such key in params.yaml; expected one of"),
        ("variants=5", "variants: found 5"),
        ("faces.limit.much=5", "faces.limit.much: no such key in params.yaml; expected one of no key below a value"),
        ("faces.limit=many", "faces.limit: found 'many'; input should be a valid integer"),
        ("faces.limit=[", "faces.limit: found '['; expected a value in YAML"),
        ("faces=3", "faces: found 3"),
    ],
)
def test_a_key_that_cannot_be_set_changes_nothing(root, assignment, says):
    before = (root / "params.yaml").read_bytes()
    with pytest.raises(UserError) as error:
        set_values(["digits.source=embedded", assignment], root)
    assert says in str(error.value) and "\n" not in str(error.value)
    assert (root / "params.yaml").read_bytes() == before
