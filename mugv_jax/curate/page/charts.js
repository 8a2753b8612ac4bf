// Histograms in SVG, with thresholds as lines that are dragged or moved by arrow keys.

const HEIGHT = 92, BASE = 74, PAD = 10;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function drawn(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Four digits of a number: 0.0123, 12,340, 3.4M; tiny ones as 2×10⁻⁵. */
function shortNumber(value) {
  if (value === null || Number.isNaN(value)) return "";
  const size = Math.abs(value);
  if (size > 0 && size < 1e-3) {
    const [digits, power] = value.toExponential(1).split("e");
    const raised = [...power.replace("+", "")].map((sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)]).join("");
    return +digits === 1 ? `10${raised}` : `${+digits}×10${raised}`;
  }
  if (size >= 1e6) return value.toLocaleString("en", { notation: "compact", maximumSignificantDigits: 3 });
  return value.toLocaleString("en", { maximumSignificantDigits: 4 });
}

/** A length in words: 12.0 s, 2.4 min, 3.25 h. */
function lengthOf(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return seconds < 3600 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(2)} h`;
}

/** "1 video", "2 videos"; `name` alone, in its number, where the count stands elsewhere. */
function named(count, name) { return count === 1 ? name : `${name}s`; }

function wholeNumber(value) { return value.toLocaleString("en"); }

/** Where a value stands on the axis: linear, or asinh(x / unit) if values span magnitudes. */
function scaleOf(values, bounds, width) {
  const there = Float32Array.from(values).filter((each) => !Number.isNaN(each)).sort();
  const at = (share) => there[Math.min(there.length - 1, Math.floor(share * there.length))];
  let low = Math.min(at(0), ...bounds), high = Math.max(at(1), ...bounds);
  if (low === high) { low -= .5; high += .5; }
  const spread = at(.9) - at(.1) || (high - low) / 4;
  const curved = low >= 0 && high > 6 * at(.75) && high - low > 4 * spread;
  const unit = Math.max(at(.5), at(.75) / 4, (high - low) / 1e4) / 2;
  const bent = (x) => (curved ? Math.asinh(x / unit) : x);
  const from = bent(low), to = bent(high);
  return {
    low, high, curved, width,
    x: (value) => PAD + (width - 2 * PAD) * (bent(value) - from) / (to - from),
    value: (x) => {
      const place = from + (to - from) * Math.min(Math.max((x - PAD) / (width - 2 * PAD), 0), 1);
      return curved ? unit * Math.sinh(place) : place;
    },
  };
}

/** Round values along the axis, at least 48 units apart. */
function ticksOf(scale) {
  const made = [], size = Math.max(Math.abs(scale.low), Math.abs(scale.high));
  const add = (value) => {
    const inside = value >= scale.low && value <= scale.high;
    if (inside && made.every((each) => Math.abs(scale.x(each) - scale.x(value)) >= 48)) made.push(value);
  };
  if (scale.curved) {
    add(0);
    for (let power = Math.floor(Math.log10(size)); power > Math.log10(size) - 7; power--) {
      [1, 5, 2].forEach((each) => add(+(each * 10 ** power).toPrecision(1)));
    }
    return made;
  }
  const rough = (scale.high - scale.low) / (scale.width / 90);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((each) => each * power >= rough) * power;
  for (let number = Math.ceil(scale.low / step); number * step <= scale.high; number++) add(+(number * step).toPrecision(6));
  return made;
}

/** Histogram of a column. `edges` are {end, value, origin}; `moved(end, value)` hears of drags. */
function histogram(title, values, edges, moved, width = 1100) {
  const bounds = edges.flatMap((each) => [each.value, each.origin]).filter((each) => each !== null);
  const scale = scaleOf(values, bounds, width);
  const bins = new Array(Math.round(width / 12)).fill(0), step = (width - 2 * PAD) / bins.length;
  for (const value of values) {
    if (!Number.isNaN(value)) bins[Math.min(bins.length - 1, Math.max(0, Math.floor((scale.x(value) - PAD) / step)))]++;
  }
  const most = Math.max(...bins);
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "group", "aria-label": `Histogram of ${title}` });
  const bars = bins.map((count, bin) => {
    // Square roots, or single clips could not be seen beside thousands.
    const height = count ? Math.max(1.5, (BASE - 8) * Math.sqrt(count / most)) : 0;
    const bar = drawn("rect", { x: PAD + bin * step, y: BASE - height, width: step - 1, height });
    bar.append(drawn("title", {}, `${wholeNumber(count)} clips, ${shortNumber(scale.value(PAD + bin * step))} to ${shortNumber(scale.value(PAD + (bin + 1) * step))}`));
    svg.append(bar);
    return bar;
  });
  svg.append(drawn("line", { class: "axis", x1: PAD, x2: width - PAD, y1: BASE, y2: BASE }));
  for (const tick of ticksOf(scale)) {
    svg.append(drawn("text", { x: scale.x(tick), y: HEIGHT - 4, "text-anchor": "middle" }, shortNumber(tick)));
  }
  const handles = edges.filter((each) => each.value !== null).map((each) => handle(svg, scale, title, each, moved));
  const paint = () => {
    const low = handles.find((each) => each.end === "low")?.value ?? -Infinity;
    const high = handles.find((each) => each.end === "high")?.value ?? Infinity;
    bars.forEach((bar, bin) => {
      const middle = scale.value(PAD + (bin + .5) * step);
      bar.setAttribute("class", middle >= low && middle <= high ? "in" : "out");
    });
  };
  paint();
  return { svg, set(end, value) { handles.find((each) => each.end === end)?.set(value); paint(); } };
}

/** One line of a histogram. */
function handle(svg, scale, title, edge, moved) {
  const line = drawn("line", { y1: 2, y2: BASE }), knob = drawn("circle", { cy: 6, r: 5 });
  const area = drawn("rect", { y: 0, width: 18, height: BASE });
  const made = drawn("g", {
    class: "edge", tabindex: 0, role: "slider", "aria-label": `${title} ${edge.end}`,
    "aria-valuemin": scale.low, "aria-valuemax": scale.high,
  }, area, line, knob);
  const own = { end: edge.end, value: edge.value, set(value) {
    const x = scale.x(Math.min(Math.max(value, scale.low), scale.high));
    own.value = value;
    line.setAttribute("x1", x); line.setAttribute("x2", x);
    knob.setAttribute("cx", x); area.setAttribute("x", x - 9);
    made.setAttribute("aria-valuenow", value);
  } };
  own.set(edge.value);
  if (edge.origin !== null) {
    const x = scale.x(edge.origin);
    svg.append(drawn("g", { class: "edge" }, drawn("line", { class: "origin", x1: x, x2: x, y1: 2, y2: BASE })));
  }
  const rounded = (value) => +value.toPrecision(3);
  made.addEventListener("pointerdown", (event) => { made.setPointerCapture(event.pointerId); event.preventDefault(); made.focus(); });
  made.addEventListener("pointermove", (event) => {
    if (!made.hasPointerCapture(event.pointerId)) return;
    const box = svg.getBoundingClientRect();
    moved(edge.end, rounded(scale.value((event.clientX - box.left) / box.width * scale.width)));
  });
  made.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -4, ArrowDown: -4, ArrowRight: 4, ArrowUp: 4, PageDown: -40, PageUp: 40 }[event.key];
    if (!steps) return;
    event.preventDefault();
    moved(edge.end, rounded(scale.value(scale.x(own.value) + steps)));
  });
  svg.append(made);
  return own;
}
