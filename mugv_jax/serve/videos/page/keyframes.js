// Copyright 2026 The mugv_jax Authors
// SPDX-License-Identifier: Apache-2.0
// Key frames: pictures that the video shows at given times.

import { button, element, icon } from "./elements.js";
import { shortNumber } from "./format.js";
import { KINDS, checkBytes, openPicture } from "./files.js";

/** A field for any number of pictures with times. `items` are {file, time}, times as typed. */
export class KeyFrames {
  constructor(root, { onchange }) {
    Object.assign(this, { onchange, items: [], mostBytes: null, seconds: null });
    this.input = element("input", {
      type: "file", multiple: true, id: "file-key_frames", class: "unseen", accept: KINDS.picture.accept,
      "aria-describedby": "key_frames-note key_frames-error",
      onchange: async () => { const files = [...this.input.files]; this.input.value = ""; for (const file of files) await this.add(file); },
    });
    this.list = element("ul", { class: "key-frames" });
    this.problem = element("p", { class: "error", id: "key_frames-error", role: "alert" });
    root.append(element("p", { class: "label" }, "Key frames", element("span", { class: "note", id: "key_frames-note" }, "optional, shown at their times")), this.list, this.input,
      element("label", { class: "zone", for: this.input.id }, icon("picture"), element("span", {}, "Add pictures in between")),
      this.problem);
    root.addEventListener("dragover", (event) => event.preventDefault());
    root.addEventListener("drop", async (event) => {
      event.preventDefault();
      event.stopPropagation();
      document.dispatchEvent(new Event("dropped"));
      for (const file of event.dataTransfer.files) await this.add(file);
    });
  }

  /** Adds a picture; without a time, in the middle of what follows the last one. */
  async add(file, time = null) {
    this.say("");
    try {
      checkBytes(file, this.mostBytes);
      const { node } = await openPicture(file);
      const last = Number(this.items.at(-1)?.time ?? 0);
      const middle = this.seconds ? shortNumber((last + this.seconds) / 2) : "1";
      this.append({ file, time: String(time ?? middle) }, node);
    } catch (error) {
      this.say(error.message);
      return;
    }
    this.onchange();
  }

  append(item, node) {
    this.items.push(item);
    const row = element("li", {}, node, element("label", {}, "at ", element("input", {
      type: "number", min: "0", step: "any", value: item.time, inputmode: "decimal", "aria-describedby": "key_frames-error",
      oninput: (event) => { item.time = event.target.value; this.onchange(); },
    }), " s"), button({
      symbol: "cross", label: `Remove the key frame ${item.file.name}`, kind: "quiet",
      onclick: () => {
        this.items.splice(this.items.indexOf(item), 1);
        row.remove();
        this.input.focus();
        this.onchange();
      },
    }));
    this.list.append(row);
  }

  clear() {
    this.items = [];
    this.list.replaceChildren();
    this.say("");
    this.onchange();
  }

  say(text) {
    this.problem.textContent = text;
    this.input.setAttribute("aria-invalid", String(Boolean(text)));
  }
}
