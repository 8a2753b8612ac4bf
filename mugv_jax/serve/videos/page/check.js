// Copyright 2026 The mugv_jax Authors
// SPDX-License-Identifier: Apache-2.0
// Mistakes in the form that need no server to be found. Field -> what is wrong and what would be right.

import { OTHER } from "./fields.js";
import { shortNumber } from "./format.js";
import { MOST_SEED } from "./values.js";

/** values: of `values.read`; broken: names of fields whose text is no number; limits: of the server. */
export function mistakes(values, files, model, { limits = {}, broken = [], seconds = null }) {
  const found = new Map();
  const say = (field, text) => { if (!found.has(field)) found.set(field, text); };
  const typed = (name) => broken.includes(name) || values[name] === "";
  prompt(values, limits, say);
  if (values.size === OTHER) size(values, model, limits, typed, say);
  if (values.length === OTHER) frames(values, model, typed, say);
  if (!values.seed_new && (typed("seed") || !whole(values.seed, 0, MOST_SEED))) {
    say("seed", `Give a whole number from 0 to ${MOST_SEED}, or choose “New each time”.`);
  }
  if (broken.includes("steps") || (values.steps !== "" && !whole(values.steps, 1, model.steps.most))) {
    say("steps", `Give a whole number from 1 to ${model.steps.most}, or nothing for ${model.steps.default}.`);
  }
  if (broken.includes("guidance") || Number(values.guidance) < 0 || Number(values.guidance) > (model.guidance.most ?? Infinity)) {
    say("guidance", `Give a number from 0 to ${model.guidance.most}, or nothing for ${model.guidance.default}.`);
  }
  if (values.lora && broken.includes("lora_scale")) say("lora", "Give a number as strength, or nothing for 1.");
  given(files, model, seconds, limits, say);
  return found;
}

function whole(text, least, most) {
  const value = Number(text);
  return Number.isInteger(value) && value >= least && value <= most;
}

function prompt(values, limits, say) {
  const length = [...values.prompt.trim()].length, most = limits.prompt_characters;
  if (!length) say("prompt", "Describe what the video should show.");
  if (most && length > most) say("prompt", `The text has ${length} characters; at most ${most} are taken.`);
}

function size(values, model, limits, typed, say) {
  const multiple = model.size_multiple ?? 1;
  const wrong = ["width", "height"].filter((name) => typed(name) || !whole(values[name], 1, Infinity) || Number(values[name]) % multiple);
  if (wrong.length) {
    const rule = multiple > 1 ? `multiples of ${multiple}` : "whole numbers";
    say("size", `Width and height must be ${rule}${nearest(values, wrong, multiple)}.`);
  } else if (limits.pixels && Number(values.width) * Number(values.height) > limits.pixels) {
    say("size", `${values.width} × ${values.height} has more pixels than this server makes: at most ${limits.pixels} in all.`);
  }
}

function nearest(values, wrong, multiple) {
  const near = wrong.filter((name) => Number(values[name]) > 0)
    .map((name) => `${name} ${Math.max(1, Math.round(Number(values[name]) / multiple)) * multiple}`);
  return near.length ? `, such as ${near.join(" and ")}` : "";
}

function frames(values, { frames: { least, most, multiple_of: multiple = 1, plus = 0 } }, typed, say) {
  const count = Number(values.frames);
  if (!typed("frames") && whole(values.frames, least, most) && (count - plus) % multiple === 0) return;
  const rule = multiple > 1 ? `a multiple of ${multiple}${plus ? ` plus ${plus}` : ""}, ` : "";
  const near = Math.round((count - plus) / multiple) * multiple + plus;
  const such = near >= least && near <= most && near !== count ? `, such as ${near}` : "";
  say("length", `The number of frames must be ${rule}from ${least} to ${most}${such}.`);
}

function given(files, model, seconds, limits, say) {
  if (model.image && model.video && files.image && files.video) {
    say("video", "A first picture and a video to continue both say how the video begins: remove one of them.");
  }
  const most = limits.key_frames;
  if (model.key_frames && most && files.key_frames.length > most) say("key_frames", `At most ${most} key frames are taken.`);
  for (const { time } of model.key_frames ? files.key_frames : []) {
    if (time === "" || !(Number(time) >= 0) || (seconds && Number(time) > seconds)) {
      say("key_frames", `Each time must be a number of seconds from 0 to ${seconds ? shortNumber(seconds) : "the end"}.`);
    }
  }
}
