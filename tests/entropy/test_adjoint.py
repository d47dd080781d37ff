"""The gradient by way of the context, held against autograd."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor

from finola_codec.entropy.fixed import to_real
from finola_codec.entropy.hyperprior import ExactHyperprior
from finola_codec.entropy.prior import mean_and_scale
from finola_codec.entropy.tables import build
from finola_codec.nn.blocks import mix_of
from finola_codec.nn.finola import grow_map
from finola_codec.nn.hyperprior import TorchArithmetic, TrainableHyperprior, residual_bits
from finola_codec.nn.model import Codec
from finola_codec.quality import position

ROWS, COLUMNS, QUALITY = 9, 7, 60


@pytest.fixture(scope="module")
def prior(tiny_codec: Codec) -> TrainableHyperprior:
    """A prior whose means and scales depend on the context, as those of an untrained one do not."""
    made = deepcopy(tiny_codec.prior)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weights in made.weights.items():
            if name.endswith(("_mean", "_scale")):
                weights.copy_(torch.randn(weights.shape, generator=generator) * 0.3)
    return made


def by_autograd(prior: TrainableHyperprior, decoded: Tensor, z: Tensor, wanted: Tensor, bit: float) -> Tensor:
    """The gradient of <wanted, y> + bit * bits by each value of y (1, C, h, w), where residuals stay as they are."""
    mix = mix_of(torch.tensor([position(QUALITY)]), prior.spec.anchors)
    z_step = prior.hyper_log2_step(mix)[:, :, None, None].exp2()
    features = grow_map(prior.finola, (z / z_step).round() * z_step, prior.spec.hyper_patch)[:, :, :ROWS, :COLUMNS]
    odd = torch.from_numpy(np.indices((ROWS, COLUMNS)).sum(0) % 2)
    moved = torch.zeros_like(decoded, requires_grad=True)
    y, bits = torch.zeros_like(decoded), torch.zeros(())
    for step in prior.spec.coding_steps():
        channels, here = slice(step.start, step.stop), odd == step.phase
        log2_step = prior.log2_step(mix)[:, channels, None, None]
        mean, scale = mean_and_scale(TorchArithmetic(prior, mix), step, features, y[:, : step.known])
        residual = ((decoded[:, channels] - mean) / log2_step.exp2()).round().detach()
        value = mean + log2_step.exp2() * residual + moved[:, channels]
        y = torch.cat([y[:, : step.start], torch.where(here, value, y[:, channels]), y[:, step.stop :]], dim=1)
        bits = bits + (residual_bits(residual, scale - log2_step) * here).sum()
    assert (y - decoded).abs().max() < 0.01  # the residuals are those that were coded
    ((y * wanted).sum() + bit * bits).backward()
    assert moved.grad is not None
    return moved.grad


# Weights are rounded to integers, which is 0.3 % here; bits are differentiated by the tables of two bins, another 10 %.
@pytest.mark.parametrize(("bit", "tolerance"), [(0.0, 0.01), (1.0, 0.2)])
def test_the_gradient_is_that_of_autograd(prior: TrainableHyperprior, bit: float, tolerance: float) -> None:
    rng = np.random.default_rng(0)
    exact = ExactHyperprior(prior.spec, prior.to_integers(), build())
    y = rng.normal(size=(ROWS, COLUMNS, prior.spec.channels)).astype(np.float32)
    z = rng.normal(size=(-(-ROWS // 4), -(-COLUMNS // 4), prior.spec.hyper_channels)).astype(np.float32)
    wanted = rng.normal(size=y.shape).astype(np.float32) * (0 if bit else 1)
    decoded = exact.encode(y, z, QUALITY).y

    found = wanted.copy()
    exact.add_context(found, decoded, z, QUALITY, bit, damping=1.0)

    maps = [torch.from_numpy(a).permute(2, 0, 1)[None] for a in (to_real(decoded), z, wanted)]
    expected = by_autograd(prior, *maps, bit)[0].permute(1, 2, 0).numpy()
    by_context = np.linalg.norm(expected - wanted)
    assert by_context > 0.1 * np.linalg.norm(y)
    assert np.linalg.norm(found - expected) < tolerance * by_context


def test_damping_weakens_what_the_context_does(prior: TrainableHyperprior) -> None:
    rng = np.random.default_rng(1)
    exact = ExactHyperprior(prior.spec, prior.to_integers(), build())
    y = rng.normal(size=(4, 4, prior.spec.channels)).astype(np.float32)
    z = rng.normal(size=(1, 1, prior.spec.hyper_channels)).astype(np.float32)
    decoded = exact.encode(y, z, QUALITY).y
    norms = []
    for damping in (0.0, 0.5, 1.0):
        gradient = np.zeros_like(y)
        exact.add_context(gradient, decoded, z, QUALITY, 1.0, damping)
        norms.append(float(np.linalg.norm(gradient)))
    assert norms[0] == 0 < norms[1] < norms[2]
