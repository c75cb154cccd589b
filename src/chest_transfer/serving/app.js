// Sends radiographs one at a time to /api/predict and shows the predictions. Nothing is kept after the page is closed.
"use strict";

const MAX_IMAGES = 20;
const byId = (id) => document.getElementById(id);
const create = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
const percent = (value) => `${(100 * value).toFixed(1)}%`;
const readable = (name) => name.replaceAll("_", " ");

let catalog; // the response of /api/models
let entries = []; // the radiographs on the page: {file, article, explainedClass, showsAnyMap}
let answers = []; // the rows of the table of this session
let generation = 0; // increases if all radiographs are analyzed again; an earlier pass then stops

async function initialize() {
  catalog = await (await fetch("/api/models")).json();
  byId("max-size").textContent = `${Math.round(catalog.limits.bytes / 2 ** 20)} MB`;
  byId("max-images").textContent = MAX_IMAGES;
  const groups = new Map();
  for (const model of catalog.models) {
    const dataset = readable(model.dataset);
    if (!groups.has(dataset)) groups.set(dataset, create("optgroup", { label: dataset }));
    const textContent = `${dataset}: ${model.backbone}, ${model.regime}-${model.start}`;
    groups.get(dataset).append(create("option", { value: model.name, textContent }));
  }
  byId("model").append(...groups.values());
  for (const name of catalog.examples) {
    const image = create("img", { src: `/examples/${encodeURIComponent(name)}`, alt: "" });
    const button = create("button", { type: "button" }, image, name);
    button.addEventListener("click", async () => {
      const content = await (await fetch(image.src)).blob();
      addFiles([new File([content], `simulated: ${name}`)]);
    });
    byId("examples").append(create("li", {}, button));
  }
  byId("model").addEventListener("change", () => { showModel(); analyzeAgain(); });
  byId("operating-point").addEventListener("change", analyzeAgain);
  byId("files").addEventListener("change", () => { addFiles([...byId("files").files]); byId("files").value = ""; });
  for (const type of ["dragover", "dragleave", "drop"]) {
    byId("drop").addEventListener(type, (event) => {
      event.preventDefault();
      byId("drop").classList.toggle("over", type === "dragover");
      if (type === "drop") addFiles([...event.dataTransfer.files]);
    });
  }
  byId("download").addEventListener("click", downloadAnswers);
  byId("clear").addEventListener("click", () => { answers = []; showAnswers(); });
  byId("close").addEventListener("click", () => byId("enlarged").close());
  byId("larger").addEventListener("click", () => zoom(1.5));
  byId("smaller").addEventListener("click", () => zoom(1 / 1.5));
  showModel();
}

const selectedModel = () => catalog.models.find((model) => model.name === byId("model").value);

function showModel() {
  const model = selectedModel();
  const points = Object.entries(model.points);
  byId("operating-point").replaceChildren(...points.map(([value, textContent]) => create("option", { value, textContent })));
  const facts = [["Training", model.training], ["Classes", model.classes.map(readable).join(", ")]];
  const size = ([images, patients]) => `${images} radiographs of ${patients} patients`;
  if (model.trained_on) facts.push(["Training set", model.trained_on]);
  if (model.auc) {
    const [auc, low, high] = model.auc.map((value) => (value === null ? "?" : value.toFixed(3)));
    const interval = model.auc[1] === null ? "too few patients for an interval" : `95% CI: ${low} to ${high}`;
    facts.push(["Test AUC", `${auc} (${interval})`], ["Test set", size(model.test)]);
  } else {
    facts.push(["Test AUC", "unknown: the metrics in this folder are those of another model"]);
  }
  facts.push(["File", model.name]);
  const items = facts.flatMap(([term, value]) => [create("dt", { textContent: term }), create("dd", { textContent: value })]);
  byId("facts").replaceChildren(...items);
  const serious = model.cautions.filter((caution) => caution.serious);
  const others = model.cautions.filter((caution) => !caution.serious);
  byId("warnings").replaceChildren(...serious.map(({ text }) => create("li", { className: "serious", textContent: text })));
  byId("remarks").replaceChildren(...others.map(({ text }) => create("li", { textContent: text })));
  byId("more-cautions").hidden = !others.length;
  byId("more-cautions").firstElementChild.textContent = `Other limitations of this model (${others.length})`;
}

