/** What a .fin file holds as other formats: the alpha plane, a PNG, and the layer, a lossless WebP. */

import { FormatError } from "./errors.js";

/**
 * The pixels of a picture that the browser decodes: exactly, without conversion of colours or premultiplication.
 * @param {Uint8Array} data
 * @param {"image/png" | "image/webp"} type
 * @param {number} width
 * @param {number} height
 * @param {string} what it is called in messages
 * @returns {Promise<Uint8Array | Uint8ClampedArray>} (height, width, 4) RGBA
 * @throws {FormatError} where it is damaged or has another size
 */
export async function decodeRaster(data, type, width, height, what) {
  let bitmap;
  try {
    const blob = new Blob([data], { type });
    bitmap = await createImageBitmap(blob, { premultiplyAlpha: "none", colorSpaceConversion: "none" });
  } catch (error) {
    throw new FormatError(`the ${what} is damaged`, { cause: error });
  }
  try {
    if (bitmap.width !== width || bitmap.height !== height) throw new FormatError(`the ${what} does not fit the picture`);
    return await readBitmap(bitmap);
  } finally {
    bitmap.close();
  }
}

/** Read a bitmap through a canvas: what is opaque comes out as it is, and nothing else is wanted of a layer. */
async function readBitmap(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  if (!context) throw new FormatError("the picture is larger than this browser's canvas");
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height).data;
}

/**
 * The alpha plane.
 * @param {Uint8Array} data the chunk's payload
 * @returns {Promise<Uint8Array | null>} (height, width), or null where the picture is opaque everywhere
 */
export async function decodeAlpha(data, width, height) {
  if (!data.length) return null;
  if (!isGreyPng(data)) throw new FormatError("the alpha plane is damaged: it is not a grey PNG of 8 bits");
  const rgba = await decodeRaster(data, "image/png", width, height, "alpha plane");
  return Uint8Array.from({ length: width * height }, (_, i) => rgba[4 * i]);
}

/**
 * The layer of exact pixels.
 * @param {Uint8Array} data the chunk's payload
 * @param {boolean} isGrey whether the picture is grey
 * @returns {Promise<Uint8Array | Uint8ClampedArray>} (height, width, 4), with an alpha of 0 or 255
 */
export async function decodeLayer(data, width, height, isGrey) {
  if (!isLosslessWebp(data)) throw new FormatError("the layer is damaged: it is not a lossless WebP");
  const rgba = await decodeRaster(data, "image/webp", width, height, "layer");
  for (let i = 0; i < rgba.length; i += 4) {
    const grey = rgba[i] === rgba[i + 1] && rgba[i] === rgba[i + 2];
    if (rgba[i + 3] !== 0 && (rgba[i + 3] !== 255 || (isGrey && !grey))) {
      throw new FormatError("the layer has pixels that a layer cannot have");
    }
  }
  return rgba;
}

/** Whether a PNG's header says 8 bits of grey. */
function isGreyPng(data) {
  return tag(data, 1, 3) === "PNG" && tag(data, 12, 4) === "IHDR" && data[24] === 8 && data[25] === 0;
}

/** Whether a RIFF file is a WebP with a lossless picture and without an animation. */
function isLosslessWebp(data) {
  if (tag(data, 0, 4) !== "RIFF" || tag(data, 8, 4) !== "WEBP") return false;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (let at = 12; at + 8 <= data.length; ) {
    if (tag(data, at, 4) === "VP8L") return true;
    if (["VP8 ", "ANIM"].includes(tag(data, at, 4))) return false;
    const size = view.getUint32(at + 4, true);
    at += 8 + size + (size & 1);
  }
  return false;
}

function tag(data, at, length) {
  return String.fromCharCode(...data.subarray(at, at + length));
}
