"""Texts as sets: normalised words, shingles, MinHash signatures, and the computations that a maths solution carries out.

Promises: pure, vectorised over a column of texts, and the same on every machine and for every version of polars (tokens are
hashed with BLAKE2b, not with the data frame library). An empty or null text has no shingles and is similar to nothing.

Sources: MinHash, Broder (1997) "On the resemblance and containment of documents"; banding, Leskovec, Rajaraman, Ullman,
*Mining of Massive Datasets*, chapter 3.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

HASHES = 64
"""Hash functions of a signature: the standard error of a similarity is at most 1 / (2 * sqrt(64)) = 0.0625."""
WORDS = 3
"""Words in a shingle of a text."""
KERNEL = f"Jaccard similarity of word {WORDS}-grams"

_TOKEN = r"\d+(?:\.\d+)?|\p{Han}|[\p{L}--\p{Han}]+|[+\-*/=^<>%]"
_MIX1, _MIX2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_STEP = np.uint64(0x9E3779B97F4A7C15)


def stable_hash(text: str, seed: int = 0) -> int:
    """Return a 63-bit hash of a string: the same on every machine."""
    return (
        int.from_bytes(
            hashlib.blake2b(f"{seed}:{text}".encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big"
        )
        >> 1
    )


def tokens(texts: pl.Series) -> pl.Series:
    """Return each text as a list of tokens: NFKC, lower case, words, numbers without thousands separators, and `+-*/=^<>%`.

    Calculator marks (`<<3+4=7>>`) and all other punctuation are left out; null gives an empty list.
    """
    flat = (
        texts.cast(pl.String).fill_null("").str.normalize("NFKC").str.to_lowercase().str.replace_all(r"<<[^<>]*>>", "")
    )
    for _ in range(2):  # 1,234,567: the matches overlap
        flat = flat.str.replace_all(r"(\d),(\d\d\d)", "$1$2")
    return flat.str.extract_all(_TOKEN)


def words(texts: pl.Series) -> pl.Series:
    """Return each text as a list of words as people see them: lower case, without punctuation, LaTeX glued to what it stands in, and
    without the source of pictures (`[asy]...[/asy]`)."""
    flat = texts.cast(pl.String).fill_null("").str.normalize("NFKC").str.to_lowercase()
    flat = flat.str.replace_all(r"(?s)\[asy\].*?\[/asy\]", " ").str.replace_all(r"[^\p{L}\p{N}\s]", "")
    return flat.str.extract_all(r"\S+")


def mask_numbers(lists: pl.Series) -> pl.Series:
    """Return token lists with every number replaced by `#`."""
    frame = pl.DataFrame({"t": lists})
    return frame.select(pl.col("t").list.eval(pl.element().str.replace(r"^\d.*$", "#")))["t"]


def _mix(x: U64) -> U64:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * _MIX1
    x = (x ^ (x >> np.uint64(27))) * _MIX2
    return x ^ (x >> np.uint64(31))


def _constants() -> tuple[U32, U32]:
    raw = hashlib.shake_128(b"midway minhash").digest(8 * HASHES)
    numbers = np.frombuffer(raw, dtype="<u4").astype(np.uint32)
    return numbers[:HASHES] | np.uint32(1), numbers[HASHES:]


_A_H, _B_H = _constants()


@dataclass(frozen=True)
class Shingled:
    """Shingle hashes of D documents, one after the other: those of document d are `values[starts[d] : starts[d + 1]]`."""

    values: U64
    starts: I64

    def __len__(self) -> int:
        return len(self.starts) - 1

    def of(self, d: int) -> U64:
        """Return the set of shingles of document d, sorted."""
        return np.unique(self.values[self.starts[d] : self.starts[d + 1]])

    def jaccard(self, a: int, b: int) -> float:
        """Return |A and B| / |A or B| of two documents' shingles; 0 when both are empty."""
        one, two = self.of(a), self.of(b)
        both = len(np.intersect1d(one, two, assume_unique=True))
        union = len(one) + len(two) - both
        return both / union if union else 0.0

    def fingerprints(self) -> U64:
        """Return one number for each document: equal for equal lists of shingles; 0 for an empty document."""
        return _per_document(np.add, self.values, self.starts, np.uint64(0))

    def signatures(self) -> U32:
        """Return MinHash signatures, shape (D, HASHES): the share of equal entries estimates the Jaccard similarity.

        Hash h of a shingle x is (a_h * x + b_h) mod 2**32 with odd a_h. Empty documents have the largest number everywhere.
        """
        out = np.empty((len(self), HASHES), dtype=np.uint32)
        low = (self.values >> np.uint64(32)).astype(np.uint32)
        block = 2048  # documents at a time, so that what is worked on stays in the cache
        for start in range(0, len(self), block):
            ends = self.starts[start : start + block + 1]
            x = low[ends[0] : ends[-1]]
            for h in range(HASHES):
                out[start : start + block, h] = _per_document(
                    np.minimum, x * _A_H[h] + _B_H[h], ends - ends[0], np.uint32(0xFFFFFFFF)
                )
        return out


def _per_document(reduce: np.ufunc, values: Any, starts: I64, empty: Any) -> Any:
    """Reduce each document's slice of `values`; `empty` where it has none."""
    out = np.full(len(starts) - 1, empty, dtype=values.dtype)
    filled = starts[:-1] < starts[1:]
    if filled.any():
        out[filled] = reduce.reduceat(values, starts[:-1][filled])
    return out


