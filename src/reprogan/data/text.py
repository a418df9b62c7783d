"""Captions as numbers: the words of a sentence, a vocabulary of them, and a row of tokens for each caption."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

PADDING = 0  # after a caption's last word; word i of the vocabulary is token i + 1


def words_of(caption: str) -> list[str]:
    """Its words in small letters; whatever is no letter, mark on one, digit or apostrophe within a word parts them."""
    composed = unicodedata.normalize("NFC", caption.casefold()).replace("’", "'")
    spaced = "".join(sign if unicodedata.category(sign)[0] in "LMN" or sign == "'" else " " for sign in composed)
    return re.findall(r"[^\s']+(?:'[^\s']+)*", spaced)


def vocabulary_of(captions: Iterable[str], least: int) -> tuple[str, ...]:
    """The words that occur at least that often, in alphabetical order."""
    counts = Counter(word for caption in captions for word in words_of(caption))
    return tuple(sorted(word for word, count in counts.items() if count >= least))


def tokens_of(captions: Sequence[str], vocabulary: tuple[str, ...], length: int | None = None) -> np.ndarray:
    """Captions as int64 (N, length): their words' tokens, unknown words left out, then PADDING.

    Without a length, that of the longest; what is longer is cut.
    """
    token = {word: index + 1 for index, word in enumerate(vocabulary)}
    rows = [[token[word] for word in words_of(caption) if word in token] for caption in captions]
    length = length or max(1, *map(len, rows))
    tokens = np.full((len(rows), length), PADDING, np.int64)
    for row, found in zip(tokens, rows, strict=True):
        row[: len(found[:length])] = found[:length]
    return tokens


def unknown_words(caption: str, vocabulary: tuple[str, ...]) -> list[str]:
    """Those of a caption's words that the vocabulary lacks, each once."""
    known = set(vocabulary)
    return [word for word in dict.fromkeys(words_of(caption)) if word not in known]
