"""The two forms of the prior, differentiable and exact, held together."""

from __future__ import annotations

import numpy as np
import torch

from finola_codec.entropy.factorised import ExactFactorised
from finola_codec.entropy.fixed import to_real
from finola_codec.entropy.hyperprior import ExactHyperprior
from finola_codec.entropy.tables import build
from finola_codec.nn.blocks import mix_of
from finola_codec.nn.model import Codec


def test_coded_size_and_integers_follow_the_estimate(tiny_codec: Codec, crops: torch.Tensor) -> None:
    prior = ExactHyperprior(tiny_codec.profile.prior, tiny_codec.prior.to_integers(), build())
    estimated, coded = 0.0, 0
    for quality in (10, 50, 90):
        position = torch.full((len(crops),), (quality - 1) / 99)
        weights = mix_of(position, tiny_codec.profile.anchors)
        with torch.no_grad():
            y = tiny_codec.encoder(crops, weights)
            z = tiny_codec.hyper(y, weights)
            expected = tiny_codec.prior(y, z, weights)
        estimated += float(expected.bits.sum())
        for i in range(len(crops)):
            payloads = prior.encode(y[i].permute(1, 2, 0).numpy().copy(), z[i].permute(1, 2, 0).numpy(), quality)
            coded += 8 * (len(payloads.hyper) + len(payloads.vectors))
            step = 2.0 ** tiny_codec.prior.log2_step(weights)[i].detach().numpy()
            difference = np.abs(to_real(payloads.y) - expected.y[i].permute(1, 2, 0).numpy())
            # The forms may round a number that lies between two steps differently; nearly all agree.
            assert np.quantile(difference / step, 0.99) < 0.1
    payload_overhead = 2 * 32 * 3 * len(crops)  # a range coder closes each payload with up to a word
    assert abs(coded - estimated) < 0.01 * estimated + payload_overhead


def test_coded_size_of_tiles_follows_the_estimate(tiny_tile_codec: Codec, crops: torch.Tensor) -> None:
    prior = ExactFactorised(tiny_tile_codec.prior.to_integers(), build(), tiny_tile_codec.profile.depth)
    estimated, coded = 0.0, 0
    for quality in (10, 50, 90):
        weights = mix_of(torch.full((len(crops),), (quality - 1) / 99), tiny_tile_codec.profile.anchors)
        with torch.no_grad():
            y = tiny_tile_codec.encoder(crops, weights)
            estimated += float(tiny_tile_codec.prior(y, weights).bits.sum())
        coded += sum(8 * len(prior.encode(v.permute(1, 2, 0).numpy(), None, quality).vectors) for v in y)
    assert abs(coded - estimated) < 0.01 * estimated + 32 * 3 * len(crops)