def shingles(lists: pl.Series, width: int) -> Shingled:
    """Return the hashed `width`-grams of token lists. A shorter list, if not empty, is one shingle; an empty one has none."""
    lengths = lists.list.len().fill_null(0).to_numpy().astype(np.int64)
    flat = lists.explode(empty_as_null=False, keep_nulls=False) if len(lists) else pl.Series([], dtype=pl.String)
    if len(flat) != lengths.sum():
        raise ValueError("token lists must not hold nulls")
    words = _token_hashes(flat)
    starts = np.concatenate([[0], np.cumsum(np.where(lengths == 0, 0, np.maximum(lengths - width + 1, 1)))]).astype(
        np.int64
    )
    # a list of fewer than `width` tokens is padded at its end, so that every list has at least `width` places
    padded = np.where(lengths == 0, 0, np.maximum(lengths, width))
    places = np.concatenate([[0], np.cumsum(padded)]).astype(np.int64)
    if (padded != lengths).any():
        spread = np.zeros(places[-1], dtype=np.uint64)
        document = np.repeat(np.arange(len(lengths)), lengths)
        offset = np.arange(len(words)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        spread[places[document] + offset] = words
        words = spread
    count = starts[1:] - starts[:-1]
    first = np.arange(starts[-1]) + np.repeat(places[:-1] - starts[:-1], count)
    values = np.zeros(len(first), dtype=np.uint64)
    for k in range(width):
        values = _mix(values + _STEP + words[first + k])
    return Shingled(values, starts)


def _token_hashes(flat: pl.Series) -> U64:
    vocabulary = flat.unique()
    hashed = [stable_hash(t) for t in vocabulary.to_list()]
    table = pl.DataFrame({"t": vocabulary, "h": pl.Series(hashed, dtype=pl.UInt64)})
    joined = flat.alias("t").to_frame().join(table, on="t", how="left", maintain_order="left")
    return joined["h"].to_numpy()


def bands(signatures: U32, threshold: float) -> U64:
    """Return keys for candidate pairs, shape (D, number of bands): two documents that share a key anywhere are candidates.

    Rows per band are as many as keep the chance to miss a pair of similarity `threshold` below one in a thousand.
    """
    rows = 1
    for r in (2, 4, 8, 16):
        if (1 - threshold**r) ** (HASHES // r) < 1e-3:
            rows = r
    keys = np.zeros((len(signatures), HASHES // rows), dtype=np.uint64)
    for r in range(rows):
        keys = _mix(keys + _STEP + signatures[:, r::rows].astype(np.uint64))
    return keys


# Computations: `16 - 3 = 13`, `$2 * 9 = $18`, `3 apples + 4 apples = 7`, `16 \times 2 = 32`.

# every repetition is bounded and every term atomic, so that no text takes more than linear time
_NUMBER = r"(?:\d{1,18}(?:\.\d{1,18})?|\.\d{1,18})%?"
_WORD = r"[a-z](?:[a-z'-]{0,30}[a-z])"  # of two letters at least: one is an unknown
_UNIT = rf"(?:(?:\s{{0,2}}/\s{{0,2}}|\s{{0,2}}){_WORD}(?:\s{_WORD}){{0,2}}(?:/{_WORD})?)?"
_TERM = rf"(?>(?:\(\s{{0,2}})?{_NUMBER}{_UNIT}(?:\s{{0,2}}\))?)"
_COMPUTATION = re.compile(
    rf"((?:(?<=\s)-)?{_TERM}(?:\s{{0,2}}[-+*/^]\s{{0,2}}{_TERM}){{1,20}})\s{{0,2}}=\s{{0,2}}(-?\s?{_NUMBER})"
)
_MARK = re.compile(r"<<([^<>=]+)=([^<>=]+)>>")
_WRITTEN = (
    (re.compile(r"\\(?:times|cdot|ast)\b|[×·∙]"), "*"),
    (re.compile(r"\\div\b|[÷]"), "/"),
    (re.compile(r"[−–]"), "-"),
    (re.compile(r"(?<=\d)\s*x\s*(?=[\d$(.])|\sx\s+(?=[\d$(.])"), "*"),
    (re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}"), r"\1/\2"),
    (re.compile(r"(?<=\d),(?=\d\d\d)"), ""),
    (re.compile(r"\\[a-z]+|[$€£\\{}]"), ""),
)


def computations(text: str) -> tuple[str, ...]:
    """Return the computations of a maths solution in order, in canonical form: `3+16=19`, whatever the order of the summands.

    Calculator marks are used where the text has any, else equations of numbers (with units of up to three words after them) are looked
    for. A sum or a product of numbers is sorted; anything else is taken as written, without spaces. Equations with letters are not seen.
    """
    found = _MARK.findall(text)
    if not found:
        plain = text.lower()
        for pattern, replacement in _WRITTEN:
            plain = pattern.sub(replacement, plain)
        found = _COMPUTATION.findall(plain)
    return tuple(f"{_canonical(left)}={_canonical(right)}" for left, right in found)


def _canonical(expression: str) -> str:
    bare = re.sub(r"/?\s*[a-z][a-z'-]*[a-z](?:/[a-z'-]+)*|[a-z\s,$]", "", expression.lower())
    bare = re.sub(_NUMBER, lambda m: _number(m.group()), bare)
    for sign in "+*":
        parts = bare.strip("()").split(sign)
        if len(parts) > 1 and all(re.fullmatch(_NUMBER, p) for p in parts):
            return sign.join(sorted(parts))
    return bare


def _number(text: str) -> str:
    """A number as short as it can be written: 9.0 -> 9, .50 -> 0.5, 5.120000000000001 -> 5.12."""
    return f"{float(text.rstrip('%')):.10g}" + ("%" if text.endswith("%") else "")


def computation_tokens(texts: pl.Series) -> pl.Series:
    """Return each text's computations as a token list with an end mark; empty for a text without any."""
    rows = [[*found, "END"] if (found := computations(t or "")) else [] for t in texts.to_list()]
    return pl.Series(rows, dtype=pl.List(pl.String))
