"""The hyperprior, described once: the small network that predicts mean and scale of every quantized number.

Training runs this description on torch tensors (:mod:`finola_codec.nn.hyperprior`), coding runs it on exact
integers (:mod:`finola_codec.entropy.hyperprior`). Both hand their arithmetic over as an :class:`Arithmetic`, so
the two cannot drift apart in structure, and a test holds their results together. To change the network, change
:meth:`PriorSpec.layers` and :func:`mean_and_scale` here: nothing else names its layers.

The grid of C-vectors is coded in ``2 * len(groups)`` coding steps. The channel groups are coded in turn. In each
group the positions of a checkerboard whose row + column is even come first (phase 0), then the others (phase 1).
A coding step sees the hyper features and everything that was decoded before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

T = TypeVar("T")  # what is computed with
G = TypeVar("G", contravariant=True)  # what is stored: the hyper features, and the C-vectors decoded so far


@dataclass(frozen=True)
class CodingStep:
    """One coding step: the channels ``start:stop`` at the positions of one checkerboard phase."""

    name: str
    start: int
    stop: int
    phase: int

    @property
    def known(self) -> int:
        """How many channels the context may read: phase 1 also reads its own group's phase 0."""
        return self.start if self.phase == 0 else self.stop

    def seen(self, row: int, column: int) -> int:
        """How many channels the context reads at this place of its odd kernel.

        Of its own group a position knows those of the other phase only, which lie at odd distances.
        """
        return self.known if (row + column) % 2 else self.start


@dataclass(frozen=True)
class Layer:
    """One linear layer: weights (out, in), or (out, in, kernel, kernel) where it reads a neighbourhood."""

    shape: tuple[int, ...]
    reads_latent: bool = False  # training whitens the latent for it; the exact form has the whitening in the weights
    starts_at_zero: bool = False  # training starts at a mean of 0 and at the scale in the bias


@dataclass(frozen=True)
class PriorSpec:
    """The sizes of a hyperprior."""

    channels: int  # of a C-vector
    groups: tuple[int, ...]  # channels that are coded together; they add up to ``channels``
    hyper_channels: int
    hyper_patch: int  # C-vectors a side that one hyper vector grows into
    width: int  # of the hidden layers
    kernel: int  # C-vectors a side that the context reads; odd
    anchors: int

    def coding_steps(self) -> Iterator[CodingStep]:
        """The coding steps, in order."""
        start = 0
        for index, size in enumerate(self.groups):
            for phase in (0, 1):
                yield CodingStep(f"group{index}_phase{phase}", start, start + size, phase)
            start += size

    def shifts(self) -> list[str]:
        """Names of the tables (anchors, width) of shifts that tell the network the quality, one a coding step."""
        return [f"{step.name}_shift" for step in self.coding_steps()]

    def layers(self) -> dict[str, Layer]:
        """Every layer by name. The array of its bias, (out,), is named ``NAME_bias``."""
        layers: dict[str, Layer] = {}
        for step in self.coding_steps():
            layers[f"{step.name}_hyper"] = Layer((self.width, self.hyper_channels))
            if step.known:
                shape = (self.width, step.known, self.kernel, self.kernel)
                layers[f"{step.name}_context"] = Layer(shape, reads_latent=True)
            layers[f"{step.name}_hidden"] = Layer((self.width, self.width))
            layers[f"{step.name}_mean"] = Layer((step.stop - step.start, self.width), starts_at_zero=True)
            layers[f"{step.name}_scale"] = Layer((step.stop - step.start, self.width), starts_at_zero=True)
        return layers


class Arithmetic(Protocol[T, G]):
    """What the description needs of the numbers it is run on."""

    def select(self, features: G, step: CodingStep) -> T:
        """Return the features at the positions of the phase, or at all positions where the caller masks later."""

    def linear(self, name: str, x: T) -> T:
        """Multiply the channels of each position by the weights ``name`` and add its bias."""

    def context(self, name: str, known: G, step: CodingStep) -> T:
        """Convolve the known channels with the weights ``name``, at the positions of the coding step's phase."""

    def shift(self, name: str, x: T) -> T:
        """Add the quality-dependent shift ``name`` to the channels of each position."""

    def add(self, a: T, b: T) -> T:
        """Sum of two arrays."""

    def relu(self, x: T) -> T:
        """Positive part."""


def mean_and_scale(ops: Arithmetic[T, G], step: CodingStep, features: G, known: G) -> tuple[T, T]:
    """Mean and log2 of the scale of each number that ``step`` codes, in natural units of the latent.

    ``features`` are the grown hyper vectors, ``known`` the C-vectors as decoded so far, zero where unknown.
    """
    h = ops.linear(f"{step.name}_hyper", ops.select(features, step))
    if step.known:
        h = ops.add(h, ops.context(f"{step.name}_context", known, step))
    h = ops.relu(ops.shift(f"{step.name}_shift", h))
    h = ops.relu(ops.linear(f"{step.name}_hidden", h))
    return ops.linear(f"{step.name}_mean", h), ops.linear(f"{step.name}_scale", h)
