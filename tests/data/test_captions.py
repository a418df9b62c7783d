"""Captions beside their pictures: those that toy faces carry, or the user's own table, whole or not at all."""

import hashlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from reprogan.config import TOY_FACES, Captions, Columns, ToyFaces, load
from reprogan.data import hdf5
from reprogan.data.captions import prepare
from reprogan.data.faces.prepare import prepare as prepare_faces
from reprogan.data.faces.prepare import split_of
from reprogan.data.text import words_of
from reprogan.data.toyfaces.attributes import caption, draw_attributes
from reprogan.errors import UserError

SIZE = 16
KEYS = [f"{index}.png" for index in range(24)]
TEXTS = {key: f"picture number {index} of {'many' if index % 2 else 'a few'}" for index, key in enumerate(KEYS)}
FACES = load(Path(__file__).parents[2] / "params.yaml").faces


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty prepared toy faces."""
    out = tmp_path_factory.mktemp("drawn") / "faces.h5"
    prepare_faces(FACES.model_copy(update={"source": TOY_FACES, "toyfaces": ToyFaces(seed=3, count=60)}), out)
    return out


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prepared pictures KEYS, each of one colour: its number and 9."""
    place = tmp_path_factory.mktemp("pictures")
    (place / "mine").mkdir()
    for index, key in enumerate(KEYS):
        Image.new("RGB", (SIZE, SIZE), (index, 9, 9)).save(place / "mine" / key)
    prepare_faces(FACES.model_copy(update={"source": str(place / "mine"), "size": SIZE}), place / "faces.h5")
    return place / "faces.h5"


def block(table: Path, **changes: object) -> Captions:
    columns = Columns(file="file", caption="caption")
    settings = {"columns": columns, "without": "error", "least": 1, "train": None, "test": None}
    return Captions(table=str(table), **{**settings, **changes})


def written(place: Path, texts: dict[str, str], header: str = "file,caption") -> Path:
    """A CSV file of these captions."""
    place.write_text("".join(f"{line}\n" for line in [header, *(f'{key},"{text}"' for key, text in texts.items())]))
    return place


def rows(out: Path) -> dict[str, tuple[str, np.ndarray, list[int]]]:
    """{key: caption, image, tokens} of both splits of the file prepared."""
    found = {}
    with h5py.File(out) as file:
        for group in (file[split] for split in hdf5.SPLITS):
            columns = group["keys"].asstr(), group["captions"].asstr(), group["images"], group["tokens"]
            for key, text, image, tokens in zip(*(column[()] for column in columns), strict=True):
                found[key] = (text, image, tokens.tolist())
    return found


def keys_of(out: Path) -> dict[str, list[str]]:
    return {split: hdf5.read_strings(out, split, "keys") for split in hdf5.SPLITS}


def refusal(captions: Captions, prepared: Path, out: Path) -> str:
    with pytest.raises(UserError) as caught:
        prepare(captions, prepared, out)
    assert "\n" not in str(caught.value) and captions.table in str(caught.value)
    assert not list(out.parent.glob(f"*{out.name}*")), "something was left behind"
    return str(caught.value)


# ---- what comes out -----------------------------------------------------------------------------------------------


def test_toy_faces_bring_their_own(drawn, tmp_path):
    out = tmp_path / "captions.h5"
    description, left_out = prepare(block(drawn), drawn, out)
    assert left_out == [] and description.counts == hdf5.describe(drawn).counts
    assert (description.name, description.attributes) == ("toy faces", hdf5.describe(drawn).attributes)
    found = rows(out)
    assert set(found) == {str(index) for index in range(60)}
    for key, (text, _, tokens) in found.items():
        assert text == caption(draw_attributes(3, int(key)), 3, int(key))[0]
        # Of held-out captions, words that no training caption has are left out.
        known = [word for word in words_of(text) if word in description.vocabulary]
        assert [description.vocabulary[token - 1] for token in tokens if token] == known
        assert not any(tokens[len(known) :])
    assert str(description).endswith(f"captions of {len(description.vocabulary)} words")


def test_what_stands_beside_an_image_goes_with_it(drawn, tmp_path):
    out = tmp_path / "captions.h5"
    prepare(block(drawn, train=7, test=5), drawn, out)
    for split in hdf5.SPLITS:
        before, after = hdf5.read(drawn, split), hdf5.read(out, split)
        where = [hdf5.read_strings(drawn, split, "keys").index(key) for key in keys_of(out)[split]]
        for name in ("images", "attributes", "named"):
            assert np.array_equal(getattr(after, name), getattr(before, name)[where]), name


