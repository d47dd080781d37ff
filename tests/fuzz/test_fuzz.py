"""A minute of fuzzing, and what it tries too rarely."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from finola_codec import FormatError, Model, decode, encode
from finola_codec.container import LAYER, unpack
from tests.fuzz.fuzz_decode import bad_endings, run
from tests.golden import make
from tests.golden.make import FOLDER

SECONDS = float(os.environ.get("FINOLA_FUZZ_SECONDS", "60" if os.environ.get("CI") else "5"))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform == "win32", reason="no way to ask for the peak memory")
def test_only_our_errors_come_out(tiny_model: Model, photo: Image.Image) -> None:
    kinds = (((40, 30), "RGB", 20), ((130, 90), "RGBA", 60), ((1, 1), "LA", 90))
    page = make.chart(photo).crop((230, 60, 330, 160))  # text, and a corner of a photograph
    corpus = [encode(page, 50, model=tiny_model), encode(make.page(), 50, model=tiny_model)]
    assert [LAYER in unpack(data)[1] for data in corpus] == [True, True]
    corpus += [encode(photo.crop((0, 0, *size)).convert(mode), q, model=tiny_model) for size, mode, q in kinds]
    report = run(tiny_model, corpus, SECONDS)
    assert report.inputs > 20 * SECONDS / 5
    assert 0 < report.decoded < report.inputs


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.fin")), ids=lambda path: path.name)
def test_payloads_that_do_not_end_where_their_content_does_are_refused(path: Path) -> None:
    for data in bad_endings(path.read_bytes()):
        with pytest.raises(FormatError):
            decode(data)
