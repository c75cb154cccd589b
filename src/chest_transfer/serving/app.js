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
let entries = []; // the radiographs on the page: {file, article, explainedClass}
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
  const added = files.slice(0, MAX_IMAGES).map((file) => ({ file, explainedClass: "", article: template.cloneNode(true) }));
  for (const { file, article } of added) {
    article.querySelector("h3").textContent = file.name;
    const slider = article.querySelector("input");
    const heatMap = article.querySelector(".heat");
    const fade = () => { heatMap.style.opacity = slider.value / 100; };
    slider.addEventListener("input", fade);
    fade();
  }
  entries = [...added, ...entries].slice(0, MAX_IMAGES);
  byId("results").replaceChildren(...entries.map((entry) => entry.article));
  const skipped = files.length > MAX_IMAGES ? ` Only the first ${MAX_IMAGES} of ${files.length} files were used.` : "";
  analyzeAll(added, skipped);
}

function analyzeAgain() {
  generation += 1;
  analyzeAll(entries);
}

async function analyzeAll(selected, note = "") {
  const startedIn = generation;
  for (const entry of selected) entry.article.classList.add("waiting");
  for (const [index, entry] of selected.entries()) {
    byId("status").textContent = `Analyzing radiograph ${index + 1} of ${selected.length}.${note}`;
    await analyze(entry);
    if (startedIn !== generation) return;
  }
  const count = selected.length === 1 ? "1 radiograph" : `${selected.length} radiographs`;
  byId("status").textContent = selected.length ? `${count} analyzed.${note}` : "";
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
  find(".verdict").className = `verdict ${result.error ? "error" : ""}`;
  if (result.error) {
    find(".verdict").textContent = `Not analyzed: ${result.error}`;
    return;
  }
  const predicted = new Intl.ListFormat("en").format(result.predicted.map(readable));
  const isAbnormal = model.multi_label ? result.predicted.length > 0 : result.predicted[0] !== model.classes[0];
  find(".verdict").textContent = predicted ? `Prediction: ${predicted}` : "Prediction: no finding reaches its threshold";
  find(".verdict").classList.toggle("abnormal", isAbnormal);
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
    ? "Calibrated probability. The mark shows the threshold, which was chosen on the validation patients."
    : "Calibrated probabilities. The most probable class is the prediction.";
  find(".why").textContent =
    `Bright areas raise the model's score for ${readable(result.explained)} (Grad-CAM). They show where it looked, not why.`;
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
