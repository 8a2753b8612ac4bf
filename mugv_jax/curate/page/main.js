// The page: state is the limits, which the fragment of the address carries.

const byId = (name) => document.getElementById(name);

function start(data) {
  const columns = {};
  for (const [name, text] of Object.entries(data.columns)) columns[name] = unpack(text, Float32Array);
  const model = {
    data, columns, count: data.ids.length, steps: stepsOf(data), seconds: unpack(data.seconds, Float32Array),
    bits: unpack(data.bits, Uint8Array), group: unpack(data.group, Int32Array), place: unpack(data.place, Int32Array),
    details: new Map(data.shown.map((each) => [each.clip, each])), shown: data.shown.map((each) => each.clip),
  };
  model.original = decide(model, data.thresholds);
  byId("folder").textContent = data.folder;
  const read = () => { model.limits = limitsOf(data, location.hash); model.charts = cards(model); refresh(model); };
  read();
  staticParts(model);
  window.addEventListener("hashchange", () => { if (/\.(low|high)=/.test(location.hash)) read(); });
  byId("reset").addEventListener("click", () => { history.replaceState(null, "", location.pathname); read(); });
  byId("copy").addEventListener("click", async () => {
    await navigator.clipboard.writeText(byId("options").textContent);
    byId("copy").textContent = "Copied";
    setTimeout(() => { byId("copy").textContent = "Copy options"; }, 1500);
  });
}

/** Sets one limit; the page follows at the next frame. */
function move(model, number, end, value) {
  model.limits[number][end] = value;
  const parameters = new URLSearchParams(changesOf(model.data, model.limits).map(([name, side, x]) => [`${name}.${side}`, x ?? ""]));
  history.replaceState(null, "", parameters.size ? `#${parameters}` : location.pathname);
  model.charts[number].set(end, value);
  model.waiting ??= requestAnimationFrame(() => { model.waiting = undefined; refresh(model); });
}

function refresh(model) {
  model.dropped = decide(model, model.limits);
  const now = countOf(model, model.dropped), before = countOf(model, model.original);
  const last = model.steps.length, changes = changesOf(model.data, model.limits);
  funnel(model, now, before);
  tiles(model, now);
  model.charts.forEach((chart) => chart.refresh());
  byId("changes").hidden = !changes.length;
  byId("changed").textContent = `Kept: ${wholeNumber(before.clips[last])} → ${wholeNumber(now.clips[last])} clips`;
  byId("options").textContent = optionsOf(model.data, model.limits);
}

function tiles(model, now) {
  const { data } = model, last = model.steps.length;
  const facts = [
    [wholeNumber(data.videos), named(data.videos, "video")], [lengthOf(data.videoSeconds), "of video"],
    [wholeNumber(model.count), named(model.count, "clip")],
    [wholeNumber(now.clips[last]), `${named(now.clips[last], "clip")} kept`],
    [lengthOf(now.seconds[last]), "kept"], [wholeNumber(now.best.clips), "best"],
    [wholeNumber(data.bad.length), named(data.bad.length, "bad file")],
  ];
  byId("tiles").replaceChildren(...facts.map(([value, name]) => element("div", {}, element("b", {}, value), name)));
}

const LABELS = { problem: "cannot be read", duplicate: "duplicates", balance: "not drawn by balance" };

