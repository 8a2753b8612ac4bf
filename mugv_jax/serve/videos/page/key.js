// Copyright 2026 The mugv_jax Authors
// SPDX-License-Identifier: Apache-2.0
// The question for a key, for servers that want one.

import { byId } from "./elements.js";

let asked = null; // one dialog for all requests that wait

/** The key that a person gives; again: after one that the server did not know. */
export function askKey(again) {
  asked ??= new Promise((resolve) => {
    const dialog = byId("key"), input = byId("key-input");
    byId("key-error").textContent = again ? "The server does not know this key. Check it and try again." : "";
    input.setAttribute("aria-invalid", String(again));
    input.value = "";
    dialog.showModal();
    byId("key-form").onsubmit = (event) => {
      event.preventDefault();
      if (!input.value.trim()) {
        byId("key-error").textContent = "Give a key, as you got it from whoever runs this server.";
        return;
      }
      dialog.close();
      asked = null;
      resolve(input.value.trim());
    };
  });
  return asked;
}
