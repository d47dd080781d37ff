"use strict";
// DATA comes from data.js: {images, metrics, curves, published, about, bdRate, gains, gallery, ours}.

const byId = (id) => document.getElementById(id);
const METRIC_NAMES = { psnr: "PSNR, dB", psnr_y: "PSNR-Y, dB", ssim: "SSIM", ms_ssim: "MS-SSIM", ssimulacra2: "SSIMULACRA2" };

function option(select, value, text = value) {
  select.add(new Option(text, value));
}

// Curves

const hidden = new Set(Object.keys(DATA.published));

function traces() {
  const metric = byId("metric").value;
  const found = Object.entries(DATA.curves).map(([name, metrics]) => ({ name, points: metrics[metric], dash: "solid" }));
  if (metric === "psnr") {
    for (const [name, points] of Object.entries(DATA.published)) found.push({ name, points, dash: "dash" });
  }
  return found.filter((t) => t.points.length && !hidden.has(t.name)).map((t) => ({
    name: t.name, mode: "lines+markers", line: { dash: t.dash },
    x: t.points.map((p) => p[0]), y: t.points.map((p) => p[1]),
  }));
}

function draw() {
  Plotly.react("plot", traces(), {
    xaxis: { title: { text: "bit/pixel" }, type: byId("log-rate").checked ? "log" : "linear" },
    yaxis: { title: { text: METRIC_NAMES[byId("metric").value] } },
    margin: { t: 20 }, hovermode: "closest", showlegend: true,
    legend: { orientation: "h", y: -0.2 },
  }, { responsive: true, displaylogo: false });
}

function addToggle(name) {
  const label = document.createElement("label");
  const box = document.createElement("input");
  box.type = "checkbox";
  box.checked = !hidden.has(name);
  box.dataset.curve = name;
  box.addEventListener("change", () => {
    if (box.checked) hidden.delete(name); else hidden.add(name);
    draw();
  });
  label.append(box, " " + name);
  byId("curve-toggles").append(label);
}

// Table of BD-rates

function buildRates() {
  const head = byId("rates").tHead.insertRow();
  for (const title of ["against", ...DATA.metrics.map((metric) => METRIC_NAMES[metric].replace(", dB", ""))]) {
    const th = document.createElement("th");
    th.scope = "col";
    th.textContent = title;
    head.append(th);
  }
  for (const anchor of Object.keys(DATA.bdRate[DATA.metrics[0]])) {
    const row = byId("rates").tBodies[0].insertRow();
    cell(row, anchor);
    for (const metric of DATA.metrics) cell(row, DATA.bdRate[metric][anchor]?.toFixed(1) ?? "");
  }
  for (const [codec, text] of Object.entries(DATA.about)) {
    for (const [tag, content] of [["dt", codec], ["dd", text]]) {
      const item = document.createElement(tag);
      item.textContent = content;
      byId("about").append(item);
    }
  }
}

// Table of gains

const gainCodecs = Object.keys(DATA.gains);
let sortKey = gainCodecs[0];

function cell(row, content) {
  const td = row.insertCell();
  td.append(content);
  return td;
}

function fillTable() {
  const names = [...DATA.images].sort((a, b) =>
    (sortKey === "picture" ? a.localeCompare(b) : (DATA.gains[sortKey][a] ?? 1e9) - (DATA.gains[sortKey][b] ?? 1e9)));
  const body = byId("gains").tBodies[0];
  body.replaceChildren();
  for (const name of names) {
    const row = body.insertRow();
    const open = document.createElement("button");
    open.textContent = name;
    open.addEventListener("click", () => {
      byId("picture").value = name;
      show();
      byId("viewer").scrollIntoView();
      byId("slider").focus();
    });
    cell(row, DATA.gallery[name] ? open : name);
    for (const codec of gainCodecs) cell(row, DATA.gains[codec][name]?.toFixed(1) ?? "");
  }
}

