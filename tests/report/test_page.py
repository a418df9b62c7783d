"""The page: a pure function of its inputs, complete, escaped, self-contained."""

import json
import re
import runpy
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from reprogan.config import Parameters, load
from reprogan.report import page as page_module
from reprogan.report.page import write_report


class Page(HTMLParser):
    """The elements of a page, and its text without style sheets."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in ("meta", "link", "img", "br", "use"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag  # well formed

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += " ".join(data.split()) + " "


@pytest.fixture
def no_charts(root: Path) -> Path:
    """The same repository without histories: drawing them is what takes time."""
    for history in root.glob("models/*/history.csv"):
        history.unlink()
    return root


def page_of(params: Parameters, root: Path) -> str:
    return write_report(params, root).read_text()


def league(html: str) -> list[str]:
    """The variants of the first table, in its order."""
    table = html[html.index("<table>") : html.index("</table>")]
    return re.findall(r'<a href="#(\w+)">', table)


def write(root: Path, name: str, **changes: Any) -> None:
    path = root / "scores" / name / "scores.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def write_scores(path: Path, values: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


def test_the_same_bytes_twice_and_in_another_folder(params: Parameters, root: Path, tmp_path_factory: Any) -> None:
    first = write_report(params, root)
    content = first.read_bytes()
    assert write_report(params, root).read_bytes() == content
    other = tmp_path_factory.mktemp("other") / "deeper"
    shutil.copytree(root, other)
    assert write_report(params, other).read_bytes() == content
    assert first == root / "report/index.html"
    assert str(root).encode() not in content


def test_a_row_a_variant(params: Parameters, root: Path) -> None:
    page = Page(page_of(params, root))
    assert [a["id"] for tag, a in page.elements if tag == "article"] == [
        "dcgan",
        "gan",
        "digit_features",
        "cnn_classifier",
    ]
    assert not page.open
    for shown in (
        "61.08", "243.7", "± 1.5", "real 2.36", "81.2 %", "± 1.2", "9.79", "99.34 %", "5ca1ab1e5ca1",
        "b0a710adb0a7", "mnist",
        "10,000 generated against 10,000 held-out", "25,856", "1,800,000", "objective.discriminator.learning_rate",
    ):  # fmt: skip
        assert shown in page.text, shown
    assert sum(tag == "img" for tag, _ in page.elements) == 5
    assert sum(tag == "svg" for tag, _ in page.elements) == 6


def test_best_first(params: Parameters, no_charts: Path) -> None:
    assert league(page_of(params, no_charts)) == ["dcgan", "gan"]
    write(no_charts, "gan", frechet_distance=9.5)
    assert league(page_of(params, no_charts)) == ["gan", "dcgan"]


@pytest.mark.parametrize(
    "change", [{"data": "fashion"}, {"extractor_sha256": "a" * 64}, {"n_fake": 500}, {"n_real": 500}]
)
def test_only_what_compares_shares_a_table(params: Parameters, no_charts: Path, change: dict[str, Any]) -> None:
    write(no_charts, "gan", **change)
    assert len(league(page_of(params, no_charts))) == 1


def test_few_images_are_said(params: Parameters, no_charts: Path) -> None:
    assert "Few images" not in page_of(params, no_charts)
    write(no_charts, "gan", n_real=360)
    assert "Few images for 128 feature dimensions" in page_of(params, no_charts)


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("scores/gan", "dvc repro evaluate@gan"),
        ("scores/digit_features", "dvc repro evaluate@digit_features"),
        ("samples/gan", "dvc repro sample@gan"),
        ("models/gan/history.csv", "No training history yet"),
        ("models/gan", "dvc repro train@gan"),
    ],
)
def test_what_is_missing_is_said(params: Parameters, no_charts: Path, gone: str, said: str) -> None:
    path = no_charts / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    html = page_of(params, no_charts)
    Page(html)
    assert said in html


def test_faces_have_a_table_of_their_own_and_their_extractor_a_row(params: Parameters, no_charts: Path) -> None:
    """With attributes, and without: then there is no accuracy, and no share of anything."""
    faces = load(Path(__file__).parents[2] / "params.yaml").variants
    shown = params.model_copy(
        update={"variants": params.variants | {name: faces[name] for name in ("face_features", "progan")}}
    )
    with_attributes = {"attribute_distance": 0.31, "attribute_shares": {}}
    told = {"accuracy": 0.884, "per_attribute_accuracy": {"mouth": 0.9, "hat": 0.97}, "n_real": 1599}
    restored = {"reconstruction_error": 0.0123, "n_real": 500}
    for scores, more, said in (
        (told, with_attributes, ["Attributes apart", "31.0 %", "Errors by attribute", "88.40 %"]),
        (restored, {}, ["Reconstruction error", "0.0123"]),
    ):
        own = json.loads((no_charts / "scores/gan/scores.json").read_text())
        own = {key: value for key, value in own.items() if not key.startswith(("inception", "class"))} | more
        own |= {"data": "faces", "extractor": "face_features", "n_real": 1599, "n_fake": 2000}
        write_scores(no_charts / "scores/progan/scores.json", own)
        described = scores | {"data": "faces", "weights_sha256": "b0a710ad" * 8}
        write_scores(no_charts / "scores/face_features/scores.json", described)
        html = page_of(shown, no_charts)
        Page(html)
        for text in said:
            assert text in html.replace("\xa0", " "), text
        assert ("Attributes" in html) == bool(more)


def test_nothing_yet(params: Parameters, tmp_path: Path) -> None:
    page = Page(page_of(params, tmp_path))
    assert sum(tag == "article" for tag, _ in page.elements) == len(params.variants)
    assert "no scores yet" in page.text


def test_everything_is_escaped(params: Parameters, root: Path) -> None:
    evil = '<script>alert("x")</script>'
    write(root, "gan", class_shares={evil: 0.5, "b": 0.5}, data=evil, extractor=evil, extractor_sha256='"><b>')
    write(root, "digit_features", per_class_accuracy={evil: 0.5}, weights_sha256='"><b>')
    model = root / "models/gan/model.json"
    model.write_text(json.dumps(json.loads(model.read_text()) | {"data": evil}))
    history = root / "models/gan/history.csv"
    history.write_text(history.read_text().replace("generator_loss", "<script>_loss"))
    gan = params.variant("gan")
    hostile = gan.model_copy(update={"architecture": evil, "objective": {evil: evil}})
    html = page_of(params.model_copy(update={"variants": params.variants | {"gan": hostile}, "profile": evil}), root)
    page = Page(html)
    assert not [tag for tag, _ in page.elements if tag == "script"]
    assert "<script" not in html
    assert '"><b>' not in html
    assert html.count("&lt;script&gt;") >= 8


def test_nothing_is_loaded_from_elsewhere(params: Parameters, root: Path) -> None:
    html = page_of(params, root)
    for tag, attributes in Page(html).elements:
        for key in ("src", "href", "xlink:href", "srcset", "action", "poster", "data"):
            if value := attributes.get(key):
                assert value.startswith(("data:", "#")), (tag, key, value)
        assert tag not in ("script", "iframe", "object", "embed", "base")
    assert not re.search(r"https?://|@import|url\((?!#)", html)


def test_no_clock_in_the_page(params: Parameters, no_charts: Path) -> None:
    """No date and no time of day (parameters and scores hold none)."""
    assert not re.search(r"\b20[2-9]\d-\d\d|\b\d\d:\d\d\b", Page(page_of(params, no_charts)).text)


def test_ids_are_anchors_once(params: Parameters, no_charts: Path) -> None:
    """Every link leads somewhere; an article's id stands once."""
    elements = Page(page_of(params, no_charts)).elements
    ids = [attributes["id"] for _, attributes in elements if attributes.get("id")]
    for tag, attributes in elements:
        if tag == "a":
            assert ids.count(str(attributes["href"]).removeprefix("#")) == 1


def test_the_template_is_beside_the_module() -> None:
    assert page_module.TEMPLATE.is_file() and page_module.TEMPLATE.parent == Path(page_module.__file__).parent


def test_the_stage(params: Parameters, no_charts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(no_charts)
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "stages"))
    runpy.run_path(str(Path(__file__).parents[2] / "stages/report.py"))["report"](params, [])
    assert "dcgan" in (no_charts / "report/index.html").read_text()
