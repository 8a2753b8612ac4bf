// Copyright 2026 The mugv_jax Authors
// SPDX-License-Identifier: Apache-2.0
// Light or dark: as the system has it until a person chooses. Runs before the page is drawn.

"use strict";
{
  const THEME = "mugv_jax theme";
  const root = document.documentElement, system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const chosen = localStorage.getItem(THEME);
  if (chosen) root.dataset.theme = chosen;
  document.addEventListener("DOMContentLoaded", () => {
    const toggle = document.getElementById("theme");
    const show = () => toggle.setAttribute("aria-pressed", String(dark()));
    toggle.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      localStorage.setItem(THEME, root.dataset.theme);
      show();
    });
    system.addEventListener("change", show);
    show();
  });
}