def test_a_table_takes_the_place_of_what_toy_faces_say(drawn, tmp_path):
    out, table = tmp_path / "captions.h5", written(tmp_path / "mine.csv", {str(key): "blue thing" for key in range(60)})
    description, _ = prepare(block(table), drawn, out)
    assert {text for text, _, _ in rows(out).values()} == {"blue thing"}
    assert hdf5.read(out, "test").named is None  # which attributes the other captions named
    digest = hashlib.sha256(Path(table).read_bytes()).hexdigest()
    assert description.sources == hdf5.describe(drawn).sources | {"mine.csv": digest}


def test_captions_of_unknown_words_alone_are_said(pictures, tmp_path, capsys):
    texts = {key: "singular" if index == 0 else "a cat" for index, key in enumerate(KEYS)}
    out = tmp_path / "captions.h5"
    prepare(block(written(tmp_path / "mine.csv", texts), least=2), pictures, out)
    (split,) = (split for split, keys in keys_of(out).items() if KEYS[0] in keys)
    assert not any(rows(out)[KEYS[0]][2])
    said = capsys.readouterr().err
    assert f"mine.csv: {split}: captions read as empty, for none of their words occurs 2 times" in said
    assert said.endswith("in the training captions: 'singular'\n")


def test_a_folder_of_pictures_and_a_table(pictures, tmp_path):
    out = tmp_path / "captions.h5"
    table = written(tmp_path / "mine.csv", dict(reversed(TEXTS.items())))
    description, left_out = prepare(block(table), pictures, out)
    assert left_out == [] and sum(description.counts.values()) == len(KEYS)
    found = rows(out)
    for index, key in enumerate(KEYS):
        text, image, tokens = found[key]
        assert text == TEXTS[key] and image.shape == (3, SIZE, SIZE) and (image[0] == index).all()
        assert [description.vocabulary[token - 1] for token in tokens if token] == [
            word for word in words_of(text) if word in description.vocabulary
        ]
    for split, keys in keys_of(out).items():
        assert keys and all(split_of(key, FACES.test_share) == split for key in keys)


def test_a_table_beside_pictures_that_lie_in_one_folder(tmp_path):
    (tmp_path / "mine/cats/small").mkdir(parents=True)
    for index, key in enumerate(KEYS):
        Image.new("RGB", (SIZE, SIZE), (index, 9, 9)).save(tmp_path / "mine/cats/small" / key)
    prepare_faces(FACES.model_copy(update={"source": str(tmp_path / "mine"), "size": SIZE}), tmp_path / "faces.h5")
    table = written(tmp_path / "table.csv", TEXTS)
    prepare(block(table), tmp_path / "faces.h5", tmp_path / "captions.h5")
    assert {key: text for key, (text, _, _) in rows(tmp_path / "captions.h5").items()} == {
        f"cats/small/{key}": text for key, text in TEXTS.items()
    }
    lone = written(tmp_path / "lone.csv", {"cats/small/0.png": "a cat", "1.png": "another"})
    assert "captions of 1.png" in refusal(block(lone), tmp_path / "faces.h5", tmp_path / "other.h5")


def test_the_vocabulary_is_that_of_the_training_captions(pictures, tmp_path):
    held_out = [key for key in KEYS if split_of(key, FACES.test_share) == "test"]
    trained = [key for key in KEYS if key not in held_out]
    texts = dict.fromkeys(trained, "seen") | dict.fromkeys(held_out, "seen unseen")
    texts[trained[0]], texts[trained[1]] = "seen rare often", "often seen"
    table = written(tmp_path / "mine.csv", texts)
    for least, words in ((1, ("often", "rare", "seen")), (2, ("often", "seen")), (3, ("seen",))):
        out = tmp_path / f"{least}.h5"
        description, _ = prepare(block(table, least=least), pictures, out)
        assert description.vocabulary == words
        found = rows(out)
        seen = words.index("seen") + 1
        assert all([token for token in found[key][2] if token] == [seen] for key in held_out)
        assert found[held_out[0]][0] == "seen unseen"  # the sentence stays whole


def test_columns_order_quotes_and_byte_order_mark_are_the_tables_own(pictures, tmp_path):
    lines = [f'{key},"{text}, ""so"" to say", {index},x' for index, (key, text) in enumerate(TEXTS.items())]
    (tmp_path / "mine.csv").write_bytes("\r\n".join(["name,what is seen,number,note", *lines]).encode("utf-8-sig"))
    columns = Columns(file="name", caption="what is seen")
    prepare(block(tmp_path / "mine.csv", columns=columns), pictures, tmp_path / "captions.h5")
    found = rows(tmp_path / "captions.h5")
    assert {key: text for key, (text, *_) in found.items()} == {
        key: f'{text}, "so" to say' for key, text in TEXTS.items()
    }


