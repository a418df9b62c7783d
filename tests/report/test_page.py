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
from reprogan.errors import UserError
from reprogan.report.libraries import read_libraries
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
        if tag not in ("meta", "link", "img", "br", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag  # well formed

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += " ".join(data.split()) + " "


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
        "61.08", "243.7", "240 to 247", "real 2.36", "81.2 %", "78.1 to 84.4 %", "9.79", "99.34 %", "5ca1ab1e5ca1",
        "b0a710adb0a7", "mnist",
        "10,000 generated against 10,000 held-out", "25,856", "25.9 k", "1,800,000",
        "objective.discriminator.learning_rate", "−log D(x) − log(1 − D(G(z)))", "Not in this page",
        "generator from ",
    ):  # fmt: skip
        assert shown in page.text, shown
    assert sum(tag == "img" and "src" in a for tag, a in page.elements) == 5  # those beside names are a script's


def test_best_first(params: Parameters, root: Path) -> None:
    assert league(page_of(params, root)) == ["dcgan", "gan"]
    write(root, "gan", frechet_distance=9.5)
    assert league(page_of(params, root)) == ["gan", "dcgan"]


@pytest.mark.parametrize(
    "change", [{"data": "fashion"}, {"extractor_sha256": "a" * 64}, {"n_fake": 500}, {"n_real": 500}]
)
def test_only_what_compares_shares_a_table(params: Parameters, root: Path, change: dict[str, Any]) -> None:
    write(root, "gan", **change)
    assert len(league(page_of(params, root))) == 1


def test_few_images_are_said(params: Parameters, root: Path) -> None:
    assert "Few images" not in page_of(params, root)
    write(root, "gan", n_real=360)
    assert "Few images for 128 feature dimensions" in page_of(params, root)


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
def test_what_is_missing_is_said(params: Parameters, root: Path, gone: str, said: str) -> None:
    path = root / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    html = page_of(params, root)
    Page(html)
    assert said in html


def test_faces_have_a_table_of_their_own_and_their_extractor_a_row(params: Parameters, root: Path) -> None:
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
        own = json.loads((root / "scores/gan/scores.json").read_text())
        own = {key: value for key, value in own.items() if not key.startswith(("inception", "class"))} | more
        own |= {"data": "faces", "extractor": "face_features", "n_real": 1599, "n_fake": 2000}
        write_scores(root / "scores/progan/scores.json", own)
        described = scores | {"data": "faces", "weights_sha256": "b0a710ad" * 8}
        write_scores(root / "scores/face_features/scores.json", described)
        html = page_of(shown, root)
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
    assert html.count("<script") == page_of(params, root).count("<script")
    assert "<script>alert" not in html and "<script>_loss" not in html
    Page(html)
    assert '"><b>' not in html
    assert html.count("&lt;script&gt;") >= 8


def test_nothing_is_loaded_from_elsewhere(params: Parameters, root: Path) -> None:
    html = page_of(params, root)
    for tag, attributes in Page(html).elements:
        for key in ("src", "href", "xlink:href", "srcset", "action", "poster", "data"):
            if value := attributes.get(key):
                assert value.startswith(("data:", "#", "../docs/variants.md#")), (tag, key, value)
        assert tag not in ("iframe", "object", "embed", "base")
    assert not re.search(r"https?://|@import|url\((?!#|data:)", html)


def test_no_clock_in_the_page(params: Parameters, root: Path) -> None:
    """No date and no time of day (parameters and scores hold none)."""
    assert not re.search(r"\b20[2-9]\d-\d\d|\b\d\d:\d\d\b", Page(page_of(params, root)).text)


def test_ids_are_anchors_once(params: Parameters, root: Path) -> None:
    """Every link leads somewhere; an article's id stands once."""
    elements = Page(page_of(params, root)).elements
    ids = [attributes["id"] for _, attributes in elements if attributes.get("id")]
    for tag, attributes in elements:
        if tag == "a":
            assert ids.count(str(attributes["href"]).rpartition("#")[2]) == 1


def test_best_in_bold_unless_all_are_alike(params: Parameters, root: Path) -> None:
    table = page_of(params, root).partition("<tbody>")[2].partition("</tbody>")[0]
    assert re.findall("<strong>(.*?)</strong>", table) == ["61.08"]  # of the rest the two have the same


def test_of_several_training_seeds_the_mean_is_shown(params: Parameters, root: Path) -> None:
    write(root, "gan", training={"seeds": [1, 2, 3], "frechet_distance": [40.0, 50.0, 60.0]})
    html = page_of(params, root)
    assert 'data-value="50.0"' in html and "<strong>50</strong>" in html and "25.2 to 74.8" in html
    assert "<strong>61.08</strong>" not in html and league(html) == ["gan", "dcgan"]


def test_what_differs_from_the_profile_is_marked(params: Parameters, root: Path) -> None:
    (root / "profiles").mkdir()
    (root / "profiles/laptop.yaml").write_text("variants: {gan: {training: {images: 77, batch_size: 64}}}\n")
    html = page_of(params, root)
    assert html.count("<mark>") == 2
    assert "<mark>1 changed since the profile laptop</mark>" in html and "<mark>profile: 77</mark>" in html


def test_the_docs_that_are_linked_are_there(params: Parameters) -> None:
    sections = re.findall(r"^## (\w+)$", (Path(__file__).parents[2] / "docs/variants.md").read_text(), re.MULTILINE)
    assert {*load(Path(__file__).parents[2] / "params.yaml").variants} <= {*sections}


def test_libraries_that_are_not_there_are_one_line(bundled: Parameters, root: Path, tmp_path: Path) -> None:
    for found, said in ((None, "uplot 1.6.32: not in"), ("1.0.0", "is 1.0.0, not 1.6.32")):
        if found:
            (tmp_path / "modules/uplot").mkdir(parents=True)
            (tmp_path / "modules/uplot/package.json").write_text(json.dumps({"version": found}))
        with pytest.raises(UserError, match=said) as caught:
            read_libraries(root, tmp_path / "modules")
        assert "make setup" in str(caught.value) and "\n" not in str(caught.value)


def test_the_same_bytes_twice_with_libraries(bundled: Parameters, root: Path) -> None:
    first = write_report(bundled, root).read_bytes()
    assert write_report(bundled, root).read_bytes() == first
    assert str(root).encode() not in first


def test_the_stage(params: Parameters, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "stages"))
    runpy.run_path(str(Path(__file__).parents[2] / "stages/report.py"))["report"](params, [])
    assert "dcgan" in (root / "report/index.html").read_text()
