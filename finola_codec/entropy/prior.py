"""The prior, described once: what predicts mean and scale of every quantized number.

Training runs this description on torch tensors (:mod:`finola_codec.nn.prior`), coding runs it on exact
integers (:mod:`finola_codec.entropy.hyperprior`). Both hand their arithmetic over as an :class:`Arithmetic`, so
that the two cannot drift apart in structure; a test holds their results together.

The grid of C-vectors is coded in ``2 * len(groups)`` steps: channel groups in turn, and in each group first
the positions of a checkerboard whose row + column is even (phase 0), then the others (phase 1). A step sees
the hyper features and everything decoded before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

T = TypeVar("T")  # what is computed with
G = TypeVar("G", contravariant=True)  # what is stored: the hyper features, and the C-vectors decoded so far

CONTEXT_KERNEL = 3


@dataclass(frozen=True)
class Step:
    """One coding step: the channels ``start:stop`` at the positions of one checkerboard phase."""

    name: str
    start: int
    stop: int
    phase: int

    @property
    def known(self) -> int:
        """How many channels the context may read: phase 1 also reads its own group's phase 0."""
        return self.start if self.phase == 0 else self.stop


@dataclass(frozen=True)
class PriorSpec:
    """The sizes of a prior."""

    channels: int
    groups: tuple[int, ...]
    hyper_channels: int
    hyper_patch: int
    width: int
    anchors: int

    @classmethod
    def of(cls, profile: Mapping[str, Any]) -> PriorSpec:
        """That of a profile's fields, as ``model.json`` has them."""
        return cls(
            channels=profile["channels"],
            groups=tuple(profile["groups"]),
            hyper_channels=profile["hyper_channels"],
            hyper_patch=profile["hyper_patch"],
            width=profile["context_width"],
            anchors=profile["anchors"],
        )

    def steps(self) -> Iterator[Step]:
        """The coding steps, in order."""
        start = 0
        for index, size in enumerate(self.groups):
            for phase in (0, 1):
                yield Step(f"group{index}_phase{phase}", start, start + size, phase)
            start += size

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every weight array; the bias of ``NAME`` is ``NAME_bias``, as long as its first axis."""
        shapes: dict[str, tuple[int, ...]] = {}
        for step in self.steps():
            shapes[f"{step.name}_hyper"] = (self.width, self.hyper_channels)
            if step.known:
                shapes[f"{step.name}_context"] = (self.width, step.known, CONTEXT_KERNEL, CONTEXT_KERNEL)
            shapes[f"{step.name}_hidden"] = (self.width, self.width)
            shapes[f"{step.name}_mean"] = (step.stop - step.start, self.width)
            shapes[f"{step.name}_scale"] = (step.stop - step.start, self.width)
        return shapes


class Arithmetic(Protocol[T, G]):
    """What the description needs of the numbers it is run on."""

    def select(self, features: G, step: Step) -> T:
        """The features at the positions of the step's phase (or all of them: who runs it masks later)."""

    def linear(self, name: str, x: T) -> T:
        """Multiply the channels of each position by the weights ``name`` and add its bias."""

    def context(self, name: str, known: G, step: Step) -> T:
        """Convolve the known channels with the weights ``name``, at the positions of the step's phase."""

    def shift(self, name: str, x: T) -> T:
        """Add the quality-dependent shift ``name`` to the channels of each position."""

    def add(self, a: T, b: T) -> T:
        """Sum of two arrays."""

    def relu(self, x: T) -> T:
        """Positive part."""


def mean_and_scale(ops: Arithmetic[T, G], step: Step, features: G, known: G) -> tuple[T, T]:
    """Mean and log2 of the scale of each number that ``step`` codes, in natural units of the latent.

    ``features`` are the grown hyper vectors, ``known`` the C-vectors as decoded so far, zero where unknown.
    """
    h = ops.linear(f"{step.name}_hyper", ops.select(features, step))
    if step.known:
        h = ops.add(h, ops.context(f"{step.name}_context", known, step))
    h = ops.relu(ops.shift(f"{step.name}_shift", h))
    h = ops.relu(ops.linear(f"{step.name}_hidden", h))
    return ops.linear(f"{step.name}_mean", h), ops.linear(f"{step.name}_scale", h)
