"""Prepare images with captions: those that prepared pictures carry, or a table with a line for each picture."""

import csv
import posixpath
import sys
from pathlib import Path

import h5py
import numpy as np

from reprogan.config import PARAMS_FILE, Captions
from reprogan.data import hdf5
from reprogan.data.faces.sources import digest_of, listed
from reprogan.data.hdf5 import SPLITS, Description, Split
from reprogan.data.rows import copy_rows, some_rows
from reprogan.data.text import tokens_of, vocabulary_of, words_of
from reprogan.errors import UserError

_MOST_WORDS = 2**16 - 1  # that a token tells apart

Table = dict[str, str]
"""{key of a picture: its caption}"""


def prepare(captions: Captions, pictures: Path, out: Path) -> tuple[Description, list[str]]:
    """Write the container `out` of the prepared `pictures` that have captions; give the keys of those left out.

    The vocabulary is that of the training captions. Raises UserError, one line, for a table that is not what it should
    be, and for pictures without captions where they are to have some.
    """
    description = hdf5.describe(pictures)
    table = None if Path(captions.table) == pictures else _read_table(captions)
    keys = {split: hdf5.read_strings(pictures, split, "keys") for split in SPLITS}
    if table is not None:
        known = {key for split in SPLITS for key in keys[split]}
        table = _below_one_folder(table, known)
        if missing := [key for key in table if key not in known]:
            raise UserError(f"{captions.table}: captions of {listed(missing)}; {pictures} has no such pictures")
    texts: dict[Split, list[str]] = {}
    rows: dict[Split, np.ndarray] = {}
    left_out: list[str] = []
    for split, limit in zip(SPLITS, (captions.train, captions.test), strict=True):
        if table is None:
            found = hdf5.read_strings(pictures, split, "captions")
            if not found:
                raise UserError(
                    f"{pictures}: {description.name} carries no captions; set {PARAMS_FILE}: captions.table to a CSV "
                    "file of its pictures' names and captions"
                )
        else:
            found = [table.get(key, "") for key in keys[split]]
        there = np.array([row for row, text in enumerate(found) if words_of(text)], np.int64)
        left_out += [keys[split][row] for row, text in enumerate(found) if not words_of(text)]
        rows[split] = there[some_rows(len(there), limit, f"captions {split}")]
        texts[split] = [found[row] for row in rows[split]]
    if left_out and captions.without == "error":
        raise UserError(
            f"{captions.table}: no caption for {listed(left_out)}; add them, or set captions.without to skip"
        )
    for split in SPLITS:
        if not texts[split]:
            raise UserError(f"{captions.table}: no captions for the {split} split of {pictures}; expected some")
    _write(captions, pictures, description, texts, rows, out)
    return hdf5.describe(out), left_out


def _write(
    captions: Captions,
    pictures: Path,
    description: Description,
    texts: dict[Split, list[str]],
    rows: dict[Split, np.ndarray],
    out: Path,
) -> None:
    vocabulary = vocabulary_of(texts["train"], captions.least)
    if not vocabulary:
        raise UserError(
            f"{captions.table}: no word occurs {captions.least} times in the training captions; lower captions.least"
        )
    if len(vocabulary) > _MOST_WORDS:
        raise UserError(
            f"{captions.table}: {len(vocabulary):,} words; expected {_MOST_WORDS:,} at most; raise captions.least"
        )
    tokens = {split: tokens_of(texts[split], vocabulary) for split in SPLITS}
    length = max(found.shape[1] for found in tokens.values())
    for split in SPLITS:
        if unknown := [text for text, row in zip(texts[split], tokens[split], strict=True) if not row.any()]:
            print(
                f"reprogan: {captions.table}: {split}: captions read as empty, for none of their words occurs "
                f"{captions.least} times in the training captions: {listed(list(map(repr, unknown)))}",
                file=sys.stderr,
            )
    own_table = Path(captions.table) != pictures
    sources = {Path(captions.table).name: digest_of(Path(captions.table), [])} if own_table else {}
    with hdf5.create(out) as file, h5py.File(pictures, "r") as source:
        hdf5.head(
            file,
            name=description.name,
            classes=description.classes,
            sources=description.sources | sources,
            attributes=description.attributes,
            vocabulary=vocabulary,
        )
        for split in SPLITS:
            group = file.create_group(split)
            copy_rows(source[split], rows[split], group)
            for told in ("captions", "named") if own_table else ("captions",):  # which attributes the others named
                if told in group:
                    del group[told]
            hdf5.write_strings(group, "captions", texts[split])
            padded = np.zeros((len(tokens[split]), length), np.uint16)
            padded[:, : tokens[split].shape[1]] = tokens[split]
            group.create_dataset("tokens", data=padded)


def _below_one_folder(table: Table, known: set[str]) -> Table:
    """Names as a table beside the pictures has them, where all pictures lie in one folder of their source."""
    folder = posixpath.commonpath([posixpath.dirname(key) for key in known])
    if not folder or not known.isdisjoint(table):
        return table
    return {f"{folder}/{key}": text for key, text in table.items()}


def _read_table(captions: Captions) -> Table:
    """The CSV file `captions.table`, with a header. Raises UserError for one that cannot be used as it is."""
    place, columns = Path(captions.table), captions.columns
    try:
        with open(place, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            header = list(reader.fieldnames or [])
            lines = [(reader.line_num, line) for line in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{place}: no CSV file in UTF-8 ({error}); expected one with a header") from None
    for role, column in (("file", columns.file), ("caption", columns.caption)):
        if header.count(column) > 1:
            raise UserError(f"{place}: {header.count(column)} columns are called {column!r}; expected one")
        if column not in header:
            raise UserError(
                f"{place}: no column {column!r}; found {', '.join(map(repr, header)) or 'none'}; name one in "
                f"{PARAMS_FILE}: captions.columns.{role}"
            )
    table: Table = {}
    empty = []
    for number, line in lines:
        key, text = line[columns.file], line[columns.caption]
        if not key or text is None:
            raise UserError(f"{place}: line {number} has too few columns; expected {len(header)}")
        if None in line:  # where csv puts what is left over
            raise UserError(
                f"{place}: line {number} has too many columns; expected {len(header)}; a caption with commas needs "
                "quotation marks"
            )
        if key in table:
            raise UserError(f"{place}: line {number}: a second caption of {key}; expected one a picture")
        if not words_of(text):
            empty.append(f"{key} (line {number})")
        table[key] = text
    if empty and captions.without == "error":
        raise UserError(f"{place}: empty captions: {listed(empty)}; fill them in, or set captions.without to skip")
    return table
