// Copyright 2026 The mugv_jax Authors
// SPDX-License-Identifier: Apache-2.0
// The form: what it shows, keeps, checks and sends.

import { Away, Refusal, fileOf, json } from "./api.js";
import { listenEverywhere } from "./anywhere.js";
import { mistakes } from "./check.js";
import { keepFile, keepTexts, keptFile, keptTexts } from "./draft.js";
import { announce, byId, toast } from "./elements.js";
import { secondsOf, showExamples, showModel, showNotes, sizeOf } from "./fields.js";
import { sentence } from "./format.js";
import { FileField } from "./files.js";
import { KeyFrames } from "./keyframes.js";
import { blank, bodyOf, fieldOf, read, valuesOf, write } from "./values.js";

const MORE = ["last_image", "key_frames", "video", "lora", "negative_prompt", "steps", "guidance", "enhance"];
const SINGLE = {
  image: { label: "First picture", note: "optional, how it begins", kind: "picture" },
  last_image: { label: "Last picture", note: "optional, how it ends", kind: "picture" },
  video: { label: "Video to continue", note: "optional", kind: "video" },
};

export class Composer {
  /** onsent: is called with each video that was queued; latestSeed() is one to hold on to. */
  constructor({ onsent, latestSeed }) {
    Object.assign(this, { form: byId("composer"), onsent, latestSeed, capabilities: null, busy: false });
    this.fields = {};
    for (const [name, options] of Object.entries(SINGLE)) {
      this.fields[name] = new FileField(byId(`field-${name}`), { name, ...options, onchange: () => this.filesChanged(name) });
    }
    this.keyFrames = new KeyFrames(byId("field-key_frames"), { onchange: () => this.filesChanged("key_frames") });
    this.form.addEventListener("input", (event) => { this.forgive(event.target); this.changed(event.target.name); });
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.submit(); });
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || document.querySelector("dialog[open]")) return;
      // Enter alone, in a field of one line, would send half a request.
      const sends = event.ctrlKey || event.metaKey;
      if (sends || event.target.matches("#composer input:not([type=file])")) event.preventDefault();
      if (sends) this.submit();
    });
    byId("reset").addEventListener("click", () => this.replace("The form is empty.", () => this.startOver()));
    listenEverywhere(this.fields.image, () => this.model?.image);
  }

  get model() {
    const models = this.capabilities?.models ?? [];
    return models.find((each) => each.id === this.form.elements.model.value) ?? models[0];
  }

  get files() {
    const single = Object.fromEntries(Object.entries(this.fields).map(([name, field]) => [name, field.file]));
    return { ...single, key_frames: this.keyFrames.items };
  }

  /** Shows the form for what a server can do; the first time with what was kept of an earlier visit. */
  async describe(capabilities) {
    const first = !this.capabilities;
    this.capabilities = capabilities;
    const options = capabilities.models.map((model) => new Option(model.name ?? model.id, model.id));
    const { model: select } = this.form.elements, chosen = select.value;
    select.replaceChildren(...options);
    if (options.some((option) => option.value === chosen)) select.value = chosen;
    byId("field-model").hidden = options.length < 2;
    for (const field of [...Object.values(this.fields), this.keyFrames]) field.mostBytes = capabilities.limits?.upload_bytes;
    showExamples(byId("examples"), capabilities.examples ?? [], (example) => this.showExample(example));
    if (first) await this.restore();
    else this.showModel();
  }

  showModel() {
    showModel(this.form, this.model, this.capabilities);
    this.changed();
  }

  async restore() {
    const kept = keptTexts();
    if (kept) write(this.form, { model: kept.model });
    showModel(this.form, this.model, this.capabilities);
    write(this.form, { ...blank(this.model), ...kept });
    const files = {};
    for (const name of [...Object.keys(this.fields), "key_frames"]) files[name] = await keptFile(name);
    await this.giveAll(files);
  }

  changed(name) {
    const { model, form } = this;
    if (!model) return;
    if (name === "model") { this.showModel(); return; }
    if (name === "seed_new" && !form.elements.seed_new.checked && !form.elements.seed.value) form.elements.seed.value = this.latestSeed();
    const values = read(form);
    showNotes(form, values, model);
    for (const field of Object.values(this.fields)) field.fit(sizeOf(values));
    this.keyFrames.seconds = secondsOf(values, model);
    const most = this.capabilities.limits?.prompt_characters, length = [...values.prompt].length;
    byId("prompt-note").hidden = !(most && length > 0.8 * most);
    byId("prompt-note").textContent = `${length} of ${most} characters`;
    const more = this.countMore();
    byId("more-count").textContent = more ? `${more} set` : "";
    keepTexts(values);
  }

  filesChanged(name) {
    keepFile(name, name === "key_frames" ? this.keyFrames.items : this.fields[name].file);
    this.say(name, "");
    this.changed();
  }

  /** How many settings under "More options" differ from the defaults. */
  countMore() {
    const values = read(this.form), initial = blank(this.model), files = this.files;
    return MORE.filter((name) => !byId(`field-${name}`).hidden && (name === "key_frames" ? files.key_frames.length
      : name in this.fields ? files[name] : values[name] !== initial[name])).length;
  }

  /** Shows what is wrong at a field; an empty text takes it away. */
  say(field, text) {
    const problem = byId(`${field}-error`) ?? byId("form-error");
    problem.textContent = sentence(text);
    const controls = byId(`field-${field}`)?.querySelectorAll(`[aria-describedby~="${field}-error"]`) ?? [];
    for (const control of controls) control.setAttribute("aria-invalid", String(Boolean(text)));
  }

  forgive(control) {
    const field = control.closest(".field");
    if (field) this.say(field.id.replace("field-", ""), "");
    byId("form-error").textContent = "";
  }

  /** Shows mistakes and goes to the first. */
  blame(found) {
    for (const [field, text] of found) this.say(field, text);
    const first = [...this.form.querySelectorAll(".field")].find((field) => found.has(field.id.replace("field-", "")));
    if (!first) return;
    if (byId("more").contains(first)) byId("more").open = true;
    (first.querySelector("[aria-invalid=true]") ?? first.querySelector("input, textarea, select"))?.focus();
    first.scrollIntoView({ block: "nearest" });
    announce([...found.values()].join(" "));
  }

  async submit() {
    if (this.busy || !this.model) return;
    byId("form-error").textContent = "";
    for (const field of this.form.querySelectorAll(".field")) this.say(field.id.replace("field-", ""), "");
    const { model, files, capabilities } = this, values = read(this.form);
    const broken = [...this.form.elements].filter((control) => control.validity?.badInput).map((control) => control.name);
    const found = mistakes(values, files, model, { limits: capabilities.limits, broken, seconds: secondsOf(values, model) });
    if (found.size) { this.blame(found); return; }
    this.hold(true);
    try {
      const body = bodyOf(values, files, model, capabilities);
      this.onsent(await json("/v1/videos", { method: "POST", body }));
    } catch (error) {
      this.refused(error);
    } finally {
      this.hold(false);
    }
  }

  refused(error) {
    if (error instanceof Away) {
      byId("form-error").textContent = "The server does not answer. Nothing is lost: press the button again when it is back.";
      return;
    }
    if (!(error instanceof Refusal)) throw error;
    const field = fieldOf(error.param);
    // Beside the field its name need not be said.
    const message = sentence(field ? error.message.replace(`${error.param}: `, "") : error.message);
    if (field && byId(`field-${field}`)?.hidden === false) this.blame(new Map([[field, message]]));
    else byId("form-error").textContent = message;
  }

  hold(busy) {
    this.busy = busy;
    const submit = byId("generate");
    submit.setAttribute("aria-disabled", String(busy));
    submit.textContent = busy ? "Sending…" : "Generate video";
  }

  startOver() {
    write(this.form, blank(this.model));
    for (const field of [...Object.values(this.fields), this.keyFrames]) field.clear();
    for (const field of this.form.querySelectorAll(".field")) this.say(field.id.replace("field-", ""), "");
    byId("form-error").textContent = "";
    byId("more").open = false;
    this.changed();
    this.form.elements.prompt.focus();
  }

  async showExample(example) {
    const image = example.image ? await fileOf(example.image, example.image.split("/").at(-1)) : null;
    await this.replace("The form has the example.", async () => {
      this.startOver();
      write(this.form, valuesOf(example, this.model));
      await this.giveAll({ image });
    });
  }

  /** Everything that is in the form, for `recall`. */
  snapshot() {
    return { values: read(this.form), files: { ...this.files, key_frames: [...this.keyFrames.items] } };
  }

  /** Puts something else into the form; if a person had filled it, it can be had again. */
  async replace(text, fill) {
    const before = this.snapshot(), { values, files } = before;
    await fill();
    const filled = values.prompt.trim() || Object.values(files).some((each) => each?.size || each?.length);
    if (filled) toast(text, { text: "Undo", onclick: () => this.recall(before) });
  }

  async recall({ values, files }) {
    this.startOver();
    write(this.form, { model: values.model });
    this.showModel();
    write(this.form, values);
    await this.giveAll(files);
  }

  async giveAll(files) {
    for (const [name, field] of Object.entries(this.fields)) if (files[name]) await field.give(files[name]);
    for (const { file, time } of files.key_frames ?? []) await this.keyFrames.add(file, time);
    this.changed();
    if (this.countMore() > 0) byId("more").open = true;
  }

  /** Fills the form so that it makes a video again, and says `text`. */
  async repeat(video, files, text) {
    await this.replace(text, async () => {
      write(this.form, { model: video.model });
      showModel(this.form, this.model, this.capabilities);
      this.startOver();
      write(this.form, valuesOf(video, this.model));
      await this.giveAll(files);
    });
    this.form.scrollIntoView({ block: "start" });
  }
}
