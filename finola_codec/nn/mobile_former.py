"""Mobile-Former, the encoder of the paper: a MobileNet and a few transformer tokens that talk at every block.

Widths are the paper's W720 (expansion / output channels, 6 tokens of 192), times a factor. (Chen et al.,
"Mobile-Former: Bridging MobileNet and Transformer", 2022.)
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finola_codec.nn.blocks import QualityTable, conv

TOKENS, TOKEN_WIDTH = 6, 192
STEM, LITE = 16, (32, 16)
BLOCKS = (  # stride, expansion, output
    (2, 96, 28),
    (1, 84, 28),
    (2, 168, 48),
    (1, 144, 48),
    (1, 144, 48),
    (2, 240, 80),
    (1, 320, 88),
    (1, 480, 88),
    (1, 528, 120),
    (1, 720, 120),
    (1, 720, 120),
)
OUTPUT = 720


def depthwise(width: int, stride: int = 1, inputs: int | None = None) -> nn.Conv2d:
    """Return a 3x3 convolution of each channel by itself; more outputs than inputs are several of each."""
    return nn.Conv2d(inputs or width, width, 3, stride, 1, groups=inputs or width)


class MobileFormer(nn.Module):
    """Pixels to a map at stride 16."""

    def __init__(self, factor: float, anchors: int) -> None:
        super().__init__()

        def scaled(channels: int) -> int:
            return max(4, 4 * round(channels * factor / 4))

        self.width = scaled(OUTPUT)
        token_width = scaled(TOKEN_WIDTH)
        self.tokens = nn.Parameter(torch.randn(TOKENS, token_width))
        self.quality = QualityTable(anchors, token_width)
        stem, (lite, last) = scaled(STEM), map(scaled, LITE)
        self.stem = nn.Conv2d(3, stem, 3, 2, 1)
        self.lite = nn.Sequential(conv(stem, lite, 1), nn.ReLU(), depthwise(lite), nn.ReLU(), conv(lite, last, 1))
        self.blocks = nn.ModuleList()
        for stride, expansion, output in BLOCKS:
            self.blocks.append(Block(last, scaled(expansion), scaled(output), stride, token_width))
            last = scaled(output)
        self.head = conv(last, self.width, 1)
        self._start()

    @torch.no_grad()
    def _start(self) -> None:
        """Start such that pictures keep their scale from layer to layer, and tokens write nothing.

        The paper's has batch norms. Without them torch's own start lets pictures fade beside the biases: features
        differ between pictures by a twentieth of their mean, and nothing is learned for long.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
            if isinstance(module, Block):
                nn.init.zeros_(module.write.value.weight)
                nn.init.zeros_(module.write.value.bias)

    def forward(self, x: Tensor, mix: Tensor) -> Tensor:
        """Pixels (N, 3, H, W) to a map (N, width, H/16, W/16); the tokens are told the quality."""
        tokens = self.tokens + self.quality(mix)[:, None]
        f = self.lite(F.relu(self.stem(x)))
        for block in self.blocks:
            f, tokens = block(f, tokens)
        return F.relu(self.head(normalise(f)))


class Block(nn.Module):
    """Mobile to former, former, mobile, former to mobile."""

    def __init__(self, inputs: int, expansion: int, outputs: int, stride: int, token_width: int) -> None:
        super().__init__()
        self.down = nn.Sequential(depthwise(inputs, stride), nn.ReLU()) if stride > 1 else nn.Identity()
        self.read = Attention(token_width, inputs, token_width)
        self.former = nn.TransformerEncoderLayer(
            token_width, nhead=4, dim_feedforward=2 * token_width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.expand = conv(inputs, expansion, 1)
        self.mix = depthwise(expansion)
        self.project = conv(expansion, outputs, 1)
        self.first, self.second = (DynamicReLU(token_width, expansion) for _ in range(2))
        self.write = Attention(outputs, token_width, outputs)
        self.residual = inputs == outputs and stride == 1

    def forward(self, x: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        x = self.down(x)
        normed = normalise(x)
        tokens = self.former(tokens + self.read(_normalised(tokens), normed.flatten(2).mT))
        told = _normalised(tokens)
        f = self.project(self.second(self.mix(self.first(self.expand(normed), told[:, 0])), told[:, 0]))
        f = x + f if self.residual else f
        written = self.write(normalise(f).flatten(2).mT, told).mT.unflatten(2, f.shape[2:])
        return f + written, tokens


def normalise(x: Tensor) -> Tensor:
    """Bring each map (N, channels, h, w) to mean zero and variance one, where the paper has batch norms.

    Without, tokens and maps that scale each other drive each other up until gradients overflow.
    """
    return F.group_norm(x, 1)


def _normalised(tokens: Tensor) -> Tensor:
    return F.layer_norm(tokens, tokens.shape[-1:])


class Attention(nn.Module):
    """Single-head cross attention."""

    def __init__(self, query_width: int, source_width: int, outputs: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_width, source_width, bias=False)
        self.value = nn.Linear(source_width, outputs)

    def forward(self, queries: Tensor, source: Tensor) -> Tensor:
        """``queries`` (N, Q, query width) read ``source`` (N, S, source width): (N, Q, outputs)."""
        logits = self.query(queries) @ source.mT / math.sqrt(source.shape[-1])
        return logits.softmax(-1).to(source.dtype) @ self.value(source)


class DynamicReLU(nn.Module):
    """max(a x + b, c x + d), with the four of each channel read from a token; starts as the plain ReLU.

    They are within 1 of the plain ReLU's (Chen et al., "Dynamic ReLU", 2020).
    """

    def __init__(self, token_width: int, channels: int) -> None:
        super().__init__()
        self.coefficients = nn.Linear(token_width, 4 * channels)
        nn.init.zeros_(self.coefficients.weight)
        nn.init.zeros_(self.coefficients.bias)

    def forward(self, x: Tensor, token: Tensor) -> Tensor:
        a, b, c, d = self.coefficients(token).tanh().to(x.dtype)[:, :, None, None].chunk(4, dim=1)
        return torch.maximum((1 + a) * x + b, c * x + d)
