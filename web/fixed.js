/** Exact arithmetic: integers in float64, of which every sum stays below 2^53. */

/** What one is with 12 fractional bits. */
export const ONE = 4096;
/** Values saturate here. */
export const LIMIT = 2 ** 26;
/** FINOLA's vectors saturate here. */
export const FINOLA_LIMIT = 2 ** 19;
const EPSILON = 2 ** 14;
const MAGIC = 1.5 * 2 ** 52;

/** Round to the nearest integer, halves to the even one. It is exact below 2^51. @param {number} x @returns {number} */
export function round(x) {
  return x + MAGIC - MAGIC; // the sum has no room for a fraction, and IEEE 754 rounds it half to even
}

/** @param {number} x @param {number} low @param {number} high @returns {number} */
export function clip(x, low, high) {
  return x < low ? low : x > high ? high : x;
}

/** Drop 12 fractional bits and saturate. @param {number} x @returns {number} */
export function rescale(x) {
  return clip(round(x / ONE), -LIMIT, LIMIT);
}

/**
 * FINOLA's norm of each row of `channels` numbers.
 * @param {Float64Array} rows
 * @param {number} channels
 * @param {Float64Array} out as many numbers; it may be `rows`
 */
export function normalise(rows, channels, out) {
  for (let begin = 0; begin < rows.length; begin += channels) {
    let sum = 0;
    let squares = 0;
    for (let i = begin; i < begin + channels; i++) {
      sum += rows[i];
      squares += rows[i] * rows[i];
    }
    const root = Math.sqrt(channels * squares - sum * sum + channels * channels * EPSILON);
    for (let i = begin; i < begin + channels; i++) out[i] = round(((channels * rows[i] - sum) / root) * ONE);
  }
}

/** The exact mix of a quality. @param {number} quality @param {number} anchors @returns {number[]} */
export function exactMix(quality, anchors) {
  const where = Math.floor(((quality - 1) * (anchors - 1) * ONE) / 99);
  return Array.from({ length: anchors }, (_, i) => Math.max(0, ONE - Math.abs(where - ONE * i)));
}
