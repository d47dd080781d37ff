/** Cells that repeat the one before them. A cell is the square of positions that one hyper vector grows into. */

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

/** Write that no cell repeats. @param {import("./residuals.js").ResidualWriter} writer */
export function writeNoRepeats(writer) {
  writer.writeUniform(0, SHARES);
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