function addFiles(files) {
  const template = byId("result-template").content.firstElementChild;
  const added = files.slice(0, MAX_IMAGES).map((file) => ({ file, explainedClass: "", showsAnyMap: false, article: template.cloneNode(true) }));
  for (const entry of added) {
    const { file, article } = entry;
    article.querySelector("h3").textContent = file.name;
    article.querySelector(".shown").addEventListener("click", () => enlarge(entry));
    article.querySelector(".nevertheless").addEventListener("click", () => { entry.showsAnyMap = true; showHeatMap(entry); });
    const slider = article.querySelector("input");
    const heatMap = article.querySelector(".heat");
    const fade = () => { heatMap.style.opacity = slider.value / 100; };
    slider.addEventListener("input", fade);
    fade();
  }
  entries = [...added, ...entries].slice(0, MAX_IMAGES);
  byId("results").replaceChildren(...entries.map((entry) => entry.article));
  const leftOut = files.slice(MAX_IMAGES).map((file) => file.name);
  byId("left-out").hidden = !leftOut.length;
  byId("left-out").textContent = `Left out, because at most ${MAX_IMAGES} files are analyzed at a time: ${leftOut.join(", ")}.`;
  analyzeAll(added);
}

function analyzeAgain() {
  generation += 1;
  analyzeAll(entries);
}

async function analyzeAll(selected) {
  const startedIn = generation;
  for (const entry of selected) entry.article.classList.add("waiting");
  for (const [index, entry] of selected.entries()) {
    byId("status").textContent = `Analyzing radiograph ${index + 1} of ${selected.length}.`;
    await analyze(entry);
    if (startedIn !== generation) return;
  }
  const count = selected.length === 1 ? "1 radiograph" : `${selected.length} radiographs`;
  byId("status").textContent = selected.length ? `${count} analyzed.` : "";
}

async function analyze(entry) {
  const model = selectedModel();
  const point = byId("operating-point").value;
  const explain = model.classes.includes(entry.explainedClass) ? entry.explainedClass : "";
  const query = new URLSearchParams({ model: model.name, operating_point: point, explain, pictures: "1" });
  let result;
  try {
    if (entry.file.size > catalog.limits.bytes) throw new Error(`the file is larger than ${byId("max-size").textContent}`);
    const response = await fetch(`/api/predict?${query}`, { method: "POST", body: entry.file });
    const isJson = (response.headers.get("content-type") ?? "").includes("json");
    result = isJson ? await response.json() : { error: `the app responded with HTTP status ${response.status}` };
  } catch (error) {
    result = { error: error.message };
  }
  if (model === selectedModel() && point === byId("operating-point").value) showResult(entry, model, result);
}

function showResult(entry, model, result) {
  const find = (selector) => entry.article.querySelector(selector);
  entry.article.classList.remove("waiting");
  for (const part of [".shown", ".opacity", ".why", ".scale", ".classes", ".doubts"]) find(part).hidden = Boolean(result.error);
  find(".simulated").hidden = Boolean(result.error) || !result.simulated;
  find(".nevertheless").hidden = true;
  find(".verdict").className = `verdict ${result.error ? "error" : ""}`;
  if (result.error) {
    find(".verdict").textContent = `Not analyzed: ${result.error}.`;
    addAnswer({ entry, file: entry.file.name, model: model.name, answer: `not analyzed: ${result.error}`, operatingPoint: byId("operating-point").value });
    return;
  }
  find(".verdict").textContent = `${result.answer.charAt(0).toUpperCase()}${result.answer.slice(1)}.`;
  find(".verdict").classList.toggle("abnormal", result.is_ill);
  find(".doubts").replaceChildren(...result.cautions.map((caution) => create("li", { textContent: `Caution: ${caution}.` })));
  find(".radiograph").src = result.picture;
  find(".radiograph").alt = entry.file.name;
  find(".heat").src = result.heat_map;
  find(".heat").alt = `Heat map for ${readable(result.explained)}`;
  const isBinary = typeof result.threshold === "number";
  const thresholds = isBinary ? { [model.classes[1]]: result.threshold } : result.threshold || {};
  const classes = model.classes.length === 2 ? [model.classes[1]] : model.classes;
  find(".classes").replaceChildren(...classes.map((name) => classRow(entry, result, name, thresholds[name])));
  find(".scale").textContent = Object.keys(thresholds).length
    ? `Calibrated probability. The mark shows the threshold${isBinary ? `, ${percent(result.threshold)}` : ""}, chosen on the validation patients for ${model.points[result.operating_point]}.`
    : "Calibrated probabilities. The most probable class is the prediction.";
  entry.result = result;
  entry.model = model;
  showHeatMap(entry);
  const shown = Object.keys(thresholds).length ? result.predicted.filter((name) => name in thresholds) : result.predicted;
  const named = shown.length ? shown : classes;
  addAnswer({
    entry, file: entry.file.name, model: model.name, answer: result.answer,
    probability: named.map((name) => `${readable(name)} ${result.probabilities[name].toFixed(3)}`).join(", "),
    threshold: named.filter((name) => name in thresholds).map((name) => thresholds[name].toFixed(3)).join(", "),
    operatingPoint: result.operating_point, cautions: result.cautions.join("; "),
    trainedOn: result.simulated ? "simulated patients" : model.dataset,
  });
}

