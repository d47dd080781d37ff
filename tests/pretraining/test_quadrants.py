"""Groups and offsets of the quarter that is seen, against cases counted by hand."""

from __future__ import annotations

import pytest
import torch

from finola_codec.pretraining.masked_finola_b import MaskedFinolaB
from finola_codec.pretraining.quadrants import Group, Quadrant, anywhere
from tests.pretraining.conftest import tiny


def test_a_corner_has_one_group() -> None:
    assert Quadrant(0, 0, 2, 2).groups() == [Group(slice(0, 2), slice(0, 2), 2, 2)]
    assert Quadrant(2, 0, 2, 2).groups() == [Group(slice(2, 4), slice(0, 2), -2, 2)]
    assert Quadrant(2, 2, 2, 2).groups() == [Group(slice(2, 4), slice(2, 4), -2, -2)]


def test_an_edge_has_two_groups() -> None:
    """At the top, in the middle: the left half answers for the left, the right half for the right."""
    assert Quadrant(0, 1, 2, 2).groups() == [
        Group(slice(0, 2), slice(1, 2), 2, -1),
        Group(slice(0, 2), slice(2, 3), 2, 1),
    ]


def test_the_middle_has_four_groups() -> None:
    assert Quadrant(1, 1, 2, 2).groups() == [
        Group(slice(1, 2), slice(1, 2), -1, -1),
        Group(slice(1, 2), slice(2, 3), -1, 1),
        Group(slice(2, 3), slice(1, 2), 1, -1),
        Group(slice(2, 3), slice(2, 3), 1, 1),
    ]


def test_a_block_off_the_middle_has_groups_of_unequal_size() -> None:
    """Of 4 rows, with 1 masked above and 3 below, the first answers for that above and the others for those below."""
    rows = {(group.rows.start, group.rows.stop, group.down) for group in Quadrant(1, 2, 4, 4).groups()}
    assert rows == {(1, 2, -1), (2, 5, 3)}


@pytest.mark.parametrize("row", range(5))
@pytest.mark.parametrize("column", range(5))
def test_the_counterparts_are_the_masked_region(row: int, column: int) -> None:
    """Every masked position is predicted once, and no position of the block is."""
    block = Quadrant(row, column, 4, 4)
    times = torch.zeros(8, 8, dtype=torch.int64)
    for rows, columns, down, right in block.groups():
        for y in range(rows.start, rows.stop):
            for x in range(columns.start, columns.stop):
                for place in ((y + down, x), (y, x + right), (y + down, x + right)):
                    times[place] += 1
    assert torch.equal(times, block.masked()[0].long())


def test_blocks_lie_anywhere() -> None:
    torch.manual_seed(0)
    drawn = {(block.row, block.column) for block in (anywhere(torch.zeros(1, 3, 64, 64)) for _ in range(200))}
    assert drawn == {(row, column) for row in range(3) for column in range(3)}


def test_a_block_sees_its_own_pixels() -> None:
    x = torch.arange(64 * 64).view(1, 1, 64, 64)
    seen = Quadrant(1, 0, 2, 2).seen(x)
    assert seen.shape == (1, 1, 32, 32)
    assert (seen[0, 0, 0, 0], seen[0, 0, 31, 31]) == (16 * 64, 47 * 64 + 31)


def test_the_steps_are_those_of_equation_3() -> None:
    """One vector channel apart: the step down by hand, twice, and to both sides averaged."""
    method = MaskedFinolaB(tiny("masked-finola-b"))
    z = torch.randn(1, 2, 2, 32)

    def hat(v: torch.Tensor) -> torch.Tensor:
        return (v - v.mean(-1, keepdim=True)) / (v.var(-1, unbiased=False, keepdim=True) + 2**-10).sqrt()

    whole = method.extend(z, Quadrant(0, 0, 2, 2))
    a, b = method.finola.right, method.finola.down
    down = z
    right = z
    for _ in range(2):
        down, right = down + hat(down) @ b.T, right + hat(right) @ a.T
    torch.testing.assert_close(whole[:, :2, :2], z)
    torch.testing.assert_close(whole[:, 2:, :2], down)
    torch.testing.assert_close(whole[:, :2, 2:], right)
    across, beneath = down, right
    for _ in range(2):
        across, beneath = across + hat(across) @ a.T, beneath + hat(beneath) @ b.T
    torch.testing.assert_close(whole[:, 2:, 2:], (across + beneath) / 2)
