/** CRC-32 as in zlib and PNG. */

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/**
 * The CRC-32 of some parts, one after the other.
 * @param {...Uint8Array} parts
 * @returns {number} from 0 to 2^32 - 1
 */
export function crc32(...parts) {
  let value = 0xffffffff;
  for (const part of parts) {
    for (let i = 0; i < part.length; i++) value = (value >>> 8) ^ TABLE[(value ^ part[i]) & 0xff];
  }
  return (value ^ 0xffffffff) >>> 0;
}
