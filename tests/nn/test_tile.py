"""The paper's codec: slots, shifts, attention, both encoders."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from finola_codec.errors import ConfigError
from finola_codec.nn.finola import grow
from finola_codec.nn.model import Codec, build
from finola_codec.nn.tile import TileDecoder, cosine_basis
from finola_codec.profiles import FINOLA_256, FINOLA_TINY_TILE


def test_untrained_matrices_hand_every_position_its_own_slot() -> None:
    profile = FINOLA_TINY_TILE
    decoder = TileDecoder(profile)
    z = torch.randn(5, profile.channels)
    grown = decoder.finola(z[:, None, None], profile.patch, profile.patch)
    middle = (profile.patch - 1) // 2
    own = grown.unflatten(-1, (profile.patch, profile.patch, profile.depth))[:, :, :, middle, middle]
    slots = z.unflatten(-1, (profile.patch, profile.patch, profile.depth))
    torch.testing.assert_close(own, slots, rtol=0.02, atol=0.02)  # the norm's epsilon shrinks a vector a little


def test_the_step_is_the_papers_with_a_dense_matrix() -> None:
    profile = FINOLA_TINY_TILE
    finola = TileDecoder(profile).finola
    for part in (finola.right, finola.left, finola.down, finola.up):
        torch.nn.init.normal_(part.expand, std=0.02)
    parts = (finola.right, finola.left, finola.down, finola.up)
    dense = tuple(part(torch.eye(profile.channels)).T for part in parts)
    z = torch.randn(3, 1, 1, profile.channels)
    torch.testing.assert_close(grow(z, parts, 4, 4), grow(z, dense, 4, 4), rtol=1e-4, atol=1e-4)


def test_the_cosine_transform_is_orthonormal() -> None:
    basis = cosine_basis(16)
    torch.testing.assert_close(basis @ basis.T, torch.eye(16), rtol=0, atol=1e-5)


def test_untrained_it_is_a_working_codec(crops: torch.Tensor) -> None:
    codec = build(FINOLA_TINY_TILE).eval()
    codec.start_from(crops)
    with torch.no_grad():
        result = codec(crops, torch.full((len(crops),), 0.8))
    psnr = -10 * (result.x - crops).square().mean().log10()
    assert psnr > 22
    assert (result.bits / 128**2 < 0.5).all()


def test_tiles_are_encoded_apart_and_decoded_together(tiny_tile_codec: Codec, crops: torch.Tensor) -> None:
    weights = torch.full((1, tiny_tile_codec.profile.anchors), 1 / 8)
    with torch.no_grad():
        whole = tiny_tile_codec.encoder(crops[:1], weights)
        part = tiny_tile_codec.encoder(crops[:1, :, 64:, :64], weights)
        torch.testing.assert_close(whole[:, :, 1:, :1], part, rtol=1e-4, atol=1e-4)
        seen = tiny_tile_codec.synthesise(whole, weights)[:, :, 64:, :64]
        alone = tiny_tile_codec.synthesise(part, weights)
    assert not torch.allclose(seen, alone)


def test_mobile_former_is_another_encoder(crops: torch.Tensor) -> None:
    codec = build(replace(FINOLA_TINY_TILE, encoder="mobile-former"))
    codec.start_from(crops)
    result = codec(crops[:2], torch.tensor([0.2, 0.8]))
    (result.x - crops[:2]).square().mean().backward()
    assert codec.encoder.pool.head.weight.grad.abs().max() > 0


@pytest.mark.parametrize("change", [{"channels": 100}, {"stride": 8}, {"encoder": "none"}])
def test_profiles_that_cannot_be_are_refused(change: dict) -> None:
    with pytest.raises(ConfigError, match="finola-256"):
        replace(FINOLA_256, **change)
