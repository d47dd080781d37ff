"""What tests of pre-training share: photographs, and methods of a tiny size."""

from __future__ import annotations

from dataclasses import replace

import pytest
import skimage.data

from finola_codec.pretraining.config import PretrainConfig
from finola_codec.training.data import Pictures

TINY = PretrainConfig(
    method="finola",
    steps=4,
    batch=2,
    crop=64,
    held_out=1,
    validate_every=2,
    threads=1,
    mobile_former_width=0.05,
    channels=32,
    width=8,
    depths=(1, 1, 2),
    decoder_depth=1,
)


def tiny(method: str, **changes: object) -> PretrainConfig:
    """The smallest configuration of a method."""
    return replace(TINY, method=method, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def pictures() -> Pictures:
    photos = [skimage.data.astronaut(), skimage.data.coffee(), skimage.data.cat()]
    return Pictures(photos[:2], photos[2:])
