// Copyright 2026 The mugv_jax Authors
// SPDX-License-Identifier: Apache-2.0
// One video, large, with how it was made.

import { contentPath, media, release } from "./api.js";
import { button, byId, element } from "./elements.js";
import { lasting, moment, shortNumber, times } from "./format.js";

const NAMES = {
  steps: "Steps", guidance: "Guidance", frames: "Frames", negative_prompt: "Negative prompt", lora: "LoRA",
  lora_scale: "LoRA strength", enhance: "Enhanced",
};
const INPUTS = { image: "first picture", last_image: "last picture", key_frames: "key frames", video: "video to continue" };

/** [name, text] of everything that made a video what it is. */
export function factsOf(video) {
  const settings = video.settings ?? {};
  const inputs = Object.entries(INPUTS).filter(([name]) => [video.inputs?.[name]].flat().some((given) => given !== undefined && given !== false)).map(([, text]) => text);
  const facts = [["Size", times(video.size)], ["Length", `${video.seconds} s`], ["Seed", video.seed]];
  for (const [name, text] of Object.entries(NAMES)) {
    const value = settings[name];
    if (value === null || value === undefined || value === "" || value === false) continue;
    facts.push([text, value === true ? "yes" : typeof value === "number" ? shortNumber(value) : value]);
  }
  if (inputs.length) facts.push(["Given", inputs.join(", ")]);
  facts.push(["Model", video.model], ["Made", moment(video.completed_at ?? video.created_at)]);
  if (video.completed_at && video.started_at) facts.push(["Took", lasting(video.completed_at - video.started_at)]);
  if (video.expires_at) facts.push(["Kept until", moment(video.expires_at)]);
  return facts.filter(([, value]) => value !== null && value !== undefined);
}

export class Detail {
  /** actions: repeat, continueFrom, download, remove, each called with a video; offers(): what the model can be given. */
  constructor(actions, offers) {
    Object.assign(this, { actions, offers, dialog: byId("detail") });
    this.dialog.addEventListener("close", () => this.closed());
    this.dialog.addEventListener("click", (event) => { if (event.target === this.dialog) this.dialog.close(); });
  }

  async open(video) {
    this.stop = new AbortController();
    const { signal } = this.stop, [width, height] = video.size.split("x").map(Number);
    const player = element("video", { controls: true, loop: true, playsinline: true, autoplay: !matchMedia("(prefers-reduced-motion: reduce)").matches });
    player.muted = true;
    player.style.aspectRatio = `${width} / ${height}`;
    const problem = element("p", { class: "error", role: "alert" });
    const act = (text, symbol, action, kind = "") => button({ text, symbol, kind, onclick: () => action(video) });
    const leave = (action) => (each) => { this.dialog.close(); action(each); };
    const { actions } = this;
    this.dialog.replaceChildren(
      element("div", { class: "stage" }, player), problem,
      element("div", { class: "about" },
        element("p", { class: "prompt", id: "detail-title" }, video.prompt),
        element("div", { class: "actions" },
          act("Repeat with these settings", "repeat", leave(actions.repeat), "main"),
          this.offers().image ? act("Continue from its last frame", "next", leave(actions.continueFrom)) : null,
          act("Download", "download", actions.download),
          act("Delete", "delete", (each) => actions.remove(each, () => this.dialog.close()))),
        element("dl", {}, ...factsOf(video).map(([name, value]) =>
          element("div", {}, element("dt", {}, name), element("dd", {}, String(value)))))),
      button({ symbol: "cross", label: "Close", kind: "quiet close", onclick: () => this.dialog.close() }));
    this.dialog.showModal();
    player.onerror = () => { problem.textContent = "The video cannot be played here. It may have been removed from the server."; };
    try {
      this.url = await media(contentPath(video.id), signal);
      player.src = this.url;
    } catch (error) {
      if (!signal.aborted) problem.textContent = error.message;
    }
  }

  closed() {
    this.stop.abort();
    const player = this.dialog.querySelector("video");
    player.onerror = null;
    player.removeAttribute("src");
    player.load();
    release(this.url);
    this.dialog.replaceChildren();
  }
}
