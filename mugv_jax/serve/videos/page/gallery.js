// Copyright 2026 The mugv_jax Authors
// SPDX-License-Identifier: Apache-2.0
// Finished videos, newest first; older ones are read as a person comes to them.

import { contentPath, media, release } from "./api.js";
import { arrange, button, byId, element, icon } from "./elements.js";
import { ago, lasting, sentence, shortened, times } from "./format.js";

const REFRESH_MS = 60000; // of "3 minutes ago"

export const cancelled = (video) => video.error?.code === "cancelled";

/** How a video that failed ended, in a sentence. */
export function reasonOf(video) {
  return cancelled(video) ? "Cancelled before it was finished." : sentence(video.error?.message || "it failed; the server gave no reason.");
}

export class Gallery {
  /** actions: open, repeat, download, remove, each called with a video. */
  constructor(store, actions) {
    Object.assign(this, { store, actions, cards: new Map(), shown: null, watching: false, reading: false });
    store.addEventListener("change", () => this.show());
    // Pictures are read when they come near the window.
    this.near = new IntersectionObserver((entries) => {
      for (const entry of entries.filter((each) => each.isIntersecting)) {
        this.near.unobserve(entry.target);
        this.cards.get(entry.target.dataset.key)?.load();
      }
    }, { rootMargin: "400px" });
    byId("gallery-more").addEventListener("click", () => this.more());
    this.end = new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting)) this.more(); },
      { rootMargin: "300px" });
    setInterval(() => this.cards.forEach((card) => card.age()), REFRESH_MS);
  }

  show() {
    const done = this.store.done(), { loaded, complete } = this.store;
    byId("empty").hidden = !loaded || done.length > 0 || this.store.active().length > 0;
    byId("gallery-more").hidden = !loaded || complete;
    byId("gallery-title").hidden = !byId("empty").hidden || !done.length;
    if (loaded && !this.watching) { this.watching = true; this.watchEnd(); }
    const names = done.map((video) => video.id).join();
    if (names === this.shown) return; // a change of a video under way
    this.shown = names;
    const there = new Set(done.map((video) => video.id));
    for (const [id, card] of this.cards) if (!there.has(id)) { card.forget(); this.cards.delete(id); }
    arrange(byId("gallery-cards"), done, (video) => video.id, (video) => {
      const card = this.cards.get(video.id) ?? this.made(video);
      return card.node;
    });
  }

  made(video) {
    const card = new Card(video, this.actions);
    this.cards.set(video.id, card);
    if (video.status === "completed") {
      card.node.dataset.key = video.id;
      this.near.observe(card.node);
    }
    return card;
  }

  async more() {
    if (this.reading || this.store.complete || !this.store.loaded) return;
    this.reading = true;
    try {
      await this.store.more();
      this.watchEnd();
    } catch (error) {
      if (!(error instanceof Error)) throw error; // the button stays, and the notice says why
    } finally {
      this.reading = false;
    }
  }

  /** Reads on when the end comes near the window, or now if it is. */
  watchEnd() {
    this.end.unobserve(byId("gallery-end"));
    this.end.observe(byId("gallery-end"));
  }
}

class Card {
  constructor(video, actions) {
    this.video = video;
    this.when = element("span", { class: "note" });
    this.picture = element("span", { class: "picture" });
    const [width, height] = video.size.split("x").map(Number);
    this.picture.style.aspectRatio = String(Math.min(2, Math.max(0.75, width / height)));
    const failed = video.status === "failed", name = shortened(video.prompt);
    const act = (symbol, label, action) => button({ symbol, label: `${label}: ${name}`, kind: "quiet", onclick: () => action(video) });
    const top = failed
      ? element("div", { class: "reason" }, icon(cancelled(video) ? "cross" : "warn"), element("p", {}, reasonOf(video)))
      : element("button", { type: "button", class: "open", "aria-label": `Play: ${name}`, onclick: () => actions.open(video) },
        this.picture, element("span", { class: "badge" }, `${times(video.size)}, ${video.seconds} s`));
    this.node = element("article", { class: ["video", failed && "failed", cancelled(video) && "cancelled"].filter(Boolean).join(" ") }, top,
      element("p", { class: "prompt", title: video.prompt }, video.prompt),
      element("footer", {}, this.when,
        element("span", { class: "tools" },
          act("repeat", failed ? "Try again with these settings" : "Repeat with these settings", actions.repeat),
          failed ? null : act("download", "Download", actions.download),
          act("delete", "Delete", actions.remove))));
    this.age();
  }

  age() {
    this.when.textContent = ago(this.video.created_at);
    this.when.title = this.video.completed_at && this.video.started_at
      ? `made in ${lasting(this.video.completed_at - this.video.started_at)}` : "";
  }

  async load() {
    try {
      this.url = await media(contentPath(this.video.id, "thumbnail"));
      const image = element("img", { alt: "", src: this.url, decoding: "async", onerror: () => image.remove() });
      this.picture.append(image);
    } catch (error) {
      if (!(error instanceof Error)) throw error; // a card without a picture
    }
  }

  forget() {
    release(this.url);
  }
}
