"""FINOLA against the paper's equations."""

from __future__ import annotations

import pytest
import torch

from finola_codec.nn.finola import EPSILON, Finola, grow_map

PATCHES = [(4, 4, None), (5, 3, None), (1, 1, None), (4, 4, (0, 0)), (4, 4, (3, 1)), (3, 6, (2, 5)), (16, 16, (7, 7))]


def norm(v: torch.Tensor) -> torch.Tensor:
    return (v - v.mean()) / torch.sqrt(v.var(unbiased=False) + EPSILON)


def walk(v: torch.Tensor, matrix: torch.Tensor, count: int) -> torch.Tensor:
    for _ in range(count):
        v = v + matrix @ norm(v)
    return v


def naive(finola: Finola, seed: torch.Tensor, height: int, width: int, row: int, column: int) -> torch.Tensor:
    """Position by position, straight from the paper: along x then y, along y then x, averaged."""
    out = torch.empty(height, width, len(seed), dtype=seed.dtype)
    for i in range(height):
        for j in range(width):
            x = (finola.right, j - column) if j >= column else (finola.left, column - j)
            y = (finola.down, i - row) if i >= row else (finola.up, row - i)
            out[i, j] = (walk(walk(seed, *x), *y) + walk(walk(seed, *y), *x)) / 2
    return out


@pytest.mark.parametrize(("height", "width", "seed"), PATCHES)
def test_equals_the_naive_recursion(height: int, width: int, seed: tuple[int, int] | None) -> None:
    torch.manual_seed(1)
    finola = Finola(12)
    vectors = torch.randn(3, 12)
    grown = finola(vectors[:, None, None], height, width, seed)
    row, column = seed or ((height - 1) // 2, (width - 1) // 2)
    for vector, patch in zip(vectors, grown, strict=True):
        torch.testing.assert_close(patch, naive(finola, vector, height, width, row, column), atol=1e-5, rtol=1e-5)


def test_neighbours_obey_equations_1_and_3() -> None:
    """Along the seed's row z(x+1) = z(x) + A n(z(x)), and to the left with A'; along its column B and B'."""
    torch.manual_seed(2)
    finola = Finola(8)
    grown = finola(torch.randn(1, 1, 1, 8), 7, 7)[0]
    for k in range(3):
        for matrix, here, there in (
            (finola.right, (3, 3 + k), (3, 4 + k)),
            (finola.left, (3, 3 - k), (3, 2 - k)),
            (finola.down, (3 + k, 3), (4 + k, 3)),
            (finola.up, (3 - k, 3), (2 - k, 3)),
        ):
            torch.testing.assert_close(grown[there], walk(grown[here], matrix, 1), atol=1e-5, rtol=1e-5)


def test_growth_does_not_depend_on_where_a_block_lies() -> None:
    torch.manual_seed(3)
    finola = Finola(8)
    grid = torch.randn(2, 8, 3, 5)
    grown = grow_map(finola, grid, 4)
    assert grown.shape == (2, 8, 12, 20)
    moved = grow_map(finola, grid.roll((1, 2), (2, 3)), 4)
    torch.testing.assert_close(moved, grown.roll((4, 8), (2, 3)))


def test_gradients_reach_every_matrix_and_the_seed() -> None:
    finola = Finola(8)
    seed = torch.randn(2, 1, 1, 8, requires_grad=True)
    finola(seed, 4, 4).square().sum().backward()
    for tensor in (seed, *finola.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()
        assert tensor.grad.abs().max() > 0


def test_zero_matrices_repeat_the_seed() -> None:
    finola = Finola(8)
    for matrix in finola.parameters():
        torch.nn.init.zeros_(matrix)
    seed = torch.randn(2, 1, 1, 8)
    torch.testing.assert_close(finola(seed, 3, 4), seed.expand(2, 3, 4, 8))


def test_seed_outside_the_patch_is_refused() -> None:
    with pytest.raises(ValueError, match="outside"):
        Finola(4)(torch.randn(1, 1, 1, 4), 4, 4, (4, 0))
