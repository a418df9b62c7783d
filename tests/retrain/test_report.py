"""retrain.md, of changes that are made up."""

from pathlib import Path

from markdown_it import MarkdownIt

from reprogan.comparison import Side, compare
from reprogan.retrain.changes import Change
from reprogan.retrain.report import Outcome, Ran, write_report
from reprogan.retrain.stale import Stale, different
from reprogan.tracking.decisions import Decision, Model

NOTHING = Stale({}, (), (), (), ())


def side(label: str, values: list[float]) -> Side:
    scores = {"frechet_distance": sum(values) / len(values), "sets": {"frechet_distance": values}}
    return Side(label, "gan", {"variants": {"gan": {}}}, scores)


def change(variant: str = "gan", **others: object) -> Change:
    known = {
        "parameters": {"variants.gan.training.images": (100, 200)},
        "code": ("src/reprogan/models/fully_connected.py",),
        "data": (),
        "outs": {"models/gan": ("a" * 32, "b" * 32)},
        "comparison": compare(side("before", [12.0, 12.1, 11.9]), side("after", [9.0, 9.1, 8.9])),
        "why_not": "",
        "grids": (b"before", b"after"),
    }
    return Change(variant, **(known | others))


def decision(variant: str, outcome: str) -> Decision:
    return Decision(variant, outcome, "2026-01-01T00:00:00+00:00", "a|b", Model(2, "c" * 64, None), None, {})


def test_before_and_after(tmp_path: Path) -> None:
    outcome = Outcome("d" * 40, "on a CPU, 2 cores", NOTHING, changes=[change()])
    outcome.decisions = {
        "gan": decision("gan", "promoted"),
        "vae": decision("vae", "held"),
        "dcgan": "not decided: busy",
    }
    outcome.ran = [Ran("train@gan", False, 90.0), Ran("sample@gan", False, 6.0), Ran("check", True, 1.0)]
    (tmp_path / "retrain").mkdir()
    (tmp_path / "retrain/of an earlier one.png").touch()
    text = write_report(outcome, tmp_path).read_text()
    assert text.startswith("# Retrain: gan (promoted)\n\nAgainst commit `dddddddddddd`, on a CPU, 2 cores.\n")
    assert "| gan | Fréchet distance | 12 ± 0.25 | 9 ± 0.25 | better | promoted | 1.6 min |" in text
    assert "- `variants.gan.training.images` 100 → 200\n- code `src/reprogan/models/fully_connected.py`" in text
    assert "Samples of the same latents." in text
    assert f"| `models/gan` | `{'a' * 32}` | `{'b' * 32}` |" in text
    assert "- vae: 2026-01-01T00:00:00+00:00: version 2 (cccccccc) held; a|b\n- dcgan: not decided: busy" in text
    assert "1.6 minutes: 2 stages ran, 1 were restored" in text and "| `train@gan` | 90.0 |" in text
    assert {path.name: path.read_bytes() for path in (tmp_path / "retrain").iterdir()} == {
        "gan-before.png": b"before", "gan-after.png": b"after",
    }  # fmt: skip
    page = MarkdownIt("commonmark").enable("table").render(text)
    assert page.count("<table>") == 5 and '<img src="retrain/gan-after.png"' in page


def test_what_cannot_be_compared_says_why(tmp_path: Path) -> None:
    new = change(comparison=None, why_not="no scores before", grids=(None, b"after"))
    text = write_report(Outcome("d" * 40, "here", NOTHING, changes=[new]), tmp_path).read_text()
    assert "Not compared: no scores before." in text and "| – | ![gan after](retrain/gan-after.png) |" in text
    other = change(parameters={"variants.gan.network.latent_size": (64, 128)})
    text = write_report(Outcome("d" * 40, "here", NOTHING, changes=[other]), tmp_path).read_text()
    assert "Samples of other latents: `variants.gan.network.latent_size` changed." in text


def test_nothing_changed_and_a_dry_run(tmp_path: Path) -> None:
    text = write_report(Outcome("d" * 40, "here", NOTHING, notes=["not published: down"]), tmp_path).read_text()
    assert text.startswith("# Retrain: nothing changed") and "> **not published: down**" in text
    assert "No stage ran." in text and not (tmp_path / "retrain").exists()
    stale = Stale({"train@gan": ("variants.gan.training.images 1 → 2",)}, ("sample@gan",), (), (), ("gan",))
    text = write_report(Outcome("d" * 40, "here", stale, dry=True), tmp_path).read_text()
    assert "- `train@gan`: variants.gan.training.images 1 → 2" in text and "## Cost" not in text


def test_differences_are_found_at_any_depth() -> None:
    before = {"a": {"b": 1, "c": [1, 2]}, "d": True}
    now = {"a": {"b": 2, "c": [1, 2], "e": None}, "d": 1}
    assert different(before, now, "") == {"a.b": (1, 2), "d": (True, 1)}
    assert different(None, {"x": 1}, "launch") == {"launch": (None, {"x": 1})}
