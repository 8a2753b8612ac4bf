// Copyright 2026 The mugv_jax Authors
// SPDX-License-Identifier: Apache-2.0
// Pictures that are pasted or dropped anywhere on the page.

import { byId } from "./elements.js";

/** Lets a picture that is pasted or dropped anywhere on the page be the field's. */
export function listenEverywhere(field, offered) {
  const pictureOf = (transfer) => [...(transfer?.files ?? [])].find((file) => file.type.startsWith("image/"));
  const hide = () => { byId("drop").hidden = true; };
  document.addEventListener("paste", (event) => {
    const file = pictureOf(event.clipboardData);
    // Texts of word processors come with a picture of themselves.
    if (!file || event.clipboardData.getData("text/plain") || !offered() || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    field.give(file);
  });
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault(); // the browser would leave the page for the file
    byId("drop").hidden = !offered();
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) hide(); });
  document.addEventListener("dropped", hide);
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    hide();
    const [file] = event.dataTransfer?.files ?? [];
    if (file && offered()) field.give(file);
  });
}
