/** Other formats, at the quality at which they have as many bytes as a .fin file. */

const TRIES = 7; // qualities that are tried; sizes are smooth, so these come close
const CLOSE = 0.985; // of the bytes that a file may have: it is not looked any further
const HIGHEST = 100;

/** What writes each format: the browser, or libavif in WebAssembly, because no browser writes AVIF. */
const WRITERS = {
  AVIF: writeAvif,
  WebP: (source, quality) => writeByBrowser(source, "image/webp", quality),
  JPEG: (source, quality) => writeByBrowser(source, "image/jpeg", quality),
};

/** The names of the formats. @type {string[]} */
export const FORMATS = Object.keys(WRITERS);

/**
 * The largest file of a format that has at most `limit` bytes, or the smallest there is.
 * @param {string} format
 * @param {{canvas: OffscreenCanvas, pixels: ImageData}} source
 * @param {number} limit
 * @returns {Promise<Blob>}
 * @throws {Error} where this browser cannot write the format
 */
export async function atBytes(format, source, limit) {
  const write = async (quality) => ({ quality, blob: await WRITERS[format](source, quality) });
  let low = await write(0);
  if (low.blob.size > limit) return low.blob;
  let high = null;
  for (let i = 1; i < TRIES && low.blob.size < CLOSE * limit; i++) {
    const next = between(low, high, limit);
    if (next === low.quality) break;
    const tried = await write(next);
    if (tried.blob.size <= limit) low = tried;
    else high = tried;
  }
  return low.blob;
}

/** The quality between two at which a file would have `limit` bytes if their logarithm were a line, or half way. */
function between(low, high, limit) {
  if (!high) return Math.min(HIGHEST, low.quality + 40);
  const part = Math.log(limit / low.blob.size) / Math.log(high.blob.size / low.blob.size);
  const found = Math.round(low.quality + Math.min(Math.max(part, 0.15), 0.85) * (high.quality - low.quality));
  return high.quality - low.quality < 2 ? low.quality : Math.min(Math.max(found, low.quality + 1), high.quality - 1);
}

async function writeByBrowser({ canvas }, type, quality) {
  const blob = await canvas.convertToBlob({ type, quality: quality / HIGHEST });
  if (blob.type !== type) throw new Error(`This browser cannot write ${type}.`);
  return blob;
}

let avif = null;

function writeAvif({ pixels }, quality) {
  avif ??= new Worker(new URL("./avif-worker.js", import.meta.url), { type: "module" });
  return new Promise((resolve, reject) => {
    avif.onmessage = ({ data }) => (data.file ? resolve(new Blob([data.file], { type: "image/avif" })) : reject(new Error(data.error)));
    avif.onerror = () => reject(new Error("The encoder of AVIF cannot be started: is the folder avif beside this page?"));
    avif.postMessage({ data: pixels.data, width: pixels.width, height: pixels.height, quality });
  });
}
