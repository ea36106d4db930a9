"use strict";
// Rows are text and numbers from repos: they reach the page as text nodes only, never as markup.
const { gpus, rows } = JSON.parse(document.getElementById("data").textContent);
const PAGE = 200;
const GIB = 2 ** 30;
const REPO_ID = /^\w[\w.-]*(\/\w[\w.-]*)?$/;
const COLUMNS = [
  { title: "repo", kind: "text", of: (row) => row.repo },
  { title: "type", kind: "text wide", of: (row) => row.type ?? "" },
  { title: "parameters", kind: "wide", of: (row) => row.parameters },
  { title: "files GiB", kind: "wide", of: (row) => row.files },
  { title: "total GiB", of: (row) => row.total },
  ...gpus.map((gpu, number) => ({ title: gpu, kind: "heat", of: (row) => weight(row.cells[number]) })),
];
const form = document.querySelector("form");
const body = document.querySelector("tbody");
const more = document.getElementById("more");
const state = { column: null, down: false, shown: PAGE };
let found = rows;

// What a cell sorts by: the memory it takes over the memory there is, all its devices counted.
function weight(cell) {
  return cell ? (cell.required / cell.usable) * (cell.verdict === "no" ? 1e6 : cell.gpus) : undefined;
}

function count(value) {
  for (const [unit, name] of [[1e12, " T"], [1e9, " B"], [1e6, " M"], [1e3, " k"]]) {
    if (value >= unit) return (value / unit).toFixed(value >= 100 * unit ? 0 : 1) + name;
  }
  return String(value);
}

function gib(value) {
  return (value / GIB).toFixed(2);
}

function add(parent, tag, text, className) {
  const element = parent.appendChild(document.createElement(tag));
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}

function addRepo(line, row) {
  const cell = add(line, "td");
  cell.title = row.commit ? `${row.repo} @ ${row.commit}` : row.repo;
  if (!REPO_ID.test(row.repo)) {
    cell.textContent = row.repo;
    return;
  }
  const name = row.repo.lastIndexOf("/") + 1;
  const link = add(cell, "a");
  add(link, "span", row.repo.slice(0, name), "owner");
  link.append(row.repo.slice(name));
  link.href = "https://huggingface.co/" + row.repo;
  link.rel = "noopener noreferrer";
}

function addHeat(line, cell, gpu) {
  const share = cell.required / cell.usable;
  const text = cell.verdict === "no" ? `${share.toFixed(1)}×` : `${Math.round(share * 100)} %`;
  // Where a heading names no number of devices, one that fits is told from several that do.
  const several = cell.gpus > 1 && cell.verdict === "fits" && !/^\d+x/.test(gpu);
  const element = add(line, "td", undefined, `heat ${several ? "several" : cell.verdict}`);
  if (cell.gpus > 1) add(element, "b", `${cell.gpus} × `);
  element.append(text);
  element.title = `${cell.verdict}: ${gib(cell.required)} of ${gib(cell.usable)} GiB on each of ${cell.gpus}`;
  const strength = cell.verdict === "no" ? Math.min(1, Math.log2(share) / 4) : Math.min(1, share);
  element.style.setProperty("--strength", strength.toFixed(2));
}

function addRow(row) {
  const line = add(body, "tr");
  addRepo(line, row);
  if (row.skipped) {
    add(line, "td", `skipped: ${row.skipped}. ${row.message}`, "skip").colSpan = COLUMNS.length - 1;
    return;
  }
  add(line, "td", row.type ?? "unknown", "text wide");
  add(line, "td", count(row.parameters), "wide").title = row.parameters.toLocaleString("en");
  add(line, "td", gib(row.files), "wide");
  add(line, "td", gib(row.total));
  row.cells.forEach((cell, number) => addHeat(line, cell, gpus[number]));
}

function matches(row, words, verdict, gpu) {
  const text = `${row.repo} ${row.type ?? ""} ${row.format ?? ""} ${row.quantization ?? ""} ${row.skipped}`.toLowerCase();
  if (!words.every((word) => text.includes(word))) return false;
  if (verdict === "") return true;
  if (verdict === "skipped") return row.skipped !== "";
  const cells = gpu === "" ? row.cells : row.cells.slice(Number(gpu), Number(gpu) + 1);
  return cells.some((cell) => (verdict === "fits" ? cell.verdict !== "no" : cell.verdict === "no"));
}

function compare(first, second) {
  const of = COLUMNS[state.column].of;
  const [a, b] = [of(first), of(second)];
  if (a === undefined || a === null) return b === undefined || b === null ? 0 : 1;
  if (b === undefined || b === null) return -1;
  const order = typeof a === "string" ? a.localeCompare(b) : a - b;
  return state.down ? -order : order;
}

function draw() {
  body.replaceChildren();
  found.slice(0, state.shown).forEach(addRow);
  more.hidden = found.length <= state.shown;
  tell(found);
  form.elements.shown.value = `${found.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
}

// Under each accelerator, how many of the rows found fit it.
function tell(chosen) {
  const judged = chosen.filter((row) => row.cells.length > 0);
  document.querySelectorAll("thead small").forEach((note, number) => {
    const fitting = judged.filter((row) => row.cells[number].verdict !== "no").length;
    note.textContent = `${fitting.toLocaleString("en")} fit`;
  });
}

function select() {
  const words = form.elements.search.value.toLowerCase().split(/\s+/).filter(Boolean);
  found = rows.filter((row) => matches(row, words, form.elements.verdict.value, form.elements.gpu.value));
  if (state.column !== null) found.sort(compare);
  state.shown = PAGE;
  draw();
}

function sortBy(number) {
  state.down = state.column === number ? !state.down : false;
  state.column = number;
  document.querySelectorAll("thead th").forEach((heading, other) => {
    if (other === number) heading.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    else heading.removeAttribute("aria-sort");
  });
  select();
}

COLUMNS.forEach((column, number) => {
  const heading = add(document.querySelector("thead tr"), "th", undefined, column.kind);
  heading.scope = "col";
  const button = add(heading, "button", column.title);
  button.type = "button";
  button.addEventListener("click", () => sortBy(number));
  if (column.kind === "heat") add(heading, "small");
});
gpus.forEach((gpu, number) => {
  add(form.elements.gpu, "option", gpu).value = String(number);
});
form.addEventListener("input", select);
form.addEventListener("submit", (event) => event.preventDefault());
more.addEventListener("click", () => {
  state.shown += PAGE;
  draw();
});
select();
