// Copyright 2026 The mugv_jax Authors
// SPDX-License-Identifier: Apache-2.0
// The videos that the page knows, newest first, and the pages of the list that it has read.

import { json } from "./api.js";

const PAGE = 24;
const ENDED = new Set(["completed", "failed"]);

export const ended = (video) => ENDED.has(video.status);

/** Events: "change" after any change, "ended" (detail: video) when one ends while the page is open. */
export class Store extends EventTarget {
  constructor() {
    super();
    this.videos = new Map();
    this.previews = new Map(); // id -> {step, steps, image}
    this.loaded = false; // whether the list was read once
    this.complete = false; // whether the oldest video is read
    this.removed = new Set(); // a late event must not bring these back
  }

  put(video) {
    this.take(video);
    this.changed();
  }

  take(video) {
    const known = this.videos.get(video.id);
    if (this.removed.has(video.id) || (known && ended(known) && !ended(video))) return;
    this.videos.set(video.id, video);
    if (ended(video)) this.previews.delete(video.id);
    if (known && !ended(known) && ended(video)) this.dispatchEvent(new CustomEvent("ended", { detail: video }));
  }

  preview({ id, ...preview }) {
    const video = this.videos.get(id);
    if (!video || ended(video)) return;
    this.previews.set(id, preview);
    this.changed();
  }

  remove(id) {
    this.removed.add(id);
    this.videos.delete(id);
    this.previews.delete(id);
    this.changed();
  }

  /** Takes the newest page of the list; of the ids in `known`, those that it lacks were deleted. */
  synchronise({ data, has_more: rest, last_id: last }, known) {
    const oldest = data.at(-1), there = new Set(data.map((video) => video.id));
    for (const id of known) {
      const recent = !rest || this.videos.get(id)?.created_at > oldest.created_at;
      if (!there.has(id) && recent) this.videos.delete(id);
    }
    data.forEach((video) => this.take(video));
    if (!this.loaded) Object.assign(this, { loaded: true, cursor: last, complete: !rest });
    this.changed();
  }

  /** Reads the next page of older videos. */
  async more() {
    const after = this.cursor ? `&after=${encodeURIComponent(this.cursor)}` : "";
    const { data, has_more: rest, last_id: last } = await json(`/v1/videos?limit=${PAGE}&order=desc${after}`);
    data.forEach((video) => this.take(video));
    this.cursor = last ?? this.cursor;
    this.complete = !rest;
    this.changed();
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }

  all() {
    return [...this.videos.values()].sort((a, b) => b.created_at - a.created_at);
  }

  /** Videos under way: those that are made, then the queue by position. */
  active() {
    return this.all().filter((video) => !ended(video)).sort((a, b) => (a.position ?? 0) - (b.position ?? 0));
  }

  done() {
    return this.all().filter(ended);
  }
}
