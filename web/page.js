/** The page: a picture becomes a .fin file, and is shown beside other formats of as many bytes. */

import { decode, encode, info } from "./finola-codec.js";
import { toPng } from "./png.js";

const OTHERS = { JPEG: "image/jpeg", WebP: "image/webp", AVIF: "image/avif" };
const MAX_SIDE = 2048; // larger pictures are made smaller, so that the page answers within seconds
const SEARCH = 7; // halvings of the range of qualities at which another format has as many bytes
const find = (id) => document.getElementById(id);

/** What is shown now: the source, if there is one, and what was made of it. */
const state = { name: "", source: null, file: null, picture: null, other: "JPEG", work: 0 };

find("files").addEventListener("change", ({ target }) => target.files[0] && open(target.files[0]));
find("drop").addEventListener("keydown", ({ key }) => (key === "Enter" || key === " ") && find("files").click());
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("over");
});
addEventListener("dragleave", () => document.body.classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  if (event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => event.clipboardData.files[0] && open(event.clipboardData.files[0]));
find("slider").addEventListener("input", ({ target }) => find("compare").style.setProperty("--split", `${target.value}%`));
find("quality").addEventListener("input", ({ target }) => (find("quality-value").value = target.value));
find("quality").addEventListener("change", () => state.source && run(encodeSource));

for (const name of Object.keys(OTHERS)) {
  const button = Object.assign(document.createElement("button"), { textContent: name, type: "button" });
  button.addEventListener("click", () => {
    state.other = name;
    run(compare);
  });
  find("others").append(button);
}

/** Do something that takes a while and say what goes wrong; what was begun before it no longer counts. */
async function run(work) {
  const own = ++state.work;
  const isCurrent = () => own === state.work;
  try {
    await work(isCurrent);
    if (isCurrent()) say("");
  } catch (error) {
    if (isCurrent()) say(error.message, "error");
  }
  document.body.dataset.ready = String(own);
}

function say(text, kind = "") {
  find("status").textContent = text;
  find("status").className = kind;
}

function open(file) {
  state.name = file.name.replace(/\.[^.]*$/, "") || "picture";
  return run(async (isCurrent) => {
    if (file.name.toLowerCase().endsWith(".fin")) {
      state.source = null;
      await show(new Uint8Array(await file.arrayBuffer()), isCurrent);
      return;
    }
    state.source = await readPicture(file);
    await encodeSource(isCurrent);
  });
}

/** The pixels of a picture that the browser can read, upright, not larger than the page wants them. */
async function readPicture(file) {
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error(`${file.name} is not a picture that this browser reads.`);
  });
  const scale = Math.min(1, MAX_SIDE / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  return { canvas, pixels: context.getImageData(0, 0, width, height) };
}

async function encodeSource(isCurrent) {
  say("Encoding. The first time the model is fetched, too.", "busy");
  const file = await encode(state.source.pixels, { quality: Number(find("quality").value) });
  if (isCurrent()) await show(file, isCurrent);
}

/** Decode a file and show it. */
async function show(file, isCurrent) {
  say("Decoding.", "busy");
  const found = info(file);
  const begun = performance.now();
  const picture = await decode(file);
  if (!isCurrent()) return;
  const seconds = (performance.now() - begun) / 1000;
  Object.assign(state, { file, picture });
  const png = toPng(picture);
  replace(find("above"), "src", png);
  replace(find("download-fin"), "href", new Blob([file], { type: "image/x-finola" }));
  replace(find("download-png"), "href", png);
  find("download-fin").download = `${state.name}.fin`;
  find("download-png").download = `${state.name}.png`;
  find("quality-label").hidden = find("others").hidden = !state.source;
  find("compare").classList.toggle("single", !state.source);
  find("result").hidden = false;
  tell({
    size: `${found.width} x ${found.height}`,
    ".fin": `${bytes(file.length)}, ${found.bpp.toFixed(2)} bpp`,
    quality: String(found.quality),
    decoded: `in ${seconds.toFixed(1)} s`,
    ...(state.source ? { "PSNR of .fin": psnr(picture.data) } : {}),
  });
  if (state.source) await compare(isCurrent);
}

/** Show the other format at the quality at which it has as many bytes as the .fin file, or the next it can have. */
async function compare(isCurrent) {
  say(`Looking for a ${state.other} of as many bytes.`, "busy");
  for (const button of find("others").children) button.ariaPressed = String(button.textContent === state.other);
  const blob = await atBytes(OTHERS[state.other], state.file.length);
  if (!isCurrent()) return;
  if (!blob) throw new Error(`This browser cannot write ${state.other}.`);
  replace(find("below"), "src", blob);
  find("other-tag").textContent = state.other;
  const { pixels } = await readPicture(new File([blob], state.other));
  if (!isCurrent()) return;
  tell({ [state.other]: bytes(blob.size), [`PSNR of ${state.other}`]: psnr(pixels.data) });
}

/** The largest file of a type that has at most `limit` bytes, or the smallest there is; null where it cannot be written. */
async function atBytes(type, limit) {
  const write = (quality) => state.source.canvas.convertToBlob({ type, quality });
  let best = await write(0);
  if (best.type !== type) return null;
  for (let low = 0, high = 1, i = 0; i < SEARCH && best.size <= limit; i++) {
    const middle = (low + high) / 2;
    const blob = await write(middle);
    if (blob.size <= limit) [best, low] = [blob, middle];
    else high = middle;
  }
  return best;
}

/** Facts under the picture; of those about other formats only the last one's. */
function tell(facts) {
  const before = "size" in facts ? {} : Object.fromEntries(Object.entries(state.facts).filter(([key]) => !isOther(key)));
  state.facts = { ...before, ...facts };
  find("facts").replaceChildren(
    ...Object.entries(state.facts).map(([key, value]) => {
      const box = document.createElement("div");
      for (const [tag, text] of [["dt", key], ["dd", value]]) {
        box.append(Object.assign(document.createElement(tag), { textContent: text }));
      }
      return box;
    }),
  );
}

function isOther(key) {
  return Object.keys(OTHERS).some((name) => key.endsWith(name));
}

function replace(element, attribute, blob) {
  if (element[attribute].startsWith("blob:")) URL.revokeObjectURL(element[attribute]);
  element[attribute] = URL.createObjectURL(blob);
}

function bytes(count) {
  return count < 10_000 ? `${count} bytes` : `${(count / 1000).toFixed(1)} kB`;
}

/** PSNR of colours against the source. */
function psnr(data) {
  const source = state.source.pixels.data;
  let sum = 0;
  for (let i = 0; i < source.length; i++) if (i % 4 !== 3) sum += (source[i] - data[i]) ** 2;
  return `${(10 * Math.log10(255 ** 2 / Math.max(sum / (source.length * 0.75), 1e-9))).toFixed(2)} dB`;
}
