/** Windows: what of a large picture is synthesised at once, with the margin that the networks see around it. */

/**
 * A part of a map: from row `top` up to `bottom`, from column `left` up to `right`, in positions.
 * @typedef {{top: number, bottom: number, left: number, right: number}} Area
 */

/**
 * Cover a map by windows.
 * @param {number} height rows of the map
 * @param {number} width columns of the map
 * @param {number} side pixels a side of a position
 * @param {number} pixels that a window has at most
 * @param {number} margin pixels that a window reads around it
 * @returns {Generator<{outer: Area, inner: Area}>} what a window reads, and what it gives
 */
export function* windows(height, width, side, pixels, margin) {
  const positions = Math.floor(pixels / side ** 2);
  const border = Math.ceil(margin / side);
  const columns = Math.max(1, Math.min(width, Math.floor(Math.sqrt(2 * positions))));
  const rows = Math.max(1, Math.floor(positions / columns));
  for (let top = 0; top < height; top += rows) {
    for (let left = 0; left < width; left += columns) {
      const inner = { top, bottom: Math.min(top + rows, height), left, right: Math.min(left + columns, width) };
      const outer = {
        top: Math.max(0, top - border),
        bottom: Math.min(inner.bottom + border, height),
        left: Math.max(0, left - border),
        right: Math.min(inner.right + border, width),
      };
      yield { outer, inner };
    }
  }
}
