"""A minute of fuzzing."""

from __future__ import annotations

import os

import pytest
from PIL import Image

from finola_codec import Model, encode
from tests.fuzz.fuzz_decode import run

SECONDS = float(os.environ.get("FINOLA_FUZZ_SECONDS", "60" if os.environ.get("CI") else "5"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_only_our_errors_come_out(tiny_model: Model, photo: Image.Image) -> None:
    kinds = (((40, 30), "RGB", 20), ((130, 90), "RGBA", 60), ((1, 1), "LA", 90))
    corpus = [encode(photo.crop((0, 0, *size)).convert(mode), q, model=tiny_model) for size, mode, q in kinds]
    report = run(tiny_model, corpus, SECONDS)
    assert report.inputs > 20 * SECONDS / 5
    assert 0 < report.decoded < report.inputs
