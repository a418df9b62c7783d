/* Tables that sort, small pictures beside names, two variants side by side, progress and walks. */
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const articleOf = (name) => document.getElementById(name);
const still = matchMedia("(prefers-reduced-motion: reduce)");

for (const thumb of all(".thumb img")) {
  const picture = articleOf(thumb.dataset.of)?.querySelector(".grid img");
  if (picture) thumb.src = picture.src;
}

for (const header of all("th[data-better]")) {
  header.querySelector("button").addEventListener("click", () => {
    const table = header.closest("table");
    const column = all("th", table).indexOf(header);
    const before = header.getAttribute("aria-sort");
    // The first click puts the best on top.
    const ascending = before ? before === "descending" : header.dataset.better !== "higher";
    const value = (row) => row.cells[column].dataset.value;
    const isText = header.dataset.better === "text";
    const order = (a, b) => (isText ? a.localeCompare(b) : a - b) * (ascending ? 1 : -1);
    const rows = all("tbody tr", table);
    const known = rows.filter((row) => value(row) !== undefined).sort((a, b) => order(value(a), value(b)));
    table.tBodies[0].append(...known, ...rows.filter((row) => value(row) === undefined));
    for (const other of all("th", table)) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  });
}

const compare = document.getElementById("compare");
function showSideBySide(names) {
  document.body.classList.toggle("comparing", names.length > 0);
  compare.querySelector("[type=reset]").hidden = names.length === 0;
  for (const article of all("article")) {
    article.classList.toggle("chosen", names.includes(article.id));
    article.style.order = Math.max(names.indexOf(article.id), 0);
  }
  tellDifference(names);
}

/* What is known of each in figures, a line a figure. */
function tellDifference(names) {
  const [head, body] = all("#difference thead, #difference tbody");
  const facts = names.map((name) => new Map(all(".facts div", articleOf(name)).map((fact) => [
    fact.querySelector("dt").textContent, fact.querySelector("dd"),
  ])));
  const cell = (kind, content) => {
    const made = document.createElement(kind);
    made.append(...(typeof content === "string" ? [content] : content.cloneNode(true).childNodes));
    return made;
  };
  const row = (kind, contents) => {
    const made = document.createElement("tr");
    made.append(...contents.map((content) => cell(kind, content)));
    return made;
  };
  const titles = [...new Set(facts.flatMap((known) => [...known.keys()]))];
  head.replaceChildren(...(names.length ? [row("th", ["", ...names])] : []));
  body.replaceChildren(...titles.map((title) => row("td", [title, ...facts.map((known) => known.get(title) ?? "–")])));
  const readBy = new Set(facts.map((known) => known.get("Extractor")?.textContent));
  document.querySelector("#difference .warn").hidden = readBy.size < 2;
}
compare.addEventListener("submit", (event) => {
  event.preventDefault();
  showSideBySide([compare.elements.one.value, compare.elements.other.value]);
});
compare.addEventListener("reset", () => showSideBySide([]));
addEventListener("hashchange", () => {
  const target = articleOf(location.hash.slice(1));
  if (target && target.offsetParent === null) { showSideBySide([]); target.scrollIntoView(); }
});

for (const figure of all("figure[data-milestones]")) {
  const slider = figure.querySelector("input");
  if (!slider) continue;
  const milestones = figure.dataset.milestones.split(" ").map(Number);
  figure.classList.add("sliding");
  figure.querySelector(".strip").removeAttribute("tabindex"); // the slider moves it
  const show = () => {
    figure.style.setProperty("--frame", slider.value);
    const seen = milestones[slider.value].toLocaleString("en");
    figure.querySelector("output").textContent = seen;
    slider.setAttribute("aria-valuetext", `${seen} training images`);
  };
  slider.addEventListener("input", show);
  show();
}

for (const figure of all("figure.film")) {
  const sheet = figure.querySelector(".sheet");
  const button = figure.querySelector("button");
  const { frames, columns, milliseconds } = figure.dataset;
  const rows = Math.ceil(frames / columns);
  let frame = 0, timer = null, wanted = !still.matches, visible = false;
  const place = (index, of) => (of > 1 ? (100 * index) / (of - 1) : 0);
  const show = () => {
    sheet.style.backgroundPosition = `${place(frame % columns, columns)}% ${place(Math.floor(frame / columns), rows)}%`;
  };
  const run = () => {
    clearInterval(timer);
    if (wanted && visible) timer = setInterval(() => { frame = (frame + 1) % frames; show(); }, milliseconds);
    button.querySelector("b").textContent = wanted ? "Pause" : "Play";
  };
  button.addEventListener("click", () => { wanted = !wanted; run(); });
  new IntersectionObserver((entries) => { visible = entries.at(-1).isIntersecting; run(); }).observe(figure);
  run();
}