function funnel(model, now, before) {
  const { data } = model, last = model.steps.length;
  const total = (list) => list.reduce((sum, each) => sum + each, 0);
  const row = (key, name, source, count, seconds, left, change = 0) => {
    const bar = element("span"); bar.style.width = `${100 * left / Math.max(model.count, 1)}%`;
    const delta = change ? element("span", { class: "delta" }, ` (${change > 0 ? "+" : ""}${wholeNumber(change)})`) : "";
    return element("tr", { "data-row": key, "data-count": count, class: key === "clips" || key === "kept" ? "total" : null },
      element("th", {}, name), element("td", { class: "soft" }, source), element("td", { class: "n" }, wholeNumber(count), delta),
      element("td", { class: "n" }, lengthOf(seconds)), element("td", { class: "n" }, wholeNumber(left)),
      element("td", { class: "bar" }, bar));
  };
  let left = model.count;
  const rows = [row("clips", "Clips", "", model.count, total(now.seconds), left)];
  model.steps.forEach((step, number) => {
    const threshold = data.thresholds[step.limit], count = now.clips[number];
    if (!threshold && !count && !before.clips[number]) return;
    left -= count;
    const off = threshold && !model.columns[threshold.column];
    const name = threshold ? `− ${step.name}` : `− ${LABELS[step.kind]}`;
    rows.push(row(step.name, name, off ? "off: not measured" : threshold ? rangeOf(threshold, model.limits[step.limit]) : "",
      count, now.seconds[number], left, count - before.clips[number]));
  });
  rows.push(row("kept", "Kept", "", now.clips[last], now.seconds[last], now.clips[last], now.clips[last] - before.clips[last]));
  rows.push(row("best", "Best", "as marked in this run", now.best.clips, now.best.seconds, now.best.clips, now.best.clips - before.best.clips));
  const head = ["", "Rule", "Clips", "Length", "Left", ""].map((name, i) =>
    element("th", { class: i > 1 && i < 5 ? "n" : i === 5 ? "bar" : null }, name));
  byId("funnel").replaceChildren(element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
}

function rangeOf({ column, unit }, { low, high }) {
  const unitText = unit ? ` ${unit}` : "";
  if (low === null && high === null) return `${column}: open`;
  if (low === null) return `${column} ≤ ${shortNumber(high)}${unitText}`;
  if (high === null) return `${column} ≥ ${shortNumber(low)}${unitText}`;
  return `${column} ${shortNumber(low)} to ${shortNumber(high)}${unitText}`;
}

/** A card for each threshold; returns what `move` and `refresh` need of them. */
function cards(model) {
  const made = model.data.thresholds.map((threshold, number) => card(model, threshold, number));
  byId("cards").replaceChildren(...made.map((each) => each.card));
  return made;
}

function card(model, threshold, number) {
  const values = model.columns[threshold.column], ends = ["low", "high"];
  const title = element("h3", {}, threshold.name);
  const about = [threshold.column !== threshold.name ? threshold.column : "", threshold.unit, threshold.source].filter(Boolean).join(" · ");
  if (!values) {
    const note = element("span", { class: "soft" }, `${about} · off: nothing measured it`);
    return { card: element("article", { class: "card off" }, element("header", {}, title, note)), set() {}, refresh() {} };
  }
  const inputs = {};
  for (const end of ends) {
    inputs[end] = element("input", {
      type: "number", step: "any", value: model.limits[number][end] ?? "", placeholder: "open", "aria-label": `${threshold.name} ${end}`,
      onchange: (event) => {
        const text = event.target.value, opened = (text === "") !== (model.limits[number][end] === null);
        move(model, number, end, text === "" ? null : Number(text));
        if (opened) redraw();
      },
    });
  }
  const place = element("div"), sides = element("div"), told = element("span", { class: "soft" }, about);
  let chart;
  const redraw = () => {
    const edges = ends.map((end) => ({ end, value: model.limits[number][end], origin: threshold[end] }));
    chart = histogram(threshold.name, values, edges, (end, value) => { inputs[end].value = value; move(model, number, end, value); });
    place.replaceChildren(chart.svg);
  };
  redraw();
  const step = model.steps.find((each) => each.limit === number);
  const refreshSides = () => {
    for (const end of ends) inputs[end].classList.toggle("changed", model.limits[number][end] !== threshold[end]);
    sides.replaceChildren(...ends.filter((end) => model.limits[number][end] !== null).map((end) => {
      const near = nearest(model, step, end), sign = end === "low" ? ["below", "from"] : ["above", "up to"];
      const bound = shortNumber(model.limits[number][end]);
      const side = (name, list) => element("div", {}, element("h4", {}, name), strip(model, list, values));
      return element("div", { class: "sides" }, side(`Just dropped (${sign[0]} ${bound})`, near.dropped), side(`Just kept (${sign[1]} ${bound})`, near.kept));
    }));
  };
  const fields = ends.map((end) => element("label", {}, `${end} `, inputs[end]));
  return {
    card: element("article", { class: "card" }, element("header", {}, title, told, ...fields), place, sides),
    set: (end, value) => { if (value !== null) chart.set(end, value); },
    refresh: refreshSides,
  };
}

/** What thresholds do not change. */
function staticParts(model) {
  const { data } = model, used = new Set(data.thresholds.map((each) => each.column));
  byId("others").replaceChildren(...Object.entries(model.columns).filter(([name]) => !used.has(name)).map(([name, values]) =>
    element("article", { class: "card" }, element("h3", {}, name), histogram(name, values, [], () => {}, 330).svg)));
  byId("groupNote").textContent = data.groupCount
    ? `${wholeNumber(data.groupCount)} ${named(data.groupCount, "group")}${data.groupCount > data.groups.length ? `; the ${wholeNumber(data.groups.length)} largest are shown` : ""}. The first clip of a group was kept unless a rule drops it.`
    : "No clip is a copy of another.";
  byId("groups").replaceChildren(...data.groups.map((members) => element("div", { class: "group" }, element("div", { class: "strip" },
    ...members.map((i) => {
      const { kind, similarity } = model.details.get(i) ?? {};
      return clipButton(model, i, kind ? `${kind} ${shortNumber(similarity ?? null)}` : "original");
    })))));
  byId("captionList").replaceChildren(...data.captions.map((i) => element("article", { class: "card captioned" }, clipButton(model, i),
    element("div", {}, element("p", {}, model.details.get(i)?.caption ?? ""), tagLine(model.details.get(i)?.tags)))));
  byId("tags").replaceChildren(...Object.entries(data.tags).filter(([, found]) => found.count).map(([name, found]) => shares(name, found)));
  const cutOff = data.cutOff.map(([name, found, stated]) => [name, `cut off after ${lengthOf(found)} of ${lengthOf(stated)}; what is there was used`]);
  byId("badFiles").replaceChildren(...[...data.bad, ...cutOff].map(([name, problem]) => element("tr", {}, element("th", {}, name), element("td", {}, problem))));
  const full = { scores: "others", duplicates: "groups", captions: "captionList", balance: "tags", bad: "badFiles" };
  for (const [section, list] of Object.entries(full)) {
    const empty = !byId(list).childElementCount;
    byId(section).hidden = empty && section !== "duplicates";
    document.querySelector(`nav a[href="#${section}"]`).hidden = empty;
  }
}

function shares(name, { count, rows }) {
  const most = Math.max(...rows.map(([, before]) => before)), long = rows.some(([value]) => value.length > 18);
  const bar = (clips) => { const made = element("i"); made.style.width = `${100 * clips / most}%`; return made; };
  const left = count - rows.length;
  return element("article", { class: long ? "card wide" : "card" }, element("h3", {}, name), ...rows.map(([value, before, after]) =>
    element("div", { class: "pair" }, element("span", {}, value), element("span", {}, bar(before), bar(after)),
      element("span", {}, `${wholeNumber(before)} → ${wholeNumber(after)}`))),
    ...(left ? [element("p", { class: "soft" }, `and ${wholeNumber(left)} rarer ${named(left, "value")}`)] : []));
}
