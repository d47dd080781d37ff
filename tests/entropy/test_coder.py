"""Range coding, with tables and escapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finola_codec.entropy.coder import MAX_RESIDUAL, Models, Reader, Writer
from finola_codec.entropy.scales import BINS
from finola_codec.entropy.tables import TOTAL, Tables, build, calibrate
from finola_codec.errors import FormatError, ModelError

TABLES = build()
MODELS = Models(TABLES)
symbols = st.lists(
    st.tuples(st.one_of(st.integers(-5, 5), st.integers(-MAX_RESIDUAL, MAX_RESIDUAL)), st.integers(0, BINS - 1)),
    max_size=60,
)


@settings(deadline=None)
@given(symbols, symbols)
def test_what_is_written_is_read(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    parts = [(np.array([s for s, _ in p], np.int32), np.array([b for _, b in p], np.uint8)) for p in (first, second)]
    writer = Writer(MODELS)
    for residuals, bins in parts:
        writer.write(residuals, bins)
    reader = Reader(MODELS, writer.finish())
    for residuals, bins in parts:
        assert (reader.read(bins) == residuals).all()
    reader.finish()


def test_bytes_follow_the_tables_to_the_letter() -> None:
    """The ideal code length under the integer tables is met within a word: no other quantization is at work."""
    rng = np.random.default_rng(0)
    bins = rng.integers(0, BINS, 20000).astype(np.uint8)
    residuals, ideal = np.empty(len(bins), np.int32), 0.0
    for i, b in enumerate(bins):
        table = TABLES.of(b)[:-1]
        symbol = rng.choice(len(table), p=table / table.sum())
        residuals[i] = symbol - TABLES.reach[b]
        ideal -= np.log2(table[symbol] / TOTAL)
    writer = Writer(MODELS)
    writer.write(residuals, bins)
    assert ideal <= 8 * len(writer.finish()) < ideal * 1.001 + 64


def test_payloads_are_pinned() -> None:
    """Bytes that another version of constriction must reproduce, or files could not travel between versions."""
    tables = Tables(np.array([5000, 2**24 - 8000, 2900, 100, 2**23, 2**22, 2**21, 2**21], np.uint32), np.array([1, 1]))
    residuals, bins = np.array([0, 1, -1, 0, 2, -300, 1, -1], np.int32), np.array([0, 0, 1, 1, 0, 1, 1, 0], np.uint8)
    models = Models(tables)
    writer = Writer(models)
    writer.write(residuals, bins)
    assert (Reader(models, writer.finish()).read(bins) == residuals).all()
    assert writer.finish().hex() == PINNED


PINNED = "07e4f3ff574edac600435d49"


def test_left_over_words_are_noticed() -> None:
    writer = Writer(MODELS)
    writer.write(np.zeros(4, np.int32), np.full(4, 9, np.uint8))
    reader = Reader(MODELS, writer.finish() + b"\x01\x02\x03\x04" * 3)
    reader.read(np.full(4, 9, np.uint8))
    with pytest.raises(FormatError, match="does not end"):
        reader.finish()


def test_broken_tables_are_refused() -> None:
    with pytest.raises(ModelError, match="table 0"):
        Tables(np.where(np.arange(len(TABLES.frequencies)) == 0, 0, TABLES.frequencies), TABLES.reach).check()
    with pytest.raises(ModelError, match="size"):
        Tables(TABLES.frequencies[:-1], TABLES.reach).check()


def test_calibrated_tables_follow_what_occurs() -> None:
    reach = int(TABLES.reach.max())
    counts = np.zeros((BINS, 2 * reach + 1), np.int64)
    counts[9, reach], counts[9, reach + 1] = 90_000, 10_000
    calibrated = calibrate(TABLES, counts)
    calibrated.check()
    middle = TABLES.reach[9]
    assert calibrated.of(9)[middle] / TOTAL == pytest.approx(0.9, abs=0.01)
    assert calibrated.of(9)[middle - 1] == calibrated.of(9)[middle + 1]  # symmetric
    assert calibrated.of(9)[middle + 1] / TOTAL == pytest.approx(0.05, abs=0.005)
    for index in (0, 30, 63):  # nothing was seen of these
        assert (calibrated.of(index) == TABLES.of(index)).all()
