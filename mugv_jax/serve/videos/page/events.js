// Copyright 2026 The mugv_jax Authors
// SPDX-License-Identifier: Apache-2.0
// What happens on the server: a stream of events, and the list again where no stream comes through.

import { connection, json, request } from "./api.js";

const FIRST_WAIT_MS = 1000, LONGEST_WAIT_MS = 15000, POLL_MS = 3000, SILENCE_MS = 20000;

/** Events {name, data} of a response of text/event-stream; calls heard() for each part that comes. */
export async function* readEvents(response, heard) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    heard();
    text += value.replaceAll("\r", "");
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const event = { name: "message", data: [] };
      for (const line of text.slice(0, end).split("\n")) {
        const [, field, rest] = /^([^:]*):? ?(.*)$/s.exec(line);
        if (field === "event") event.name = rest;
        else if (field === "data") event.data.push(rest);
      }
      text = text.slice(end + 2);
      if (event.data.length) yield { name: event.name, data: JSON.parse(event.data.join("\n")) };
    }
  }
}

/** Keeps `store` as the server is, for as long as the page lives. */
export class Follower {
  constructor(store) {
    this.store = store;
    this.last = 0; // when the stream was heard
    this.wait = FIRST_WAIT_MS;
    document.addEventListener("visibilitychange", () => this.resume());
    addEventListener("online", () => this.resume());
    setInterval(() => this.poll(), POLL_MS);
  }

  /** Connects now; a hidden page keeps no connection, of which browsers have few for each server. */
  resume() {
    clearTimeout(this.timer);
    this.stop?.abort();
    if (!document.hidden) this.connect();
  }

  async connect() {
    const stop = new AbortController();
    this.stop = stop;
    try {
      const headers = { Accept: "text/event-stream" };
      const response = await request("/v1/events", { headers, signal: stop.signal });
      this.wait = FIRST_WAIT_MS;
      await this.refresh(); // what happened while nobody listened
      for await (const event of readEvents(response, () => { this.last = Date.now(); })) this.take(event);
    } catch (error) {
      if (stop.signal.aborted) return;
      if (!(error instanceof Error)) throw error;
    }
    if (stop.signal.aborted) return;
    const wait = this.wait * (0.75 + Math.random() / 2);
    this.wait = Math.min(2 * this.wait, LONGEST_WAIT_MS);
    this.timer = setTimeout(() => this.connect(), wait);
  }

  take({ name, data }) {
    if (name === "status") this.store.put(data);
    else if (name === "preview") this.store.preview(data);
  }

  /** Asks for the newest videos, and for older ones that were under way. */
  async refresh() {
    const known = [...this.store.videos.keys()];
    const page = await json("/v1/videos?limit=50&order=desc");
    this.store.synchronise(page, known);
    const there = new Set(page.data.map((video) => video.id));
    for (const { id } of this.store.active()) {
      if (known.includes(id) && !there.has(id)) await this.ask(id);
    }
  }

  async ask(id) {
    try {
      this.store.put(await json(`/v1/videos/${encodeURIComponent(id)}`));
    } catch (error) {
      if (error.status !== 404) throw error;
      this.store.remove(id);
    }
  }

  /** Asks for the list where work is under way and the stream is silent. */
  async poll() {
    if (this.polling || connection.lost || !this.store.active().length) return;
    if (Date.now() - this.last < SILENCE_MS) return;
    this.polling = true;
    try {
      await this.refresh();
    } catch (error) {
      if (!(error instanceof Error)) throw error; // the notice of the connection says it
    }
    this.polling = false;
  }
}
