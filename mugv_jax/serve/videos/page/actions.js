// Copyright 2026 The mugv_jax Authors
// SPDX-License-Identifier: Apache-2.0
// What can be done with a video.

import { Away, Refusal, contentPath, fileOf, json } from "./api.js";
import { confirmed, element, toast } from "./elements.js";
import { sentence, shortened } from "./format.js";

const NOT_FOUND = 404;
const SUFFIXES = { image: "png", last_image: "png", video: "mp4" };

/** Runs an action; what the server says against it is shown. */
export async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof Refusal || error instanceof Away)) throw error;
    toast(sentence(error.message));
    return null;
  }
}

export async function cancel(store, video) {
  return attempt(async () => {
    store.put(await json(`/v1/videos/${encodeURIComponent(video.id)}/cancel`, { method: "POST" }));
    return true;
  });
}

/** Deletes a video after a question; ondone runs if it was deleted. */
export async function remove(store, video, ondone = () => {}) {
  const made = video.status === "completed";
  if (made && !await confirmed(`Delete “${shortened(video.prompt, 80)}”? The video cannot be brought back.`, "Delete video")) return;
  await attempt(async () => {
    try {
      await json(`/v1/videos/${encodeURIComponent(video.id)}`, { method: "DELETE" });
    } catch (error) {
      if (error.status !== NOT_FOUND) throw error; // another window deleted it
    }
    ondone();
    store.remove(video.id);
    toast(made ? "Video deleted." : "Entry removed.");
  });
}

export async function download(video) {
  await attempt(async () => {
    // As a file of this page, which may name it; the server calls it by its id.
    const url = URL.createObjectURL(await fileOf(contentPath(video.id), "video.mp4"));
    const words = video.prompt.toLowerCase().match(/[\p{L}\p{N}]+/gu)?.slice(0, 6).join("_") ?? "video";
    const link = element("a", { href: url, download: `${shortened(words, 60)}_${video.seed ?? video.id}.mp4` });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 60000); // when the browser has read it
  });
}

/** Files that a video was made from: {image, last_image, video, key_frames}, where the server has them. */
export async function inputsOf(video, framesPerSecond) {
  const files = {}, path = (name) => `/v1/videos/${encodeURIComponent(video.id)}/input/${encodeURIComponent(name)}`;
  let missing = 0;
  const read = async (name, suffix) => {
    try {
      return await fileOf(path(name), `${name}.${suffix}`);
    } catch (error) {
      if (error.status !== NOT_FOUND) throw error;
      missing += 1;
      return null;
    }
  };
  for (const [name, suffix] of Object.entries(SUFFIXES)) if (video.inputs?.[name]) files[name] = await read(name, suffix);
  files.key_frames = [];
  for (const frame of video.inputs?.key_frames ?? []) {
    const file = await read(`key_frame_${frame}`, "png");
    if (file) files.key_frames.push({ file, time: frame / framesPerSecond });
  }
  return { files, missing };
}

/** The last frame of a video as a picture. */
export async function lastFrame(video) {
  const file = await fileOf(contentPath(video.id), "video.mp4"), url = URL.createObjectURL(file);
  const player = element("video", { preload: "auto" });
  player.muted = true;
  const next = (name) => new Promise((resolve, reject) => {
    player.addEventListener(name, resolve, { once: true });
    player.addEventListener("error", () => reject(new Away("The video cannot be read.")), { once: true });
  });
  try {
    const loaded = next("loadeddata");
    player.src = url;
    await loaded;
    const sought = next("seeked");
    player.currentTime = Math.max(0, player.duration - 0.001);
    await sought;
    const canvas = element("canvas", { width: player.videoWidth, height: player.videoHeight });
    canvas.getContext("2d").drawImage(player, 0, 0);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    return new File([blob], "last_frame.png", { type: "image/png" });
  } finally {
    player.removeAttribute("src");
    URL.revokeObjectURL(url);
  }
}
