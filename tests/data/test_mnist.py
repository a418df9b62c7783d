"""Four files from a cache and a list of mirrors: the first good one wins, and failing says how to go on."""

import hashlib
import time

import pytest

from reprogan.data import mnist
from reprogan.errors import UserError

VARIABLE = mnist.MIRROR_VARIABLE


@pytest.fixture
def small(make_set):
    return make_set()


def test_fetches_all_four_once(serve, small, tmp_path):
    mirror = serve(small.files)
    for _ in range(2):
        files = mnist.fetch(small.idx_set([mirror.url]), "small", tmp_path, {})
        assert {path.name: path.read_bytes() for path in files} == small.files
    assert files.test_labels == tmp_path / "small" / "t10k-labels-idx1-ubyte.gz"
    assert mirror.requests == list(small.files)


def test_a_damaged_cached_file_is_replaced(serve, small, tmp_path, capsys):
    mirror = serve(small.files)
    name, content = next(iter(small.files.items()))
    small.write(tmp_path / "small")
    (tmp_path / "small" / name).write_bytes(content[:-1])
    mnist.fetch(small.idx_set([mirror.url]), "small", tmp_path, {})
    assert (tmp_path / "small" / name).read_bytes() == content
    assert mirror.requests == [name]
    assert "fetching it again" in capsys.readouterr().err


def test_the_environment_goes_first(serve, small, tmp_path):
    first, second = serve(small.files), serve(small.files)
    mnist.fetch(small.idx_set([second.url]), "small", tmp_path, {VARIABLE: first.url})
    assert len(first.requests) == 4 and second.requests == []


def test_a_folder_in_the_environment(small, tmp_path, nobody):
    folder = small.write(tmp_path / "mine")
    files = mnist.fetch(small.idx_set([nobody]), "small", tmp_path / "raw", {VARIABLE: str(folder)})
    assert files.train_images.read_bytes() == (folder / files.train_images.name).read_bytes()


@pytest.mark.parametrize("manner", ["404", "500", "page", "altered", "cut"])
def test_the_next_mirror_serves(serve, small, tmp_path, manner):
    bad, good = serve(small.files, everything=[manner] * 99), serve(small.files)
    files = mnist.fetch(small.idx_set([bad.url, good.url]), "small", tmp_path, {})
    assert {path.name: path.read_bytes() for path in files} == small.files


def test_a_mirror_that_is_down_is_not_asked_for_every_file(serve, small, tmp_path):
    down, good = serve(small.files, everything=["503"] * 99), serve(small.files)
    mnist.fetch(small.idx_set([down.url, good.url]), "small", tmp_path, {})
    assert down.requests == ["train-images-idx3-ubyte.gz"] * 3


def test_a_mirror_that_lacks_one_file_serves_the_others(serve, small, tmp_path):
    lacking, good = serve(small.files, train_labels=["404"]), serve(small.files)
    mnist.fetch(small.idx_set([lacking.url, good.url]), "small", tmp_path, {})
    assert good.requests == ["train-labels-idx1-ubyte.gz"] and len(lacking.requests) == 4


def test_failing_names_every_place_and_both_ways_out(serve, small, tmp_path, nobody):
    page = serve(small.files, everything=["page"])
    with pytest.raises(UserError) as refused:
        mnist.fetch(small.idx_set([nobody, page.url]), "small", tmp_path, {VARIABLE: "/no/folder"})
    message = str(refused.value)
    assert "\n" not in message and "sha256" not in message
    for part in (
        "small: nothing serves train-images-idx3-ubyte.gz",
        f"${VARIABLE} (/no/folder): No such file",
        f"{nobody}: Connection refused",
        f"{page.url}: a web page",
        f"set {VARIABLE} to a URL or folder that holds the four files",
        "`reprogan profile offline`",
    ):
        assert part in message
    assert [path for path in tmp_path.glob("**/*") if path.is_file()] == []


def test_a_wrong_hash_names_file_both_hashes_and_the_parameter(serve, small, make_set, tmp_path):
    another = serve(make_set(seed=1).files)
    chosen = small.idx_set([another.url])
    with pytest.raises(UserError) as refused:
        mnist.fetch(chosen, "small", tmp_path, {})
    message = str(refused.value)
    found = hashlib.sha256(another.files["train-images-idx3-ubyte.gz"]).hexdigest()
    assert f"sha256 {found[:12]}…, expected {chosen.files.train_images.sha256[:12]}…" in message
    assert "digits.sets.small.files.train_images.sha256 in params.yaml" in message and "\n" not in message
    assert list(tmp_path.glob("**/*.gz")) == []


def test_a_place_lost_for_one_file_is_named_for_the_next(serve, small, tmp_path):
    down = serve(small.files, everything=["503"] * 99)
    half = serve({name: content for name, content in small.files.items() if "images" in name})
    with pytest.raises(UserError, match=rf"train-labels.*{down.url}: HTTP 503.*{half.url}: HTTP 404"):
        mnist.fetch(small.idx_set([down.url, half.url]), "small", tmp_path, {})


def test_availability_of_every_place(serve, small, make_set, tmp_path, nobody):
    good, another = serve(small.files), serve(make_set(seed=1).files)
    page = serve(small.files, everything=["page"])
    folder = small.write(tmp_path / "mine")
    chosen = small.idx_set([nobody, another.url, page.url, good.url])
    found = mnist.availability(chosen, "small", tmp_path / "raw", {VARIABLE: str(folder)})
    assert [(place, ok) for place, ok, _ in found] == [
        (str(tmp_path / "raw" / "small"), False),
        (f"${VARIABLE} ({folder})", True),
        (nobody, False),
        (another.url, False),
        (page.url, False),
        (good.url, True),
    ]
    reasons = [reason for *_, reason in found]
    expected = ["No such file", "all four", "refused", "sha256", "web page", "serves"]
    for reason, said in zip(reasons, expected, strict=True):
        assert said in reason
    assert good.requests == ["t10k-labels-idx1-ubyte.gz"]


def test_availability_of_the_cache(small, tmp_path, nobody):
    raw = tmp_path / "raw"
    chosen = small.idx_set([nobody])
    small.write(raw / "small")
    assert mnist.availability(chosen, "small", raw, {})[0].ok
    path = raw / "small" / "train-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-1])
    cached = mnist.availability(chosen, "small", raw, {})[0]
    assert not cached.ok and "train-labels-idx1-ubyte.gz: sha256" in cached.reason


@pytest.mark.parametrize("manner", ["half", "drip"])
def test_availability_keeps_its_time(serve, small, tmp_path, manner):
    """Servers that fall silent in the middle, or never come to an end, do not add up."""
    silent = [serve(small.files, everything=[manner] * 9).url for _ in range(3)]
    started = time.monotonic()
    found = mnist.availability(small.idx_set(silent), "small", tmp_path, {}, seconds=0.5)
    assert time.monotonic() - started < 2
    assert [(place, ok) for place, ok, _ in found[1:]] == [(url, False) for url in silent]
    assert all("no answer within 0.5 s" in reason for *_, reason in found[1:])
