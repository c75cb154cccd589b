// The page: pictures are sent one by one to /api/predict, and what comes back is drawn. Nothing is kept after it is closed.
"use strict";

const MOST = 20; // pictures at a time
const at = (id) => document.getElementById(id);
const made = (name, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
};
const percent = (value) => `${(100 * value).toFixed(1)} %`;
const shown = (name) => name.replaceAll("_", " ");

let told; // what /api/models says
let run = 0; // of another model or picture: answers of earlier runs are dropped
let asked = []; // {file, article, explained}

async function start() {
  told = await (await fetch("/api/models")).json();
  at("largest").textContent = `${Math.round(told.limits.bytes / 2 ** 20)} MB`;
  at("most").textContent = MOST;
  const groups = new Map();
  for (const model of told.models) {
    if (!groups.has(model.dataset)) groups.set(model.dataset, made("optgroup", { label: shown(model.dataset) }));
    groups.get(model.dataset).append(made("option", { value: model.name, textContent: `${shown(model.dataset)}: ${model.backbone}, ${model.way}` }));
  }
  at("model").append(...groups.values());
  for (const name of told.examples) {
    const picture = made("img", { src: `/examples/${encodeURIComponent(name)}`, alt: "" });
    const button = made("button", { type: "button" }, picture, name);
    button.addEventListener("click", async () => {
      const content = await (await fetch(picture.src)).blob();
      add([new File([content], `simulated: ${name}`)]);
    });
    at("examples").append(made("li", {}, button));
  }
  at("model").addEventListener("change", () => { describe(); askAll(asked); });
  at("point").addEventListener("change", () => askAll(asked));
  at("files").addEventListener("change", () => { add([...at("files").files]); at("files").value = ""; });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    at("drop").addEventListener(kind, (event) => {
      event.preventDefault();
      at("drop").classList.toggle("over", kind === "dragover");
      if (kind === "drop") add([...event.dataTransfer.files]);
    });
  }
  describe();
}

const chosen = () => told.models.find((model) => model.name === at("model").value);

function describe() {
  const model = chosen();
  at("point").replaceChildren(...Object.entries(model.points).map(([value, textContent]) => made("option", { value, textContent })));
  const rows = [["Made", model.made], ["Calls", model.classes.map(shown).join(", ")]];
  if (model.trained_on) rows.push(["Trained on", `${model.trained_on[0]} radiographs of ${model.trained_on[1]} patients`]);
  if (model.auc) {
    const [auc, low, high] = model.auc.map((value) => (value === null ? "?" : value.toFixed(3)));
    rows.push(["Test AUC", `${auc} (95 %: ${low} to ${high})`], ["Tested on", `${model.test[0]} radiographs of ${model.test[1]} patients`]);
  } else {
    rows.push(["Test AUC", "not known here: the metrics are of another model"]);
  }
  rows.push(["File", model.name]);
  at("facts").replaceChildren(...rows.flatMap(([name, value]) => [made("dt", { textContent: name }), made("dd", { textContent: value })]));
  const [serious, other] = [true, false].map((wanted) => model.cautions.filter((caution) => caution.serious === wanted));
  const items = (cautions, className) => cautions.map(({ text }) => made("li", { className, textContent: text }));
  at("warnings").replaceChildren(...items(serious, "serious"));
  at("remarks").replaceChildren(...items(other, ""));
  at("more").hidden = !other.length;
  at("more").firstElementChild.textContent = `What else must be known of it (${other.length})`;
}

function add(files) {
  if (files.length > MOST) at("status").textContent = `The first ${MOST} of ${files.length} are taken.`;
  const fresh = files.slice(0, MOST).map((file) => ({ file, explained: "", article: at("answer").content.firstElementChild.cloneNode(true) }));
  for (const one of fresh) {
    one.article.querySelector("h3").textContent = one.file.name;
    const [slider, heat] = [one.article.querySelector("input"), one.article.querySelector(".heat")];
    slider.addEventListener("input", () => { heat.style.opacity = slider.value / 100; });
    heat.style.opacity = slider.value / 100;
  }
  asked = [...fresh, ...asked].slice(0, MOST);
  at("answers").replaceChildren(...asked.map((one) => one.article));
  askAll(fresh);
}

