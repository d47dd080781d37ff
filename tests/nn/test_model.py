"""The codec as one trainable module."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from finola_codec.nn.model import Codec, build
from finola_codec.profiles import FINOLA_TINY, FINOLA_TINY_TILE, Profile


@pytest.mark.parametrize("kind", ["tiny_codec", "tiny_tile_codec"])
def test_gradients_reach_every_weight(request: pytest.FixtureRequest, kind: str, crops: torch.Tensor) -> None:
    codec: Codec = request.getfixturevalue(kind)
    result = codec.train()(crops[:2], torch.tensor([0.2, 0.8]))
    (result.bits.mean() / 128**2 + result.x.square().mean()).backward()
    codec.eval()
    dead = [n for n, p in codec.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    codec.zero_grad()
    assert dead == []


@pytest.mark.parametrize("profile", [FINOLA_TINY, FINOLA_TINY_TILE])
def test_before_any_training_quality_buys_psnr_with_bits(profile: Profile, crops: torch.Tensor) -> None:
    codec = build(profile)
    codec.start_from(crops)
    positions = torch.tensor([0.0, 0.5, 1.0])
    with torch.no_grad():
        results = [codec.eval()(crops, position.expand(len(crops))) for position in positions]
    bits = [float(result.bits.mean()) for result in results]
    psnr = [float(-10 * (result.x - crops).square().mean().log10()) for result in results]
    assert bits[0] < bits[1] < bits[2]
    assert psnr[0] < psnr[1] < psnr[2]


def test_before_any_training_all_components_give_the_picture_back(crops: torch.Tensor) -> None:
    profile = replace(FINOLA_TINY, channels=768, groups=(768,))
    codec = build(profile)
    codec.start_from(crops)
    weights = torch.full((len(crops), profile.anchors), 1 / profile.anchors)
    with torch.no_grad():
        y = codec.encoder(crops, weights)
        assert torch.allclose(codec.decoder(y, y, weights), crops, atol=1e-5)
