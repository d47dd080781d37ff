"""Refining the C-vectors of one picture: gradient descent on what its file costs, through the decoder."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from finola_codec.entropy.exact import Floats, Mask, Price
from finola_codec.entropy.fixed import to_real
from finola_codec.entropy.hyperprior import ExactHyperprior
from finola_codec.runtime.distortion import distortion_of
from finola_codec.runtime.manifest import DEFAULT_TUNE
from finola_codec.runtime.model import Model

FIRST_RATE, LAST_RATE = 0.27, 0.06  # how much of the way to its aim a vector goes; falls geometrically
SHORTEST = 3  # iterations; every longer refinement begins with the shortest
AGAIN_RATE, MOST_AGAIN, LEAST_RATE = 0.05, 0.5, 0.1  # for each further step, at most, and divided by their number
CURVATURE = 0.58  # the curvature of half the squared pixel error, relative to that of the linear shortcut alone
DAMPING = 0.5  # what a vector does to those that have it as context counts this much, for they are refined as well
PRICE = 0.65  # an error of a refined vector costs this part of Model.price, for others make up for some of it
PRICE_FALL, LOWEST_PRICE = 0.03, 0.4  # it costs less for each step after the shortest refinement, and at least this

_log = logging.getLogger(__name__)


def refine(
    model: Model,
    pixels: NDArray[np.uint8],
    y: Floats,
    z: Floats,
    quality: int,
    iterations: int,
    price: Price,
    tune: str = DEFAULT_TUNE,
    free: Mask | None = None,
) -> Price:
    """Lower bits + lambda 255^2 D of a picture by ``iterations`` of proximal gradient descent on its C-vectors.

    ``pixels`` are (H, W, 3), and D is the distortion that ``tune`` stands for. The vectors ``y`` (h, w, C) of the
    pixels, as the encoder gives them, are changed in place, and their hyper vectors ``z`` stay as they are. What is
    ``free`` (h, w) is not coded, and what it decodes to does not count. ``price`` is that of an error if the vectors
    were not refined. Returns the one to code the refined vectors with.

    An iteration codes the vectors in earnest, rate-distortion optimised, which is the proximal step for the bits. With
    the gradient g of half the distortion at the decoded vectors q, and its curvature c, a decoder that were linear
    would want q - g / c decoded, and the vectors go a part of the way there. The gradient has in it that vectors are
    the context of others. Where a block's errors count more, curvature and price are higher.

    A refinement of ``SHORTEST`` iterations does not measure its last step; one that is checked measures it in one more.
    Longer refinements keep the best vectors measured from there on, so that they never cost more. Where all this has
    not helped, as far as it was measured, the vectors are as before in the end.
    """
    assert isinstance(model.prior, ExactHyperprior)  # no other model has the decoder's gradient
    distortion, usual = distortion_of(tune, model, pixels, quality, free), price
    iterations = max(iterations, SHORTEST + distortion.checked)
    curvature = CURVATURE * distortion.curvature / model.profile.unit**2
    weight = model.lagrange_multiplier(quality) * 255**2 / 3  # bits for a squared error, pixels lying in [0, 1]
    gradient = np.empty_like(y)
    costs: list[float] = []
    best: tuple[Floats, Price] | None = None  # and the price that they were coded with
    for rate, share in _schedule(iterations, distortion.rate):
        payloads = model.prior.encode(y, z, quality, price, free)
        measured = distortion.measure(payloads.y, gradient if rate else None)
        cost = 8 * (len(payloads.hyper) + len(payloads.vectors)) + weight * measured.error
        if len(costs) >= SHORTEST and cost < min(costs[SHORTEST:], default=math.inf):
            best = (y.copy() if rate else y), price
        costs.append(cost)
        _log.info("iteration %d of %d: %.0f bits of rate and distortion", len(costs), iterations, cost)
        if not rate:
            break  # there is no step that would need the gradient
        model.prior.add_context(gradient, payloads.y, z, quality, 1 / (2 * weight), DAMPING)
        curvatures = np.broadcast_to(np.asarray(curvature * measured.weights, np.float32), y.shape[:2])
        for row, decoded in enumerate(payloads.y):
            y[row] += rate * (to_real(decoded) - gradient[row] / curvatures[row][:, None] - y[row])
        price = share * distortion.price * model.price(quality) * measured.weights
    if min(costs[SHORTEST:], default=costs[-1]) > costs[0]:
        y[:] = model.transforms.analyse(pixels, quality, tune)
        return usual
    if best is not None:
        y[:], price = best
    return price


def _schedule(iterations: int, scale: float) -> Iterator[tuple[np.float32, float]]:
    """For each iteration: the part of the way to its aim that a vector goes, and the price of an error from then on.

    The rates of the shortest refinement come first. After them they start anew, the higher the more steps there are,
    and fall further down. Prices are parts of the usual one; those for further steps are lower. The last iteration of a
    longer refinement only measures.
    """
    rates = [*np.geomspace(FIRST_RATE * scale, LAST_RATE * scale, SHORTEST, dtype=np.float32)]
    prices = [PRICE] * SHORTEST
    if further := max(iterations - SHORTEST - 1, 0):
        first, last = min(AGAIN_RATE * further, MOST_AGAIN), LEAST_RATE / further
        rates += [*np.geomspace(first * scale, last * scale, further, dtype=np.float32)]
        prices += [max(PRICE - PRICE_FALL * further, LOWEST_PRICE)] * further
    if iterations > SHORTEST:
        rates, prices = [*rates, np.float32(0)], [*prices, prices[-1]]
    return zip(rates, prices, strict=True)