def test_captions_in_any_script_come_through(pictures, tmp_path):
    table = written(tmp_path / "mine.csv", {key: f"улыбка 微笑 {index}" for index, key in enumerate(KEYS)})
    description, _ = prepare(block(table, least=2), pictures, tmp_path / "captions.h5")
    assert description.vocabulary == ("улыбка", "微笑")
    assert rows(tmp_path / "captions.h5")["7.png"][0] == "улыбка 微笑 7"


def test_a_limit_takes_a_fair_part_in_the_order_of_hashes(drawn, tmp_path):
    whole, part = tmp_path / "whole.h5", tmp_path / "part.h5"
    prepare(block(drawn), drawn, whole)
    prepare(block(drawn, train=20, test=6), drawn, part)
    for split, count in (("train", 20), ("test", 6)):
        keys, chosen, before = keys_of(whole)[split], keys_of(part)[split], hdf5.read_strings(drawn, split, "keys")
        by_hash = sorted(
            range(len(before)), key=lambda row: hashlib.blake2b(f"captions {split}/{row}".encode()).digest()
        )
        assert keys == [before[row] for row in by_hash] and chosen == keys[:count]
        assert chosen != before[:count]
    assert hdf5.describe(part).counts == {"train": 20, "test": 6}


@pytest.mark.parametrize("source", ["drawn", "pictures"])
def test_twice_the_same_bytes(source, tmp_path, request):
    prepared = request.getfixturevalue(source)
    table = prepared if source == "drawn" else written(tmp_path / "mine.csv", TEXTS)
    for name in ("a.h5", "b.h5"):
        prepare(block(table, train=9), prepared, tmp_path / name)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


# ---- pictures without a caption -------------------------------------------------------------------------------------


def test_pictures_without_a_caption_are_refused_by_name(pictures, tmp_path):
    texts = {key: text for key, text in TEXTS.items() if key not in ("3.png", "11.png")}
    text = refusal(block(written(tmp_path / "mine.csv", texts)), pictures, tmp_path / "captions.h5")
    assert "no caption for" in text and "3.png" in text and "11.png" in text and " 4.png" not in text
    assert "captions.without to skip" in text


def test_pictures_without_a_caption_are_left_out_and_named(pictures, tmp_path):
    texts = TEXTS | {"11.png": " … "}
    del texts["3.png"]
    out = tmp_path / "captions.h5"
    description, left_out = prepare(block(written(tmp_path / "mine.csv", texts), without="skip"), pictures, out)
    assert sorted(left_out) == ["11.png", "3.png"]
    assert set(rows(out)) == set(KEYS) - set(left_out) and sum(description.counts.values()) == len(KEYS) - 2
    found = rows(out)
    assert all(found[key][0] == TEXTS[key] for key in found)


def test_a_split_without_any_caption_is_an_error(pictures, tmp_path):
    texts = {key: text for key, text in TEXTS.items() if split_of(key, FACES.test_share) == "train"}
    table = written(tmp_path / "mine.csv", texts)
    text = refusal(block(table, without="skip"), pictures, tmp_path / "captions.h5")
    assert "no captions for the test split" in text


# ---- bad tables -----------------------------------------------------------------------------------------------------


def test_pictures_that_carry_none_and_no_table(pictures, tmp_path):
    text = refusal(block(pictures), pictures, tmp_path / "captions.h5")
    assert "mine carries no captions" in text and "captions.table" in text and "CSV" in text


def test_captions_of_pictures_that_are_not_there(pictures, tmp_path):
    table = written(tmp_path / "mine.csv", TEXTS | {f"gone{index}.png": "a caption" for index in range(7)})
    for without in ("error", "skip"):
        text = refusal(block(table, without=without), pictures, tmp_path / "captions.h5")
        assert "captions of gone0.png" in text and "gone4.png, … (7 in all)" in text and "no such pictures" in text


@pytest.mark.parametrize("role", ["file", "caption"])
def test_a_column_that_is_not_there(pictures, tmp_path, role):
    table = written(tmp_path / "mine.csv", TEXTS)
    columns = Columns(**{"file": "file", "caption": "caption", role: "titel"})
    text = refusal(block(table, columns=columns), pictures, tmp_path / "captions.h5")
    assert f"no column 'titel'; found 'file', 'caption'; name one in params.yaml: captions.columns.{role}" in text


