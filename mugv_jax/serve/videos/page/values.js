// Copyright 2026 The mugv_jax Authors
// SPDX-License-Identifier: Apache-2.0
// The form's values: from and to its elements, from a video that is repeated, and as a request.

import { OTHER } from "./fields.js";

export const MOST_SEED = 2 ** 32 - 1;
// Settings that are sent as they are typed, if they are typed.
const NUMBERS = ["steps", "guidance"];
// Field of a request that an error names -> field of the page.
const FIELDS = {
  input_reference: "image", seconds: "length", frames: "length", key_frame_times: "key_frames", lora_scale: "lora",
};

/** name -> text, or whether a box is checked. */
export function read(form) {
  const values = {};
  for (const control of form.elements) {
    if (!control.name || (control.type === "radio" && !control.checked)) continue;
    values[control.name] = control.type === "checkbox" ? control.checked : control.value;
  }
  return values;
}

/** Sets values by name; a choice that is not offered leaves the one that is made. */
export function write(form, values) {
  for (const control of form.elements) {
    const value = values[control.name];
    if (value === undefined) continue;
    if (control.type === "checkbox") control.checked = value;
    else if (control.type === "radio") control.checked ||= control.value === value;
    else if (control.tagName !== "SELECT" || [...control.options].some((option) => option.value === value)) control.value = value;
  }
}

/** Values of a form for nothing yet, beside the choices that have a default of their own. */
export function blank(model) {
  return {
    prompt: "", size: model.default_size, length: model.default_seconds ?? model.seconds[0], seed_new: true, seed: "",
    width: "", height: "", frames: "", steps: "", guidance: "", lora: "", lora_scale: "", enhance: false,
    negative_prompt: model.default_negative_prompt ?? "",
  };
}

/** Values that make a video again, seed included; `video` may also be an example. */
export function valuesOf(video, model) {
  const settings = { ...video, ...video.settings }, values = blank(model), texts = ["prompt", "negative_prompt", "lora"];
  for (const name of texts) if (typeof settings[name] === "string") values[name] = settings[name];
  for (const name of [...NUMBERS, "lora_scale"]) {
    const usual = name === "lora_scale" ? 1 : model[name].default;
    if (typeof settings[name] === "number" && settings[name] !== usual) values[name] = String(settings[name]);
  }
  values.enhance = settings.enhance === true;
  if (typeof settings.seed === "number") Object.assign(values, { seed: String(settings.seed), seed_new: false });
  if (settings.size && !model.sizes.includes(settings.size)) {
    const [width, height] = settings.size.split("x");
    Object.assign(values, { size: OTHER, width, height });
  } else if (settings.size) values.size = settings.size;
  // A number of seconds stands for more than one number of frames.
  const { frames } = settings, usual = model.frames && frames === model.frames.default;
  if (frames && model.frames && !usual) Object.assign(values, { length: OTHER, frames: String(frames) });
  else if (!usual && model.seconds.includes(settings.seconds)) values.length = settings.seconds;
  return values;
}

/** The request: what the model offers, and what differs from its defaults. */
export function bodyOf(values, files, model, capabilities) {
  const body = new FormData();
  const set = (name, value) => body.append(name, value);
  set("prompt", values.prompt.trim());
  set("model", model.id);
  set("size", values.size === OTHER ? `${Number(values.width)}x${Number(values.height)}` : values.size);
  if (values.length === OTHER) set("frames", values.frames);
  else set("seconds", values.length);
  if (!values.seed_new) set("seed", values.seed);
  for (const name of NUMBERS) if (values[name] !== "") set(name, values[name]);
  if (model.negative_prompt && values.negative_prompt !== (model.default_negative_prompt ?? "")) set("negative_prompt", values.negative_prompt);
  if (model.loras?.includes(values.lora)) {
    set("lora", values.lora);
    if (values.lora_scale !== "") set("lora_scale", values.lora_scale);
  }
  if (capabilities.enhance && values.enhance) set("enhance", "true");
  if (model.image && files.image) set("input_reference", files.image);
  if (model.last_image && files.last_image) set("last_image", files.last_image);
  if (model.video && files.video) set("video", files.video);
  for (const { file, time } of model.key_frames ? files.key_frames : []) {
    set("key_frames[]", file);
    set("key_frame_times[]", time);
  }
  return body;
}

/** Field of the page that an error of the server is about, or null. */
export function fieldOf(param) {
  const name = (param ?? "").replace(/[[.].*$/s, "");
  return FIELDS[name] ?? (name || null);
}