// A heat map is shown where the maps of this model point to the class more often than chance, or on request.
function showHeatMap({ article, result, model, showsAnyMap }) {
  const { is_shown: isTrusted, text } = model.heat_maps[result.explained];
  const isShown = isTrusted || showsAnyMap;
  article.querySelector(".heat").hidden = !isShown;
  article.querySelector(".opacity").hidden = !isShown;
  article.querySelector(".nevertheless").hidden = isShown;
  const meaning = `Bright areas raise the model's score for ${readable(result.explained)} (HiResCAM). They show where it looked, not why: `;
  article.querySelector(".why").textContent = isShown ? `${meaning}${text}.` : `No heat map: ${text}.`;
}

function enlarge({ file, article }) {
  const dialog = byId("enlarged");
  for (const part of [".radiograph", ".heat"]) {
    const image = article.querySelector(part);
    const copy = dialog.querySelector(part);
    Object.assign(copy, { src: image.src, alt: image.alt, hidden: image.hidden });
    copy.style.opacity = image.style.opacity;
  }
  byId("enlarged-name").textContent = file.name;
  dialog.querySelector(".layers").style.width = "100%";
  dialog.showModal();
}

function zoom(factor) {
  const layers = byId("enlarged").querySelector(".layers");
  const width = Math.min(800, Math.max(100, factor * Number.parseFloat(layers.style.width)));
  layers.style.width = `${width}%`;
}

function addAnswer(answer) {
  answers = answers.filter(({ entry, model, operatingPoint }) =>
    entry !== answer.entry || model !== answer.model || operatingPoint !== answer.operatingPoint);
  answers.push(answer);
  showAnswers();
}

function showAnswers() {
  byId("session").hidden = !answers.length;
  const cells = ({ file, model, answer, probability, threshold, cautions }) => [file, model, answer, probability, threshold, cautions];
  byId("answers").replaceChildren(...answers.map((answer) =>
    create("tr", {}, ...cells(answer).map((textContent) => create("td", { textContent: textContent ?? "" })))));
}

function downloadAnswers() {
  const columns = ["file", "model", "answer", "probability", "threshold", "operatingPoint", "cautions", "trainedOn"];
  const header = columns.map((name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`));
  // A quote before = + - @ keeps a spreadsheet from taking a file's name for a formula.
  const cell = (value) => `"${String(value ?? "").replace(/^[=+\-@\t\r＝＋－＠]/, "'$&").replaceAll('"', '""')}"`;
  const lines = [header.join(","), ...answers.map((answer) => columns.map((name) => cell(answer[name])).join(","))];
  const address = URL.createObjectURL(new Blob([`${lines.join("\n")}\n`], { type: "text/csv" }));
  create("a", { href: address, download: "answers.csv" }).click();
  URL.revokeObjectURL(address);
}

function classRow(entry, result, name, threshold) {
  const probability = result.probabilities[name];
  const fill = create("span", { className: "fill" });
  fill.style.width = percent(probability);
  const bar = create("span", { className: "bar" }, fill);
  let description = `${readable(name)} ${percent(probability)}`;
  if (threshold !== undefined) {
    const mark = create("span", { className: "cut", title: `threshold ${percent(threshold)}` });
    mark.style.left = `${100 * threshold}%`;
    bar.append(mark);
    description += `, threshold ${percent(threshold)}`;
  }
  const button = create("button", { type: "button", className: result.predicted.includes(name) ? "predicted" : "" },
    create("span", { textContent: readable(name) }), bar,
    create("span", { className: "value", textContent: percent(probability) }));
  button.setAttribute("aria-pressed", String(name === result.explained));
  button.setAttribute("aria-label", `${description}; show its heat map`);
  button.addEventListener("click", () => { entry.explainedClass = name; analyzeAll([entry]); });
  return create("li", {}, button);
}

initialize();
