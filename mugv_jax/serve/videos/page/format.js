// Copyright 2026 The mugv_jax Authors
// SPDX-License-Identifier: Apache-2.0
// Numbers and times as people read them.

const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const WHEN = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export const times = (size) => size.replace("x", " × ");

/** [width, height] of "1280x720". */
export const sides = (size) => size.split("x").map(Number);

export const shortNumber = (value) => String(Math.round(value * 100) / 100);

/** How long ago a moment in seconds since 1970 was. */
export function ago(seconds) {
  const past = Date.now() / 1000 - seconds;
  if (past < 45) return "just now";
  if (past < 3600) return RELATIVE.format(-Math.round(past / 60), "minute");
  if (past < 86400) return RELATIVE.format(-Math.round(past / 3600), "hour");
  if (past < 7 * 86400) return RELATIVE.format(-Math.round(past / 86400), "day");
  return DAY.format(new Date(seconds * 1000));
}

export const moment = (seconds) => WHEN.format(new Date(seconds * 1000));

/** A length of time, such as "2 min 5 s". */
export function lasting(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

export function bytes(count) {
  if (count < 1024) return `${count} bytes`;
  if (count < 1024 ** 2) return `${Math.round(count / 1024)} KB`;
  return `${shortNumber(count / 1024 ** 2)} MB`;
}

/** The beginning of a text. */
export function shortened(text, most = 60) {
  return text.length <= most ? text : `${text.slice(0, most - 1).trimEnd()}…`;
}

/** A message of the server, which may begin with the name of a field, as a sentence. */
export function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
