// Copyright 2026 The mugv_jax Authors
// SPDX-License-Identifier: Apache-2.0
// The page: a form for new videos, those under way, and those that were made.

import { connection, json } from "./api.js";
import { attempt, cancel, download, inputsOf, lastFrame, remove } from "./actions.js";
import { Composer } from "./composer.js";
import { Detail } from "./detail.js";
import { announce, byId, toast } from "./elements.js";
import { Follower } from "./events.js";
import { shortened } from "./format.js";
import { Gallery, cancelled, reasonOf } from "./gallery.js";
import { Queue } from "./queue.js";
import { Store } from "./store.js";

const RETRY_MS = 3000;
const SEEDS = 2 ** 32;

const store = new Store();
const composer = new Composer({ onsent: sent, latestSeed });
const follower = new Follower(store);
const actions = {
  open: (video) => detail.open(video),
  repeat: (video) => attempt(() => repeat(video)),
  continueFrom: (video) => attempt(() => continueFrom(video)),
  download,
  remove: (video, ondone) => remove(store, video, ondone),
};
const detail = new Detail(actions, () => composer.model ?? {});
let title = document.title;

function sent(video) {
  if (!store.videos.has(video.id)) store.put(video); // an event may have come first, and knows more
  announce(video.position > 1 ? `In the queue as number ${video.position}.` : "In the queue.");
  const narrow = matchMedia("(max-width: 60rem)").matches;
  if (narrow) byId("queue").scrollIntoView({ block: "start" });
}

function latestSeed() {
  const last = store.done().find((video) => Number.isInteger(video.seed));
  return last?.seed ?? Math.floor(Math.random() * SEEDS);
}

async function repeat(video) {
  const { files, missing } = await inputsOf(video, composer.model.frames_per_second);
  await composer.repeat(video, files, missing
    ? "The form has its settings; a file that was given is no longer kept." : "The form has its settings, seed included.");
}

async function continueFrom(video) {
  const image = await lastFrame(video);
  const again = { ...video, seed: null };
  await composer.repeat(again, { image }, "Its last frame is the first picture now. Describe what happens next.");
}

/** Progress of the first video under way, in the title of the tab. */
function showTitle() {
  const [first] = store.active();
  const state = !first ? "" : first.status === "queued" ? "Waiting · " : `${Math.round(first.progress ?? 0)} % · `;
  document.title = state + title;
}

async function load() {
  const capabilities = await json("/v1/capabilities");
  title = capabilities.title || title;
  byId("title").textContent = title;
  byId("note").textContent = capabilities.note || "";
  byId("note").hidden = !capabilities.note;
  showTitle();
  await composer.describe(capabilities);
}

async function start() {
  try {
    await load();
    follower.resume();
  } catch (error) {
    if (!connection.lost) byId("form-error").textContent = error.message;
    setTimeout(start, RETRY_MS);
  }
}

connection.addEventListener("lost", () => { byId("away").hidden = false; });
connection.addEventListener("found", () => {
  byId("away").hidden = true;
  byId("form-error").textContent = "";
  announce("The server answers again.");
  // It may have been started anew, with another model.
  if (composer.capabilities) attempt(load);
});
byId("away-now").addEventListener("click", () => (composer.capabilities ? follower.resume() : start()));
store.addEventListener("change", showTitle);
store.addEventListener("ended", ({ detail: video }) => {
  const name = shortened(video.prompt);
  if (cancelled(video)) announce(`Cancelled: ${name}`);
  else toast(video.status === "completed" ? `Finished: ${name}` : `${name}: ${reasonOf(video)}`);
});
new Queue(store, {
  oncancel: async (video, failed) => { if (!await cancel(store, video)) failed(); },
});
new Gallery(store, actions);
start();
