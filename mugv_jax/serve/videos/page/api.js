// Copyright 2026 The mugv_jax Authors
// SPDX-License-Identifier: Apache-2.0
// Requests to the server: JSON, media and the key, which lives as long as the tab.

import { askKey } from "./key.js";

const KEY = "mugv_jax key";
const AWAY = new Set([502, 504]);

/** "lost" and "found" when the server stops and starts to answer. */
export const connection = Object.assign(new EventTarget(), { lost: false });

/** A request that the server refused: what is wrong, and at which field. */
export class Refusal extends Error {
  constructor(status, error, retryAfter) {
    super(error.message);
    Object.assign(this, { status, param: error.param ?? null, code: error.code ?? null, retryAfter });
  }
}

/** No answer: the server or the way to it is gone. */
export class Away extends Error {}

function heard(lost) {
  if (connection.lost === lost) return;
  connection.lost = lost;
  connection.dispatchEvent(new Event(lost ? "lost" : "found"));
}

/** The answer to a request; asks for a key, and again for another one, where the server wants one.
 *  Throws Refusal, Away, or an AbortError of options.signal.
 */
export async function request(path, options = {}) {
  for (;;) {
    const key = sessionStorage.getItem(KEY);
    const headers = new Headers(options.headers);
    if (key) headers.set("Authorization", `Bearer ${key}`);
    let response;
    try {
      response = await fetch(path, { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      heard(true);
      throw new Away("The server does not answer.");
    }
    if (AWAY.has(response.status)) {
      heard(true);
      throw new Away("The server does not answer.");
    }
    heard(false);
    if (response.ok) return response;
    if (response.status !== 401) throw await refusalOf(response);
    if (sessionStorage.getItem(KEY) === key) {
      sessionStorage.setItem(KEY, await askKey(key !== null));
    }
  }
}

async function refusalOf(response) {
  let error;
  try {
    ({ error } = await response.json());
  } catch { // not of this server, such as a proxy's page
    error = null;
  }
  const message = `The server answered ${response.status} ${response.statusText}`.trim();
  return new Refusal(response.status, error ?? { message: `${message}.` }, Number(response.headers.get("Retry-After")));
}

export const json = async (path, options) => (await request(path, options)).json();

/** URL of a picture or video for an element. Elements send no key: with one, the file is read here. */
export async function media(path, signal) {
  if (!sessionStorage.getItem(KEY)) return path;
  return URL.createObjectURL(await (await request(path, { signal })).blob());
}

/** Gives the memory of a URL of `media` back. */
export function release(url) {
  if (url?.startsWith("blob:")) URL.revokeObjectURL(url);
}

/** A file of the server, as a person's file would come. */
export async function fileOf(path, name) {
  const blob = await (await request(path)).blob();
  return new File([blob], name, { type: blob.type });
}

export const contentPath = (id, variant = "video") =>
  `/v1/videos/${encodeURIComponent(id)}/content${variant === "video" ? "" : `?variant=${variant}`}`;
