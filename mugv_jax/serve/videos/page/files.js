// Copyright 2026 The mugv_jax Authors
// SPDX-License-Identifier: Apache-2.0
// Pictures and videos that a person gives: by dropping, pasting or choosing a file.

import { button, element, icon } from "./elements.js";
import { bytes, shortened } from "./format.js";

// Pictures that the server reads and some browsers do not show.
const UNSHOWN = /\.(heic|heif|tiff?)$/i;
const CONTAINERS = /\.(mp4|m4v|mov|webm|mkv|avi)$/i;

export const KINDS = {
  picture: { accept: "image/*,.heic,.heif,.avif", symbol: "picture", open: openPicture, text: "Drop, paste or choose a picture" },
  video: { accept: "video/*,.mkv", symbol: "film", open: openVideo, text: "Drop or choose a video" },
};

/** Element, width and height of a picture; width and height are null if only the server can read it. */
export async function openPicture(file) {
  const node = element("img", { alt: "", src: URL.createObjectURL(file) });
  try {
    await node.decode();
    return { node, width: node.naturalWidth, height: node.naturalHeight };
  } catch {
    URL.revokeObjectURL(node.src);
    if (UNSHOWN.test(file.name) && file.size) {
      return { node: element("p", { class: "note" }, "This browser cannot show such a picture; the server tries to read it."), width: null };
    }
    throw new Error(`“${shortened(file.name, 40)}” is no picture that can be read: choose a PNG, JPEG, WebP or AVIF file.`);
  }
}

async function openVideo(file) {
  if (!file.size || !(file.type.startsWith("video/") || CONTAINERS.test(file.name))) {
    throw new Error(`“${shortened(file.name, 40)}” is no video: choose an MP4, MOV or WebM file.`);
  }
  const node = element("video", { src: URL.createObjectURL(file), preload: "metadata" });
  node.muted = true;
  // Its end is shown: there the new video begins.
  node.addEventListener("loadedmetadata", () => { node.currentTime = Math.max(0, node.duration - 0.05); });
  return { node, width: null };
}

/** Raises an Error for a file beyond the limit of the server. */
export function checkBytes(file, most) {
  if (most && file.size > most) {
    throw new Error(`“${shortened(file.name, 40)}” has ${bytes(file.size)}; the server takes at most ${bytes(most)}.`);
  }
}

/** A field for one file. `file` is null or what was given; onchange runs after each change of it. */
export class FileField {
  constructor(root, { name, label, note, kind, onchange }) {
    Object.assign(this, { name, label, kind: KINDS[kind], onchange, file: null, opened: null, mostBytes: null });
    this.input = element("input", {
      type: "file", id: `file-${name}`, class: "unseen", accept: this.kind.accept, "aria-describedby": `${name}-note ${name}-error`,
      onchange: () => { if (this.input.files.length) this.give(this.input.files[0]); this.input.value = ""; },
    });
    this.zone = element("label", { class: "zone", for: this.input.id },
      icon(this.kind.symbol), element("span", {}, element("span", { class: "unseen" }, `${label}: `), this.kind.text));
    this.frame = element("div", { class: "frame" });
    this.crop = element("div", { class: "crop", "aria-hidden": "true" });
    this.about = element("p", { class: "note" });
    this.given = element("div", { class: "given", hidden: true }, this.frame, element("div", {}, this.about,
      element("div", { class: "actions" },
        button({ text: "Replace", label: `Replace: ${label}`, onclick: () => this.input.click() }),
        button({ text: "Remove", label: `Remove: ${label}`, onclick: () => { this.clear(); this.input.focus(); } }))));
    this.problem = element("p", { class: "error", id: `${name}-error`, role: "alert" });
    root.append(element("p", { class: "label" }, label, element("span", { class: "note", id: `${name}-note` }, note)),
      this.input, this.zone, this.given, this.problem);
    this.listen(root);
  }

  listen(root) {
    root.addEventListener("dragover", (event) => { event.preventDefault(); root.classList.add("over"); });
    root.addEventListener("dragleave", () => root.classList.remove("over"));
    root.addEventListener("drop", (event) => {
      event.preventDefault();
      event.stopPropagation();
      root.classList.remove("over");
      document.dispatchEvent(new Event("dropped"));
      if (event.dataTransfer.files.length) this.give(event.dataTransfer.files[0]);
    });
  }

  /** Takes a file, or says what is wrong with it and keeps the one before; true if it was taken. */
  async give(file) {
    this.say("");
    try {
      checkBytes(file, this.mostBytes);
      this.show(file, await this.kind.open(file));
    } catch (error) {
      this.say(error.message);
      return false;
    }
    this.onchange();
    return true;
  }

  show(file, opened) {
    this.drop();
    Object.assign(this, { file, opened });
    this.frame.replaceChildren(opened.node, ...(opened.width ? [this.crop] : []));
    this.given.hidden = false;
    this.zone.hidden = true;
    this.fit(this.target);
  }

  clear() {
    this.drop();
    Object.assign(this, { file: null, opened: null });
    this.frame.replaceChildren();
    this.given.hidden = true;
    this.zone.hidden = false;
    this.say("");
    this.onchange();
  }

  drop() {
    if (this.opened?.node.src) URL.revokeObjectURL(this.opened.node.src);
  }

  say(text) {
    this.problem.textContent = text;
    this.input.setAttribute("aria-invalid", String(Boolean(text)));
  }

  /** Marks the part of the picture that a video of [width, height] shows: the middle, as large as it goes. */
  fit(target) {
    this.target = target;
    if (!this.file) return;
    const { width, height } = this.opened;
    if (!width || !target) {
      this.about.textContent = `${shortened(this.file.name, 30)}, ${bytes(this.file.size)}`;
      return;
    }
    const scale = Math.max(target[0] / width, target[1] / height);
    const across = target[0] / scale / width, down = target[1] / scale / height;
    const part = { left: (1 - across) / 2, top: (1 - down) / 2, width: across, height: down };
    for (const [side, share] of Object.entries(part)) this.crop.style.setProperty(side, `${100 * share}%`);
    const cut = across < 0.999 || down < 0.999, sizes = `${width} × ${height}`;
    this.about.textContent = [
      cut ? `${sizes}. The bright part fills ${target.join(" × ")}; the rest is cut off.` : `${sizes}. All of it is used.`,
      scale > 1.001 ? "It is smaller than the video and is enlarged." : "",
    ].join(" ").trim();
  }
}
