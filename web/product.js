/** Products of 64 bits, in two halves of 32. */

const BASE = 2 ** 32;
/** A scale is divided into what is above 2^20 and 20 lower bits. */
export const HALF = 2 ** 20;

/** The lower 32 bits of the last product; the upper ones are what {@link productHigh} returns. */
export let productLow = 0;

/** Multiply a scale of 40 bits, in two halves of 20, by a factor of 24: the upper 32 bits. */
export function productHigh(scaleHigh, scaleLow, factor) {
  const upper = scaleHigh * factor; // below 2^44, in units of 2^20
  const upperHigh = Math.floor(upper / 4096);
  const lower = (upper - upperHigh * 4096) * HALF + scaleLow * factor; // below 2^32 + 2^44
  const carry = Math.floor(lower / BASE);
  productLow = lower - carry * BASE;
  return upperHigh + carry;
}
