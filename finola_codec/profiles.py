"""Profiles: the frozen description of one member of the family, shared by training and coding.

A profile is what ``model.json`` says of a model's architecture. Nothing else reads that part of it.

>>> profile = from_dict({"kind": "block", "name": "small", "channels": 32, "groups": [8, 24]})
>>> profile.hyper_channels, from_dict(profile.to_dict()) == profile
(128, True)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

from finola_codec.entropy.prior import PriorSpec
from finola_codec.errors import ConfigError
from finola_codec.fields import build
from finola_codec.quality import lagrange_multiplier


@dataclass(frozen=True)
class Profile:
    """What every member has: ``block`` pixels a side are covered by one C-vector (C = ``channels``).

    FINOLA grows it into a ``block / stride`` square patch of the feature map.
    """

    name: str
    block: int
    stride: int
    channels: int
    lambda_min: float  # quality 1; loss = bpp + lambda * 255^2 * MSE
    lambda_max: float  # quality 100
    anchors: int = 8  # points in log lambda between which what depends on quality is interpolated
    unit: float = 3.5  # natural unit of the latent: coefficients of pixels in [0, 1] times this

    kind: ClassVar[str]
    decodes_by: ClassVar[tuple[str, ...]] = ("block", "stride", "channels", "anchors")  # fields that decoding reads

    @property
    def patch(self) -> int:
        """Side of the patch of the feature map that one C-vector grows into."""
        return self.block // self.stride

    @property
    def encoder_margin(self) -> int:
        """Pixels around a window that the encoder sees."""
        raise NotImplementedError

    @property
    def encoder_grid_margin(self) -> int:
        """C-vectors around a window that the encoder sees on their grid, besides."""
        return 0

    @property
    def decoder_grid_margin(self) -> int:
        """C-vectors around a window that the decoder sees besides, on their grid."""
        return 0

    @property
    def decoder_margin(self) -> int:
        """Pixels around a window that the decoder sees."""
        raise NotImplementedError

    def lambdas(self, position: Any) -> Any:
        """Lambda at positions (a number, array or tensor) in [0, 1] of the quality range."""
        return lagrange_multiplier(position, self.lambda_min, self.lambda_max)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary, read back by :func:`from_dict`."""
        return {"kind": self.kind} | {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def decoding(self) -> dict[str, Any]:
        """Return the part of :meth:`to_dict` that decoding depends on: what the model's id covers."""
        everything = self.to_dict()
        return {name: everything[name] for name in ("kind", *self.decodes_by)}


@dataclass(frozen=True)
class BlockProfile(Profile):
    """Small blocks under a hyperprior with a causal context: the family of finola-base."""

    block: int = 16
    stride: int = 4
    channels: int = 384
    lambda_min: float = 0.0003
    lambda_max: float = 0.25
    seed_channels: int = 192  # width of the vector that FINOLA grows
    encoder_widths: tuple[int, int, int] = (128, 192, 256)  # at stride 4, 8, 16
    encoder_depths: tuple[int, int, int] = (3, 4, 6)
    decoder_width: int = 128  # at the feature map's stride
    decoder_depth: int = 5
    refine_depth: int = 4  # residual blocks on the grid of C-vectors, before growth
    groups: tuple[int, ...] = (16, 32, 64, 272)  # channel groups of the causal context
    hyper_channels: int = 128
    hyper_patch: int = 4  # one hyper vector for hyper_patch x hyper_patch C-vectors
    context_width: int = 128
    context_kernel: int = 3  # C-vectors a side that the causal context reads

    kind: ClassVar[str] = "block"
    decodes_by: ClassVar[tuple[str, ...]] = (
        *Profile.decodes_by,
        "groups",
        "hyper_channels",
        "hyper_patch",
        "context_width",
        "context_kernel",
    )

    def __post_init__(self) -> None:
        if self.block != 16 or self.stride < 1 or self.block % self.stride:
            raise ConfigError(f"profile {self.name}: block 16 with a stride that divides it is supported")
        if sum(self.groups) != self.channels:
            raise ConfigError(f"profile {self.name}: groups {self.groups} do not add up to {self.channels} channels")
        if self.context_kernel < 1 or self.context_kernel % 2 == 0:
            raise ConfigError(f"profile {self.name}: context_kernel {self.context_kernel} is not odd")

    @property
    def encoder_margin(self) -> int:
        """Pixels around a window that the encoder sees up to the grid of blocks, a 3 x 3 convolution one position."""
        d4, d8, _ = self.encoder_depths
        return max(4 * (1 + d4) + 8 * d8, self.block)  # the lapped transform sees half a block

    @property
    def encoder_grid_margin(self) -> int:
        """C-vectors of margin that the encoder's last stage needs."""
        return self.encoder_depths[2]

    @property
    def decoder_grid_margin(self) -> int:
        """C-vectors of margin that the blocks before growth need."""
        return self.refine_depth

    @property
    def decoder_margin(self) -> int:
        """Pixels around a window that the decoder sees from growth on: its residual blocks and its last layer."""
        return max(self.stride * (self.decoder_depth + 1), self.block)  # the lapped transform sees one block

    @property
    def prior(self) -> PriorSpec:
        """The sizes of the prior that training and coding share."""
        return PriorSpec(
            channels=self.channels,
            groups=self.groups,
            hyper_channels=self.hyper_channels,
            hyper_patch=self.hyper_patch,
            width=self.context_width,
            kernel=self.context_kernel,
            anchors=self.anchors,
        )


@dataclass(frozen=True)
class TileProfile(Profile):
    """One C-vector for a large tile, under a prior a channel: the paper's codec, the family of finola-256.

    The C-vector has a slot of ``channels / patch^2`` numbers for each position of the map.
    """

    block: int = 256
    stride: int = 16
    channels: int = 6144
    lambda_min: float = 0.0003
    lambda_max: float = 0.04
    rank: int = 64  # of what training adds to the shifts that FINOLA's matrices start from
    encoder: str = "conv"  # or "mobile-former"
    encoder_widths: tuple[int, int, int] = (96, 192, 384)  # of conv, at stride 4, 8, 16
    encoder_depths: tuple[int, int, int] = (1, 2, 2)
    mobile_former_width: float = 0.5  # of mobile-former, times the paper's W720
    heads: int = 4  # of the attention that pools the encoder's map
    decoder_widths: tuple[int, int, int] = (384, 256, 128)  # at stride 16, 8, 4
    decoder_depths: tuple[int, int, int] = (2, 2, 2)

    kind: ClassVar[str] = "tile"

    def __post_init__(self) -> None:
        if self.stride != 16 or self.block % self.stride or self.channels % self.patch**2:
            raise ConfigError(f"profile {self.name}: stride 16, and as many channels for each of its positions")
        if self.encoder not in ("conv", "mobile-former"):
            raise ConfigError(f"profile {self.name}: encoder {self.encoder!r} is neither conv nor mobile-former")

    @property
    def encoder_margin(self) -> int:
        """Nothing: each tile is encoded by itself."""
        return 0

    @property
    def decoder_margin(self) -> int:
        """Pixels around a window that the decoder's convolutions see, at stride 16, 8 and 4."""
        d16, d8, d4 = self.decoder_depths
        return max(16, 16 * d16 + 8 * d8 + 4 * (d4 + 1))

    @property
    def depth(self) -> int:
        """Numbers in each slot of the C-vector."""
        return self.channels // self.patch**2


KINDS: dict[str, type[Profile]] = {kind.kind: kind for kind in (BlockProfile, TileProfile)}


def from_dict(values: Mapping[str, Any]) -> Profile:
    """Rebuild a :class:`Profile` from :meth:`Profile.to_dict`; fields that are not named have their default.

    Raises :class:`ConfigError` for an unknown kind or field, or values that make no sense.
    """
    given = dict(values)
    kind = given.pop("kind", None)
    if kind not in KINDS:
        raise ConfigError(f"profile: its kind is {kind!r}, not one of {', '.join(KINDS)}")
    return build(KINDS[kind], given, f"profile {given.get('name', '')}")


FINOLA_BASE = BlockProfile("finola-base")
FINOLA_256 = TileProfile("finola-256")
FINOLA_TINY = replace(  # for tests and quick experiments: trains in seconds
    FINOLA_BASE,
    name="finola-tiny",
    channels=32,
    seed_channels=32,
    encoder_widths=(16, 24, 32),
    encoder_depths=(1, 1, 1),
    decoder_width=16,
    decoder_depth=1,
    refine_depth=1,
    groups=(8, 24),
    hyper_channels=16,
    context_width=32,
)
FINOLA_TINY_TILE = replace(
    FINOLA_256,
    name="finola-tiny-tile",
    block=64,
    channels=96,
    rank=4,
    encoder_widths=(8, 12, 16),
    encoder_depths=(1, 1, 1),
    mobile_former_width=0.1,
    heads=2,
    decoder_widths=(16, 12, 8),
    decoder_depths=(1, 1, 1),
)

PROFILES = {p.name: p for p in (FINOLA_BASE, FINOLA_256, FINOLA_TINY, FINOLA_TINY_TILE)}