async function askAll(some) {
  const mine = some === asked ? ++run : run;
  for (const one of some) one.article.classList.add("waiting");
  let done = 0;
  for (const one of some) {
    at("status").textContent = `Asking: ${++done} of ${some.length}`;
    await ask(one);
    if (mine !== run) return;
  }
  at("status").textContent = some.length ? `${some.length} answered.` : "";
}

async function ask(one) {
  const [model, point] = [chosen(), at("point").value];
  const explained = model.classes.includes(one.explained) ? one.explained : "";
  const query = new URLSearchParams({ model: model.name, operating_point: point, explain: explained, pictures: "1" });
  let answer;
  try {
    if (one.file.size > told.limits.bytes) throw new Error(`larger than ${at("largest").textContent}`);
    const response = await fetch(`/api/predict?${query}`, { method: "POST", body: one.file });
    const json = (response.headers.get("content-type") ?? "").includes("json");
    answer = json ? await response.json() : { error: `the app answered ${response.status}` };
  } catch (error) {
    answer = { error: error.message };
  }
  if (model === chosen() && point === at("point").value) draw(one, model, answer);
}

function draw(one, model, answer) {
  const [article, part] = [one.article, (name) => one.article.querySelector(name)];
  article.classList.remove("waiting");
  for (const name of [".shown", ".opacity", ".why", ".scale", ".classes", ".doubts"]) part(name).hidden = Boolean(answer.error);
  part(".verdict").className = `verdict ${answer.error ? "error" : ""}`;
  if (answer.error) {
    part(".verdict").textContent = `No answer: ${answer.error}`;
    return;
  }
  const called = new Intl.ListFormat("en").format(answer.called.map(shown));
  const ill = model.multi_label ? answer.called.length : answer.called[0] !== model.classes[0];
  part(".verdict").textContent = called ? `Called: ${called}` : "Nothing is called";
  part(".verdict").classList.toggle("called", Boolean(ill));
  part(".doubts").replaceChildren(...answer.cautions.map((textContent) => made("li", { textContent: `Caution: ${textContent}.` })));
  part(".radiograph").src = answer.picture;
  part(".radiograph").alt = one.file.name;
  part(".heat").src = answer.heat_map;
  part(".heat").alt = `heat map of ${shown(answer.explained)}`;
  const cuts = typeof answer.threshold === "number" ? { [model.classes[1]]: answer.threshold } : answer.threshold || {};
  const names = model.classes.length === 2 ? [model.classes[1]] : model.classes;
  part(".classes").replaceChildren(...names.map((name) => row(one, answer, name, cuts[name])));
  part(".scale").textContent = Object.keys(cuts).length
    ? "Calibrated probability; the mark is the threshold, chosen on validation patients."
    : "Calibrated probabilities; the likeliest is called.";
  part(".why").textContent = `Bright places speak for ${shown(answer.explained)} (Grad-CAM). They show where the model looked, not why.`;
}

function row(one, answer, name, cut) {
  const value = answer.probabilities[name];
  const fill = made("span", { className: "fill" });
  fill.style.width = percent(value).replace(" ", "");
  const bar = made("span", { className: "bar" }, fill);
  if (cut !== undefined) {
    const mark = made("span", { className: "cut", title: `threshold ${percent(cut)}` });
    mark.style.left = `${100 * cut}%`;
    bar.append(mark);
  }
  const button = made("button", { type: "button", className: answer.called.includes(name) ? "called" : "" },
    made("span", { textContent: shown(name) }), bar, made("span", { className: "value", textContent: percent(value) }));
  button.setAttribute("aria-pressed", String(name === answer.explained));
  const threshold = cut === undefined ? "" : `, threshold ${percent(cut)}`;
  button.setAttribute("aria-label", `${shown(name)} ${percent(value)}${threshold}; show its heat map`);
  button.addEventListener("click", () => { one.explained = name; askAll([one]); });
  return made("li", {}, button);
}

start();
