/** Cells that repeat the one before them. A cell is the square of positions that one hyper vector grows into. */

import { clip } from "./fixed.js";
import { TOTAL } from "./tables.js";

const SHARES = 32;

/**
 * Which of `count` cells repeat.
 * @param {import("./residuals.js").ResidualReader} reader
 * @param {number} count
 * @returns {Int32Array} of 0 and 1
 */
export function readRepeats(reader, count) {
  const share = reader.readUniform(SHARES);
  return share ? reader.readFlags(count, share * (TOTAL / SHARES)) : new Int32Array(count);
}

/**
 * Write which cells repeat.
 * @param {import("./residuals.js").ResidualWriter} writer
 * @param {Uint8Array} repeats of 0 and 1
 */
export function writeRepeats(writer, repeats) {
  const share = shareOf(repeats);
  writer.writeUniform(share, SHARES);
  if (share) writer.writeFlags(repeats, share * (TOTAL / SHARES));
}

/** The bits that it takes to tell which cells repeat. @param {Uint8Array} repeats @returns {number} */
export function costOfRepeats(repeats) {
  const share = shareOf(repeats) / SHARES;
  const count = repeats.reduce((sum, flag) => sum + flag, 0);
  return share ? -count * Math.log2(share) - (repeats.length - count) * Math.log2(1 - share) : 0;
}

/** What a payload says of the share of cells that repeat: 0 for none, otherwise 1 to 31. */
function shareOf(repeats) {
  const count = repeats.reduce((sum, flag) => sum + flag, 0);
  return count ? clip(Math.round((SHARES * count) / repeats.length), 1, SHARES - 1) : 0;
}

/**
 * For each position, what `repeats` says of its cell.
 * @param {ArrayLike<number>} repeats
 * @param {{height: number, width: number}} grid rows and columns of positions
 * @param {number} patch positions a side of a cell
 * @returns {Uint8Array}
 */
export function positionsOfCells(repeats, { height, width }, patch) {
  const columns = Math.ceil(width / patch);
  const found = new Uint8Array(height * width);
  for (let i = 0; i < found.length; i++) {
    found[i] = repeats[Math.floor(Math.floor(i / width) / patch) * columns + Math.floor((i % width) / patch)];
  }
  return found;
}

/**
 * The cell before a cell: at its left, or above it in the first column; -1 before the first.
 * @param {number} cell in raster order
 * @param {number} columns of cells
 * @returns {number}
 */
export function cellBefore(cell, columns) {
  if (cell === 0) return -1;
  return cell % columns ? cell - 1 : cell - columns;
}
