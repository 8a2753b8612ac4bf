// Copyright 2026 The mugv_jax Authors
// SPDX-License-Identifier: Apache-2.0
// Videos under way: where they are in the queue, how far they are, and what can be seen of them.

import { announce, arrange, button, byId, element, icon } from "./elements.js";
import { lasting, shortened, times } from "./format.js";

export class Queue {
  /** oncancel: is called with a video. */
  constructor(store, { oncancel }) {
    Object.assign(this, { store, oncancel, cards: new Map() });
    store.addEventListener("change", () => this.show());
  }

  show() {
    const active = this.store.active();
    byId("queue").hidden = !active.length;
    for (const id of this.cards.keys()) if (!active.some((video) => video.id === id)) this.cards.delete(id);
    arrange(byId("queue-cards"), active, (video) => video.id, (video) => {
      const card = this.cards.get(video.id) ?? new Card(video, this.oncancel);
      this.cards.set(video.id, card);
      card.update(video, this.store.previews.get(video.id));
      return card.node;
    });
  }
}

class Card {
  constructor(video, oncancel) {
    this.picture = element("div", { class: "picture waiting" }, icon("film"));
    this.picture.style.aspectRatio = video.size.replace("x", " / ");
    this.state = element("p", { class: "state" });
    this.bar = element("progress", { max: "100", "aria-label": "Progress" });
    this.cancel = button({ text: "Cancel", label: `Cancel: ${shortened(video.prompt)}`, onclick: () => {
      this.cancelled = true;
      this.cancel.disabled = true;
      oncancel(this.video, () => { this.cancelled = false; this.cancel.disabled = false; });
    } });
    this.node = element("article", { class: "job" }, this.picture, element("div", {},
      element("p", { class: "prompt", title: video.prompt }, video.prompt),
      element("p", { class: "note" }, `${times(video.size)}, ${video.seconds} s`), this.state, this.bar), this.cancel);
    this.steadied = null; // {at, progress} from which the rest is estimated
  }

  update(video, preview) {
    const before = this.video;
    this.video = video;
    this.state.textContent = this.cancelled ? "Stopping…" : this.describe(video);
    const running = video.status === "in_progress";
    this.bar.hidden = !running;
    if (running && !video.progress) this.bar.removeAttribute("value");
    else this.bar.value = video.progress ?? 0;
    if (before?.status === "queued" && running) announce(`Started: ${shortened(video.prompt)}`);
    if (preview) this.look(preview);
    this.picture.classList.toggle("running", running);
  }

  look({ image, step, steps }) {
    this.picture.classList.remove("waiting");
    if (!this.image) this.picture.replaceChildren(this.image = element("img"));
    if (this.image.src !== image) Object.assign(this.image, { src: image, alt: `Preview after step ${step} of ${steps}` });
  }

  describe(video) {
    if (video.status === "queued") {
      if (!video.position) return "Waiting";
      return video.position === 1 ? "Next in the queue" : `Number ${video.position} in the queue`;
    }
    if (!video.progress) return "Starting. The first video of a size takes longer.";
    const left = this.left(video.progress), done = `${Math.round(video.progress)} %`;
    return left ? `${done}, about ${lasting(left)} left` : done;
  }

  /** Seconds left, from the progress that was seen so far; null while little was seen. */
  left(progress) {
    const now = performance.now() / 1000;
    this.steadied ??= { at: now, progress };
    const done = progress - this.steadied.progress;
    return done >= 5 && progress < 100 ? ((now - this.steadied.at) / done) * (100 - progress) : null;
  }
}
