// Copyright 2026 The mugv_jax Authors
// SPDX-License-Identifier: Apache-2.0
// What is in the form survives a reload: texts in localStorage, files in IndexedDB.

const TEXTS = "mugv_jax draft", FILES = "files";

export function keepTexts(values) {
  localStorage.setItem(TEXTS, JSON.stringify(values));
}

/** The kept values, or null. */
export function keptTexts() {
  try {
    return JSON.parse(localStorage.getItem(TEXTS));
  } catch { // of another version
    return null;
  }
}

function settled(asked) {
  return new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

async function store(mode) {
  const opening = indexedDB.open("mugv_jax", 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(FILES);
  const base = await settled(opening);
  return base.transaction(FILES, mode).objectStore(FILES);
}

/** Keeps what is under a name: a file, or a list of key frames. Browsers may refuse to: then it is not kept. */
export async function keepFile(name, value) {
  try {
    await settled((await store("readwrite")).put(value, name));
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}

/** What is kept under a name, or null. */
export async function keptFile(name) {
  try {
    return (await settled((await store("readonly")).get(name))) ?? null;
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    return null;
  }
}
