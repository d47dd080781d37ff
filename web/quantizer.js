/** Real numbers to residuals: the nearest integer, or the one that costs less. */

import { clip, round } from "./fixed.js";
import { MAX_RESIDUAL } from "./residuals.js";

/** @param {number} wanted in steps @returns {number} the nearest integer that can be coded */
export function nearest(wanted) {
  return clip(round(wanted), -MAX_RESIDUAL, MAX_RESIDUAL);
}

/**
 * Rate-distortion optimised quantization: the nearest integer or the next one towards zero, whichever makes bits + price
 * times squared error less.
 * @param {Float64Array} wanted rows of as many numbers as there are prices, in steps
 * @param {Uint8Array} bins the table of each
 * @param {Float64Array} prices of a squared error of one step
 * @param {import("./tables.js").Tables} tables
 * @returns {Int32Array}
 */
export function cheaper(wanted, bins, prices, tables) {
  return Int32Array.from(wanted, (target, i) => {
    const high = nearest(target);
    if (high === 0) return 0;
    const low = high - Math.sign(high);
    const saved = tables.bits(high, bins[i]) - tables.bits(low, bins[i]);
    const worse = prices[i % prices.length] * ((target - low) ** 2 - (target - high) ** 2);
    return saved > worse ? low : high;
  });
}
