// Copyright 2026 The mugv_jax Authors
// SPDX-License-Identifier: Apache-2.0
// Elements of the page. Texts of people enter it as text only, never as markup.

const SHOWN_MS = 6000;

export const byId = (name) => document.getElementById(name);

/** An element with attributes and children; attributes named on* are listeners, null ones left out. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** A picture from the symbols of index.html, which says nothing to a screen reader. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** A button with an icon; without a text, `label` is what a screen reader and a tooltip say. */
export function button({ text = null, label = null, symbol = null, kind = "", onclick }) {
  return element("button", { type: "button", class: kind || null, "aria-label": label, title: label, onclick },
    symbol ? icon(symbol) : null, text);
}

/** Makes the children of `parent` the nodes of `items`, in their order.
 *  Where the one that had the focus is gone, the focus goes to the one that took its place.
 */
export function arrange(parent, items, keyOf, nodeOf) {
  const wanted = items.map((item) => {
    const node = nodeOf(item);
    node.dataset.key = keyOf(item);
    return node;
  });
  const kept = new Set(wanted), focused = [...parent.children].findIndex((child) => child.contains(document.activeElement));
  const lost = focused >= 0 && !kept.has(parent.children[focused]);
  for (const child of [...parent.children]) if (!kept.has(child)) child.remove();
  wanted.forEach((node, place) => {
    if (parent.children[place] !== node) parent.insertBefore(node, parent.children[place] ?? null);
  });
  if (lost) parent.children[Math.min(focused, wanted.length - 1)]?.querySelector("button")?.focus();
}

/** Says something to screen readers. */
export function announce(text) {
  const live = byId("live");
  live.textContent = "";
  setTimeout(() => { live.textContent = text; }, 50);
}

/** Shows a message in place of the one before, for some seconds; with an action {text, onclick} until it is closed. */
export function toast(text, action = null) {
  const shown = element("p", {}, text);
  if (action) {
    shown.append(button({ text: action.text, onclick: () => { shown.remove(); action.onclick(); } }),
      button({ symbol: "cross", label: "Close", kind: "quiet", onclick: () => shown.remove() }));
  } else setTimeout(() => shown.remove(), SHOWN_MS);
  byId("toasts").replaceChildren(shown);
  announce(text);
}

/** Asks before something that cannot be undone; true after a yes. */
export function confirmed(question, yes) {
  const dialog = byId("confirm");
  byId("confirm-text").textContent = question;
  byId("confirm-yes").textContent = yes;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