function buildTable() {
  const row = byId("gains").tHead.insertRow();
  for (const key of ["picture", ...gainCodecs]) {
    const th = document.createElement("th");
    th.scope = "col";
    const button = document.createElement("button");
    button.textContent = key === "picture" ? "picture" : "against " + key;
    button.addEventListener("click", () => { sortKey = key; fillTable(); });
    th.append(button);
    row.append(th);
  }
  fillTable();
}

// Viewer

function caption(side) {
  const found = DATA.gallery[byId("picture").value][byId(side).value];
  const figures = found.bytes ? `: ${found.bytes} bytes, ${found.psnr.toFixed(2)} dB` : "";
  return `${side} ${byId(side).value}${figures}`;
}

function show() {
  const shown = DATA.gallery[byId("picture").value];
  byId("above").src = shown[byId("left").value].file;
  byId("below").src = shown[byId("right").value].file;
  byId("stage").classList.toggle("difference", byId("difference").checked);
  byId("stage").style.setProperty("--split", byId("slider").value + "%");
  byId("caption").textContent = `${caption("left")} · ${caption("right")}`;
}

function zoom() {
  const stage = byId("stage");
  stage.classList.toggle("zoomed", byId("zoom").value !== "");
  stage.style.setProperty("--zoom", byId("zoom").value || 1);
  stage.style.setProperty("--width", byId("above").naturalWidth);
}

// One finger or the mouse moves the divider; two fingers pan a zoomed picture.
function followPointers() {
  const frame = byId("frame"), fingers = new Map();
  frame.addEventListener("pointerdown", (event) => {
    const box = byId("stage").getBoundingClientRect();
    if (event.clientX > frame.getBoundingClientRect().left + frame.clientWidth || event.clientX > box.right) return;
    if (event.clientY > frame.getBoundingClientRect().top + frame.clientHeight) return; // on a scroll bar
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    frame.setPointerCapture(event.pointerId);
    move(event);
  });
  function move(event) {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (fingers.size > 1) {
      frame.scrollBy((before[0] - event.clientX) / fingers.size, (before[1] - event.clientY) / fingers.size);
      return;
    }
    const box = byId("stage").getBoundingClientRect();
    byId("slider").value = Math.min(100, Math.max(0, (100 * (event.clientX - box.left)) / box.width));
    show();
  }
  frame.addEventListener("pointermove", move);
  for (const end of ["pointerup", "pointercancel"]) frame.addEventListener(end, (event) => fingers.delete(event.pointerId));
}

function buildViewer() {
  const names = Object.keys(DATA.gallery);
  if (!names.length) {
    byId("viewer").hidden = true;
    return;
  }
  names.forEach((name) => option(byId("picture"), name));
  const codecs = Object.keys(DATA.gallery[names[0]]);
  for (const side of ["left", "right"]) codecs.forEach((codec) => option(byId(side), codec));
  byId("left").value = DATA.ours;
  byId("right").value = codecs.find((codec) => codec !== "original" && codec !== DATA.ours) ?? "original";
  for (const id of ["picture", "left", "right", "difference"]) byId(id).addEventListener("change", show);
  byId("slider").addEventListener("input", show);
  byId("zoom").addEventListener("change", zoom);
  byId("above").addEventListener("load", zoom);
  followPointers();
  show();
}

byId("summary").textContent = `${DATA.images.length} pictures, ${Object.keys(DATA.curves).length} codecs; ` +
  "real bytes, real decodes; mean over the pictures of rate and of quality at each setting.";
DATA.metrics.forEach((metric) => option(byId("metric"), metric, METRIC_NAMES[metric]));
[...Object.keys(DATA.curves), ...Object.keys(DATA.published)].forEach(addToggle);
for (const id of ["metric", "log-rate"]) byId(id).addEventListener("change", draw);
draw();
buildRates();
buildTable();
buildViewer();
document.body.dataset.ready = "true";