@pytest.mark.parametrize(("content", "found"), [("", "none"), ("0.png,a man\n1.png,a woman\n", "'0.png', 'a man'")])
def test_a_table_without_a_header(pictures, tmp_path, content, found):
    (tmp_path / "mine.csv").write_text(content)
    text = refusal(block(tmp_path / "mine.csv"), pictures, tmp_path / "captions.h5")
    assert f"no column 'file'; found {found}; " in text


def test_a_table_of_a_header_alone(pictures, tmp_path):
    text = refusal(block(written(tmp_path / "mine.csv", {})), pictures, tmp_path / "captions.h5")
    assert f"({len(KEYS)} in all)" in text and "no caption for" in text


@pytest.mark.parametrize("caption", ["", "  ", "?!"])
def test_empty_captions_are_named_with_their_lines(pictures, tmp_path, caption):
    table = written(tmp_path / "mine.csv", TEXTS | {"5.png": caption})
    text = refusal(block(table), pictures, tmp_path / "captions.h5")
    assert "empty captions: 5.png (line 7); fill them in" in text and "captions.without to skip" in text


def test_lines_are_counted_as_an_editor_counts_them(pictures, tmp_path):
    (tmp_path / "mine.csv").write_text('file,caption\n0.png,"two\nlines"\n\n1.png,\n')
    text = refusal(block(tmp_path / "mine.csv"), pictures, tmp_path / "captions.h5")
    assert "empty captions: 1.png (line 5)" in text


def test_a_second_caption_of_a_picture(pictures, tmp_path):
    table = written(tmp_path / "mine.csv", TEXTS)
    table.write_text(table.read_text() + "2.png,another\n")
    for without in ("error", "skip"):
        text = refusal(block(table, without=without), pictures, tmp_path / "captions.h5")
        assert f"line {len(KEYS) + 2}: a second caption of 2.png" in text


@pytest.mark.parametrize("line", ["24.png", ",a caption"])
def test_a_line_with_too_few_columns(pictures, tmp_path, line):
    table = written(tmp_path / "mine.csv", TEXTS)
    table.write_text(f"{table.read_text()}{line}\n")
    text = refusal(block(table), pictures, tmp_path / "captions.h5")
    assert f"line {len(KEYS) + 2} has too few columns; expected 2" in text


def test_a_comma_without_quotes_does_not_cut_a_caption_short(pictures, tmp_path):
    table = written(tmp_path / "mine.csv", TEXTS)
    table.write_text(table.read_text().replace('0.png,"picture number 0', "0.png,a picture, number 0", 1))
    text = refusal(block(table), pictures, tmp_path / "captions.h5")
    assert "line 2 has too many columns; expected 2" in text


@pytest.mark.parametrize("content", ["file,caption\n0.png,café\n".encode("latin-1"), b"\xff\xfef\x00i\x00"])
def test_a_table_that_is_not_utf8(pictures, tmp_path, content):
    (tmp_path / "mine.csv").write_bytes(content)
    assert "no CSV file in UTF-8" in refusal(block(tmp_path / "mine.csv"), pictures, tmp_path / "captions.h5")


def test_a_quotation_mark_that_is_never_closed(pictures, tmp_path):
    (tmp_path / "mine.csv").write_text('file,caption\n0.png,"a man\n1.png,a woman\n')
    assert "no CSV file" in refusal(block(tmp_path / "mine.csv"), pictures, tmp_path / "captions.h5")


def test_a_column_that_is_there_twice(pictures, tmp_path):
    table = written(tmp_path / "table.csv", {}, header="file,caption,caption")
    assert "2 columns are called 'caption'; expected one" in refusal(block(table), pictures, tmp_path / "captions.h5")


def test_many_words(pictures, tmp_path):
    words = {key: " ".join(f"{key[:-4]}w{number}" for number in range(250)) for key in KEYS}
    prepare(block(written(tmp_path / "table.csv", words)), pictures, tmp_path / "captions.h5")
    vocabulary = hdf5.describe(tmp_path / "captions.h5").vocabulary
    assert len(vocabulary) > 4096 and len(vocabulary) % 250 == 0


def test_more_words_than_tokens_tell_apart(pictures, tmp_path):
    words = {key: " ".join(f"{key[:-4]}w{number}" for number in range(5000)) for key in KEYS}
    table = written(tmp_path / "table.csv", words)
    assert "words; expected 65,535 at most; raise captions.least" in refusal(
        block(table), pictures, tmp_path / "captions.h5"
    )


def test_words_that_occur_too_seldom(pictures, tmp_path):
    table = written(tmp_path / "mine.csv", TEXTS)
    text = refusal(block(table, least=25), pictures, tmp_path / "captions.h5")
    assert "no word occurs 25 times in the training captions; lower captions.least" in text
