// Copyright 2026 The mugv_jax Authors
// SPDX-License-Identifier: Apache-2.0
// The parts of the form that depend on the model: sizes, lengths, limits and what it can be given.

import { byId, element } from "./elements.js";
import { shortNumber, shortened, sides, times } from "./format.js";

const FEW = 2; // examples that are shown at once
export const OTHER = "other"; // the choice of a size or length that is typed

/** Shows the fields that a model has. Choices that are still offered stay. */
export function showModel(form, model, capabilities) {
  const offered = { ...model, loras: model.loras?.length, enhance: capabilities.enhance };
  for (const field of form.querySelectorAll("[data-needs]")) field.hidden = !offered[field.dataset.needs];
  sizes(form, model);
  lengths(form, model);
  loras(form.elements.lora, model.loras ?? []);
  numbers(form, model);
  const negative = form.elements.negative_prompt;
  negative.defaultValue = model.default_negative_prompt ?? "";
}

function chip(name, value, checked, ...children) {
  return element("label", { class: "chip" }, element("input", { type: "radio", name, value, checked }), element("span", {}, ...children));
}

function shape(size) {
  const [width, height] = sides(size), longest = Math.max(width, height);
  const drawn = element("i", { class: "shape" });
  drawn.style.width = `${(14 * width) / longest}px`;
  drawn.style.height = `${(14 * height) / longest}px`;
  return drawn;
}

function choose(root, name, chosen, options, initial) {
  const there = options.some(([value]) => value === chosen) ? chosen : initial;
  root.replaceChildren(...options.map(([value, ...children]) => chip(name, value, value === there, ...children)));
}

function sizes(form, model) {
  const options = model.sizes.map((size) => [size, shape(size), times(size)]);
  if (model.custom_size) options.push([OTHER, "Other"]);
  choose(byId("sizes"), "size", form.elements.size?.value, options, model.default_size);
  const multiple = model.size_multiple ?? 1;
  for (const name of ["width", "height"]) Object.assign(form.elements[name], { step: multiple, min: multiple });
  byId("size-note").textContent = multiple > 1 ? `multiples of ${multiple}` : "";
}

function lengths(form, model) {
  const options = model.seconds.map((seconds) => [seconds, `${seconds} s`]);
  if (model.frames) options.push([OTHER, "Other"]);
  choose(byId("lengths"), "length", form.elements.length?.value, options, model.default_seconds ?? model.seconds[0]);
  const { least, most, multiple_of: multiple } = model.frames ?? {};
  Object.assign(form.elements.frames, { min: least ?? 1, max: most ?? "", step: multiple ?? 1 });
}

function loras(select, names) {
  const chosen = select.value;
  select.replaceChildren(element("option", { value: "" }, "None"), ...names.map((name) => element("option", { value: name }, name)));
  select.value = names.includes(chosen) ? chosen : "";
}

function numbers(form, model) {
  const { steps, guidance } = form.elements;
  Object.assign(steps, { placeholder: model.steps.default, max: model.steps.most });
  byId("steps-note").textContent = `Up to ${model.steps.most}. More are finer and slower.`;
  Object.assign(guidance, { placeholder: shortNumber(model.guidance.default), max: model.guidance.most });
  byId("guidance-note").textContent = "How closely the video follows the prompt.";
}

/** Notes beside choices, as the values are now. */
export function showNotes(form, values, model) {
  byId("custom-size").hidden = values.size !== OTHER;
  byId("custom-length").hidden = values.length !== OTHER;
  const { least, most, multiple_of: multiple = 1, plus = 0 } = model.frames ?? {};
  const rule = multiple > 1 ? `a multiple of ${multiple}${plus ? `, plus ${plus}` : ""}` : `${least} to ${most}`;
  const seconds = secondsOf(values, model);
  byId("length-note").textContent = values.frames && seconds ? `${rule}; ${shortNumber(seconds)} s` : rule;
  byId("seed-label").hidden = values.seed_new;
  byId("seed-note").textContent = values.seed_new
    ? "Each video comes out different." : "The same seed and settings give the same video.";
  byId("lora-scale").hidden = !values.lora;
}

/** [width, height] that is chosen, or null. */
export function sizeOf(values) {
  const chosen = values.size === OTHER ? [values.width, values.height].map(Number) : sides(values.size ?? "");
  return chosen.length === 2 && chosen.every((side) => side > 0) ? chosen : null;
}

/** Length of the video in seconds that is chosen, or null. */
export function secondsOf(values, model) {
  const seconds = values.length === OTHER ? Number(values.frames) / model.frames_per_second : Number(values.length);
  return seconds > 0 ? seconds : null;
}

/** Buttons that fill the form with an example. */
export function showExamples(root, examples, onchoose) {
  root.hidden = !examples.length;
  const buttons = examples.map((example, place) => element("button", {
    type: "button", class: "example", title: example.prompt, hidden: place >= FEW, onclick: () => onchoose(example),
  }, example.image ? element("img", { alt: "with a picture", src: example.image }) : null, shortened(example.prompt, 42)));
  const rest = element("button", { type: "button", class: "example", hidden: examples.length <= FEW, onclick: () => {
    rest.remove();
    for (const each of buttons) each.hidden = false;
    buttons[FEW].focus();
  } }, "More …");
  root.replaceChildren(element("span", { class: "note" }, "Examples:"), ...buttons, rest);
}
