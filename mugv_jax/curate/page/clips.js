// Clips as thumbnails that play, alone, beside thresholds and in groups; their details on a click.

function pictureOf(model, i) {
  const name = model.data.ids[i];
  if (!model.details.get(i)?.picture) return element("span", { class: "none" }, "no picture");
  return element("img", { src: `thumbnails/${encodeURIComponent(name)}.webp`, alt: "", loading: "lazy" });
}

function reasonOf(model, i) {
  const step = model.steps[model.dropped[i]];
  return step ? `dropped by ${step.name}` : "kept";
}

/** An id of which the end stays if it is too long, by which clips of one video differ. */
function nameLine(name) {
  return element("small", { class: "name" }, element("bdi", { dir: "ltr" }, name));
}

/** A clip with lines of text below it. */
function clipButton(model, i, ...lines) {
  const detail = model.details.get(i) ?? {};
  const name = model.data.ids[i];
  const told = [name, ...lines, reasonOf(model, i), detail.caption].filter(Boolean).join("\n");
  const kept = model.dropped[i] === model.steps.length;
  return element("button", {
    type: "button", class: kept ? "clip" : "clip dropped", title: told, "aria-label": told,
    onclick: () => showDetail(model, i),
  }, pictureOf(model, i), ...lines.map((line) => element("small", {}, line)), nameLine(name));
}

function clockOf(seconds) {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - 60 * minutes).toFixed(2).padStart(5, "0")}`;
}

/** All that is known of a clip. */
function showDetail(model, i) {
  const dialog = document.getElementById("detail"), detail = model.details.get(i) ?? {};
  const row = (name, text) => element("tr", {}, element("th", {}, name), element("td", {}, text));
  const scores = Object.entries(model.columns).filter(([, values]) => !Number.isNaN(values[i]))
    .map(([name, values]) => row(name, shortNumber(values[i])));
  const facts = [row("Decision", reasonOf(model, i))];
  if (detail.path) facts.push(row("File", detail.path));
  if (detail.end) facts.push(row("Time", `${clockOf(detail.start ?? 0)} to ${clockOf(detail.end)}`));
  if (detail.of) facts.push(row("Copy of", `${detail.of} (${detail.kind}, ${shortNumber(detail.similarity ?? null)})`));
  if (detail.problem) facts.push(row("Problem", detail.problem));
  if (detail.flags) facts.push(row("Flags", detail.flags.join(", ")));
  dialog.replaceChildren(
    pictureOf(model, i), element("h3", {}, model.data.ids[i]),
    element("p", {}, detail.caption ?? ""), tagLine(detail.tags),
    element("table", {}, ...facts, ...scores),
    element("button", { type: "button", autofocus: "", onclick: () => dialog.close() }, "Close"),
  );
  dialog.showModal();
}

function tagLine(tags = []) {
  return element("div", {}, ...tags.map((tag) => element("span", { class: "tag" }, tag)));
}

/** The shown clips nearest to a bound of a threshold, on either side, that no earlier rule drops. */
function nearest(model, step, end, most = 12) {
  const { column } = model.data.thresholds[step.limit], values = model.columns[column];
  const bound = model.limits[step.limit][end], number = model.steps.indexOf(step);
  const inside = [], outside = [];
  for (const i of model.shown) {
    if (model.dropped[i] < number || Number.isNaN(values[i])) continue;
    const kept = end === "low" ? values[i] >= Math.fround(bound) : values[i] <= Math.fround(bound);
    (kept ? inside : outside).push(i);
  }
  const near = (list) => list.sort((a, b) => Math.abs(values[a] - bound) - Math.abs(values[b] - bound)).slice(0, most);
  return { kept: near(inside), dropped: near(outside) };
}

function strip(model, list, values) {
  if (!list.length) return element("p", { class: "soft" }, "none");
  return element("div", { class: "strip" }, ...list.map((i) => clipButton(model, i, shortNumber(values[i]))));
}
