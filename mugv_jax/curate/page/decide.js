// Decisions about all clips, as curation makes them: the first rule that a clip fails drops it.
// Order: broken clips, thresholds, duplicates, thresholds on what models answered, balance.

const BROKEN = 1, UNDRAWN = 2, BEST = 4;

function unpack(text, Type) {
  const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  return new Type(bytes.buffer);
}

/** Steps that may drop clips, in order; `limit` is the number of a threshold. */
function stepsOf(data) {
  const limits = data.thresholds.map((each, limit) => ({
    name: each.name, kind: "threshold", limit, asked: each.asked,
  }));
  return [
    { name: "problem", kind: "problem" },
    ...limits.filter((each) => !each.asked),
    { name: "duplicate", kind: "duplicate" },
    ...limits.filter((each) => each.asked),
    { name: "balance", kind: "balance" },
  ];
}

/** Whether a value lies inside; missing ones do. Bounds are rounded as the packed scores are. */
function keeps(value, low, high) {
  return Number.isNaN(value) || ((low === null || value >= Math.fround(low)) &&
    (high === null || value <= Math.fround(high)));
}

/** For each clip the number of the step that drops it, or steps.length. */
function decide(model, limits) {
  const { count, steps, columns, bits, group, place } = model;
  const dropped = new Uint8Array(count).fill(steps.length);
  steps.forEach((step, number) => {
    if (step.kind === "threshold") {
      const values = columns[model.data.thresholds[step.limit].column];
      const { low, high } = limits[step.limit];
      if (!values) return; // nothing measured it: the rule is off
      for (let i = 0; i < count; i++) {
        if (dropped[i] === steps.length && !keeps(values[i], low, high)) dropped[i] = number;
      }
    } else if (step.kind === "duplicate") {
      const first = new Map(); // group -> smallest place of a clip that is still there
      for (let i = 0; i < count; i++) {
        if (group[i] < 0 || dropped[i] < steps.length) continue;
        first.set(group[i], Math.min(first.get(group[i]) ?? Infinity, place[i]));
      }
      for (let i = 0; i < count; i++) {
        if (group[i] >= 0 && dropped[i] === steps.length && place[i] > first.get(group[i])) dropped[i] = number;
      }
    } else {
      const bit = step.kind === "problem" ? BROKEN : UNDRAWN;
      for (let i = 0; i < count; i++) {
        if (dropped[i] === steps.length && bits[i] & bit) dropped[i] = number;
      }
    }
  });
  return dropped;
}

/** Clips and seconds that each step drops, and of those that stay and the best of them. */
function countOf(model, dropped) {
  const size = model.steps.length + 1;
  const clips = new Array(size).fill(0), seconds = new Array(size).fill(0);
  const best = { clips: 0, seconds: 0 };
  for (let i = 0; i < model.count; i++) {
    const long = model.seconds[i] || 0;
    clips[dropped[i]]++;
    seconds[dropped[i]] += long;
    if (dropped[i] === size - 1 && model.bits[i] & BEST) { best.clips++; best.seconds += long; }
  }
  return { clips, seconds, best };
}

/** Limits from a link's fragment, such as #sharpness.low=300&motion.high= (open). */
function limitsOf(data, fragment) {
  const limits = data.thresholds.map(({ low, high }) => ({ low, high }));
  for (const [key, text] of new URLSearchParams(fragment.replace(/^#/, ""))) {
    const found = /^(.+)\.(low|high)$/.exec(key);
    const number = found ? data.thresholds.findIndex((each) => each.name === found[1]) : -1;
    if (number >= 0 && (text === "" || Number.isFinite(Number(text)))) {
      limits[number][found[2]] = text === "" ? null : Number(text);
    }
  }
  return limits;
}

/** [name, end, value] of the limits that differ from those of the run. */
function changesOf(data, limits) {
  return data.thresholds.flatMap((each, number) => ["low", "high"]
    .filter((end) => limits[number][end] !== each[end])
    .map((end) => [each.name, end, limits[number][end]]));
}

/** Options of the run, and the changed limits in place of its own. */
function optionsOf(data, limits) {
  const changed = changesOf(data, limits).map(([name, end, value]) => [`--config.thresholds.${name}.${end}=`, value ?? "none"]);
  const kept = data.options.filter((given) => !changed.some(([key]) => given.replace(/^'/, "").startsWith(key)));
  return [...kept, ...changed.map(([key, value]) => `${key}${value}`)].join(" ");
}
