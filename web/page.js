/** The page: a picture becomes a .fin file, and is shown beside other formats of as many bytes. */

import { decode, encode, info } from "./finola-codec.js";
import { FORMATS, atBytes } from "./others.js";
import { toPng } from "./png.js";

const MAX_SIDE = 2048; // larger pictures are made smaller, so that the page answers within seconds
const ORIGINAL = "Original";
const find = (id) => document.getElementById(id);

/**
 * What is shown now: the source, if there is one, and what was made of it. `others` are the files and pixels of other
 * formats that have been made for this .fin file.
 */
const state = { name: "", source: null, file: null, picture: null, other: FORMATS[0], others: new Map(), work: 0 };

find("files").addEventListener("change", ({ target }) => {
  if (target.files[0]) open(target.files[0]);
  target.value = ""; // so that the same file can be chosen again
});
find("sample").addEventListener("click", () =>
  run(async (isCurrent) => {
    const blob = await (await fetch("sample.webp")).blob();
    await take(new File([blob], "coffee.webp", { type: blob.type }), isCurrent);
  }),
);
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
find("quality").addEventListener("input", ({ target }) => (find("quality-value").value = target.value));
find("quality").addEventListener("change", () => state.source && run(encodeSource));

// The line between the pictures follows a finger or the mouse; the slider is for the keyboard.
const split = (percent) => find("compare").style.setProperty("--split", `${(find("slider").value = percent)}%`);
find("slider").addEventListener("input", ({ target }) => split(target.value));
find("compare").addEventListener("pointerdown", (event) => {
  find("compare").setPointerCapture(event.pointerId);
  follow(event);
});
find("compare").addEventListener("pointermove", (event) => {
  if (find("compare").hasPointerCapture(event.pointerId)) follow(event);
});

function follow({ clientX }) {
  const { left, width } = find("compare").getBoundingClientRect();
  split(Math.min(Math.max((100 * (clientX - left)) / width, 0), 100));
}

for (const name of [...FORMATS, ORIGINAL]) {
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
  delete document.body.dataset.ready;
  try {
    await work(isCurrent);
    if (isCurrent()) say("");
  } catch (error) {
    if (isCurrent()) say(error.message, "error");
  }
  if (isCurrent()) document.body.dataset.ready = String(own);
}

function say(text, kind = "") {
  find("status").textContent = text;
  find("status").className = kind;
}

function open(file) {
  return run((isCurrent) => take(file, isCurrent));
}

/** Show a .fin file, or make one of a picture. */
async function take(file, isCurrent) {
  if (file.name.toLowerCase().endsWith(".fin")) {
    const data = new Uint8Array(await file.arrayBuffer());
    info(data); // what is no .fin file leaves the page as it was
    Object.assign(state, { name: stem(file), source: null });
    await show(data, isCurrent);
    return;
  }
  const source = await readPicture(file);
  Object.assign(state, { name: stem(file), source });
  await encodeSource(isCurrent);
}

function stem({ name }) {
  return name.replace(/\.[^.]*$/, "") || "picture";
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
  return { file, canvas, isReduced: scale < 1, pixels: context.getImageData(0, 0, width, height) };
}

async function encodeSource(isCurrent) {
  say("Encoding. The first time the codec is fetched, too.", "busy");
  const file = await encode(state.source.pixels, { quality: Number(find("quality").value) });
  if (isCurrent()) await show(file, isCurrent);
}

/** Decode a file and show it. */
async function show(file, isCurrent) {
  say("Decoding.", "busy");
  const begun = performance.now();
  const picture = await decode(file);
  if (!isCurrent()) return;
  const seconds = (performance.now() - begun) / 1000;
  Object.assign(state, { file, picture });
  state.others.clear();
  const png = toPng(picture);
  replace(find("above"), "src", png);
  replace(find("download-fin"), "href", new Blob([file], { type: "image/x-finola" }));
  replace(find("download-png"), "href", png);
  find("download-fin").download = `${state.name}.fin`;
  find("download-png").download = `${state.name}.png`;
  find("compare").classList.toggle("single", !state.source);
  find("compare").style.setProperty("--aspect", String(picture.width / picture.height));
  find("compare").style.setProperty("--natural", String(picture.width));
  find("quality-label").hidden = find("others").hidden = !state.source;
  find("result").hidden = false;
  find("drop").querySelector("strong").textContent = "Another picture";
  document.body.classList.add("has-picture");
  find("facts").textContent = factsOf(info(file), seconds).join(" · ");
  find("scores").replaceChildren();
  if (state.source) await compare(isCurrent);
}

function factsOf({ width, height, bpp, quality, bytes: size }, seconds) {
  const { source } = state;
  return [
    `${width} × ${height} pixels${source?.isReduced ? ", made smaller for this page" : ""}`,
    ...(source ? [] : [bytes(size), `quality ${quality}`]),
    `${bpp.toFixed(2)} bits per pixel`,
    `decoded in ${seconds.toFixed(1)} s`,
    ...(source && !source.isReduced && source.file.size > size ? [`1/${Math.round(source.file.size / size)} of the file that you chose`] : []),
  ];
}

/** Show the other format at the quality at which it has as many bytes as the .fin file, or the next it can have. */
async function compare(isCurrent) {
  const name = state.other;
  for (const button of find("others").children) button.ariaPressed = String(button.textContent === name);
  if (!state.others.has(name)) {
    say(name === ORIGINAL ? "" : `Looking for the ${name} of as many bytes.`, "busy");
    const other = await otherOf(name);
    if (!isCurrent()) return;
    state.others.set(name, other);
  }
  const { blob, pixels } = state.others.get(name);
  replace(find("below"), "src", blob);
  find("below").alt = find("other-tag").textContent = name;
  const own = psnr(state.picture.data);
  if (name === ORIGINAL) {
    find("scores").replaceChildren(score(".fin", own, bytes(state.file.length)), score(name, null, bytes(state.source.file.size)));
    return;
  }
  const others = psnr(pixels.data);
  const note = blob.size > state.file.length ? ", and it has none smaller" : "";
  find("scores").replaceChildren(
    score(".fin", own, bytes(state.file.length), own > others),
    score(name, others, bytes(blob.size) + note, others > own),
  );
}

/** A picture in another format, and its pixels. */
async function otherOf(name) {
  if (name === ORIGINAL) return { blob: await state.source.canvas.convertToBlob(), pixels: state.source.pixels };
  const blob = await atBytes(name, state.source, state.file.length);
  return { blob, pixels: (await readPicture(new File([blob], name))).pixels };
}

function score(name, level, size, isBetter = false) {
  const box = document.createElement("div");
  box.classList.toggle("better", isBetter);
  const add = (tag, text) => box.append(Object.assign(document.createElement(tag), { textContent: text }));
  add("h2", name);
  add("strong", level === null ? "every pixel" : `${level.toFixed(2)} dB`);
  add("span", size);
  return box;
}

function replace(element, attribute, blob) {
  if (element[attribute].startsWith("blob:")) URL.revokeObjectURL(element[attribute]);
  element[attribute] = URL.createObjectURL(blob);
}

function bytes(count) {
  return count < 10_000 ? `${count.toLocaleString("en")} bytes` : `${(count / 1000).toFixed(1)} kB`;
}

/** PSNR of colours against the source. */
function psnr(data) {
  const source = state.source.pixels.data;
  let sum = 0;
  for (let i = 0; i < source.length; i++) if (i % 4 !== 3) sum += (source[i] - data[i]) ** 2;
  return 10 * Math.log10(255 ** 2 / Math.max(sum / (source.length * 0.75), 1e-9));
}
