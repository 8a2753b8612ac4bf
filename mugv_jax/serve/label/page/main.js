// The page: shows tasks, takes answers by keys and buttons, and sends them.

import { Outbox, Refused, ask, newId } from "./api.js";
import { Player } from "./player.js";

const POLL_MS = 15000;
const NAMES = { left: "A", same: "About the same", right: "B", pass: "Yes", fail: "No" };
const GRADES = { 1: "1 bad", 5: "5 good" };
const ARROWS = { left: "ArrowLeft", same: "ArrowDown", right: "ArrowRight" };
const byId = (name) => document.getElementById(name);

let about = null; // kind, stages, answers
let tasks = []; // the first is shown
let done = 0, left = 0, since = 0, polling = 0;
const history = []; // {id, task, question} of answers that can be taken back

const player = new Player(byId("clips"), {
  changed: showPlayer,
  ready: () => { since = performance.now(); notice(""); showQuestion(); },
  failed: () => notice("A video cannot be loaded.", ["Load again", () => { notice(""); player.reload(); }]),
});
const outbox = new Outbox({
  changed(waiting, trouble) {
    byId("saved").textContent = waiting ? `saving ${waiting}` : "saved";
    byId("saved").classList.toggle("late", Boolean(trouble));
    if (trouble && trouble.status !== 401) notice(`Not saved yet: ${trouble.message} Trying again.`);
    else if (!waiting) notice("");
  },
  refused(error) {
    if (error.status === 401) { login(); return; }
    history.length = 0;
    load().then(() => notice(error.message));
  },
  emptied: () => refill(),
});

function make(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function notice(text, action) {
  byId("notice").hidden = !text;
  byId("notice").replaceChildren(text);
  if (action) byId("notice").append(" ", make("button", { type: "button", textContent: action[0], onclick: action[1] }));
}

function only(name) {
  for (const each of ["login", "rest", "work"]) byId(each).hidden = each !== name;
  byId("ask").hidden = name !== "work";
  document.querySelector("header").hidden = name === "login";
}

const sameTask = (a, b) => a && b && a.item === b.item && a.stage === b.stage;
const questionsOf = (task) => about.stages[task.stage];
const openQuestion = (task) => questionsOf(task).find((question) => !(question.id in task.answered));

/** Asks for tasks anew and shows the first. */
async function load() {
  clearTimeout(polling);
  try {
    about ??= await ask("GET", "/api/set");
    byId("keyTable").replaceChildren(...keyRows());
    tasks = [];
    take(await ask("POST", "/api/tasks"));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status === 401) { login(); return; }
    notice(error.message);
    polling = setTimeout(load, POLL_MS / 3);
  }
}

/** Asks for what comes after the tasks that are here. */
async function refill() {
  if (!about) return;
  try {
    const given = await ask("POST", "/api/tasks");
    if (!outbox.queue.length) take(given);
  } catch (error) {
    if (error.status === 401) { login(); return; }
    if (!tasks.length) polling = setTimeout(load, POLL_MS / 3);
  }
}

function take(given) {
  ({ done, left } = given);
  const shown = tasks[0];
  tasks = shown ? [shown, ...given.tasks.filter((task) => !sameTask(task, shown))] : given.tasks;
  if (!history.length && given.last) history.push({ ...given.last });
  if (!tasks.length) rest(given.state);
  else if (!shown) show();
  else player.prepare(tasks.map((task) => task.clips));
  showCounts();
}

function rest(state) {
  only("rest");
  player.videos.forEach((video) => video.pause());
  const finished = state === "finished";
  byId("restTitle").textContent = finished ? "All done" : state === "waiting" ? "Nothing to do right now" : "One moment";
  byId("restText").textContent = finished ? "There is nothing left for you to label. Thank you!"
    : state === "waiting" ? "Others are working on what is left. The page looks again by itself." : "";
  if (state === "waiting") polling = setTimeout(load, POLL_MS);
  showCounts();
}

function show() {
  const [task] = tasks;
  only("work");
  byId("prompt").textContent = task.prompt;
  byId("pictureLink").hidden = !task.picture;
  byId("told").hidden = !task.picture && !task.prompt;
  if (task.picture) byId("pictureLink").href = byId("picture").src = `/media/${task.picture}`;
  player.show(task.clips, task.clips.length === 2 ? ["A", "B"] : []);
  player.prepare(tasks.map((each) => each.clips));
  for (const each of tasks) if (each.picture) new Image().src = `/media/${each.picture}`;
  since = performance.now();
  showQuestion();
  window.scrollTo(0, 0);
}

function showQuestion() {
  const [task] = tasks;
  if (!task || !about) return;
  const questions = questionsOf(task), question = openQuestion(task);
  byId("question").textContent = question?.text ?? "";
  byId("steps").textContent = questions.length > 1 && question ? `${questions.indexOf(question) + 1} of ${questions.length}` : "";
  byId("answers").dataset.count = about.answers.length;
  byId("answers").replaceChildren(...about.answers.map((name, i) => make("button", {
    type: "button", disabled: !player.isReady, onclick: () => answer(name),
  }, make("kbd", { textContent: i + 1 }), ` ${NAMES[name] ?? GRADES[name] ?? name}`)));
  showCounts();
}

function showCounts() {
  byId("counts").textContent = left ? `${done} done, ${left} to go` : `${done} done`;
  byId("progress").value = done + left ? done / (done + left) : 0;
  byId("undo").disabled = !history.length;
}

function showPlayer() {
  byId("play").dataset.state = player.playing ? "playing" : "paused";
  byId("speed").textContent = `${player.speed}×`;
  byId("loop").setAttribute("aria-pressed", player.looping);
  byId("time").value = player.duration ? Math.round(1000 * player.time / player.duration) : 0;
  byId("clock").textContent = `${player.time.toFixed(2)} / ${player.duration.toFixed(2)} s`;
}

function answer(name) {
  const [task] = tasks, question = task && openQuestion(task);
  if (!question || !player.isReady || byId("work").hidden) return;
  const id = newId(), seconds = Math.round(performance.now() - since) / 1000;
  task.answered[question.id] = name;
  history.push({ id, task, question: question.id });
  outbox.add("PUT", `/api/answers/${id}`, { item: task.item, question: question.id, answer: name, seconds });
  if (openQuestion(task)) { showQuestion(); return; }
  done += 1;
  left = Math.max(0, left - 1);
  tasks.shift();
  if (tasks.length) show(); else rest("working");
}

function undo() {
  const last = history.pop();
  if (!last) return;
  clearTimeout(polling);
  if (!openQuestion(last.task)) { done -= 1; left += 1; }
  delete last.task.answered[last.question];
  outbox.add("DELETE", `/api/answers/${last.id}`);
  if (!sameTask(tasks[0], last.task)) tasks.unshift(last.task);
  else tasks[0] = last.task;
  show();
}

function keyRows() {
  const rows = about.answers.map((name, i) => [ARROWS[name] ? `${i + 1} or ${{ left: "←", same: "↓", right: "→" }[name]}` : i + 1, NAMES[name] ?? GRADES[name] ?? name]);
  rows.push(["U", "take the last answer back"], ["Space", "play or pause"], [", and .", "one frame back or on"],
    ["R", "from the beginning"], ["− and +", "slower or faster"], ["L", "repeat or not"], ["?", "these keys"]);
  return rows.map(([key, text]) => make("tr", {}, make("td", {}, make("kbd", { textContent: key })), make("td", { textContent: text })));
}

const ACTIONS = {
  " ": () => player.toggle(), ",": () => player.step(-1), ".": () => player.step(1), "-": () => player.faster(-1),
  "+": () => player.faster(1), "=": () => player.faster(1), l: () => player.loop(), r: () => player.seek(0),
  u: undo, Backspace: undo,
};

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open || event.target.id === "token") return;
  if (event.key === "?") { byId("help").showModal(); event.preventDefault(); return; }
  const button = event.target.closest?.("button");
  if (!about || (event.key === " " && button)) return; // a button that has the focus
  const slides = event.target.id === "time" && event.key.startsWith("Arrow");
  const number = about.answers.findIndex((name, i) => event.key === String(i + 1) || (event.key === ARROWS[name] && !slides));
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (number >= 0 && !event.repeat) answer(about.answers[number]);
  else if (ACTIONS[key] && !(event.repeat && "ulr ".includes(key))) ACTIONS[key]();
  else return;
  event.preventDefault();
}

function login() {
  only("login");
  byId("token").focus();
}

async function begin(token) {
  try {
    await ask("POST", "/api/session", { token });
  } catch (error) {
    login();
    notice(error.message);
    return;
  }
  notice("");
  about = null;
  await load();
  outbox.send();
}

byId("login").addEventListener("submit", (event) => { event.preventDefault(); begin(byId("token").value.trim()); });
document.addEventListener("keydown", pressed);
// A button that was clicked would keep the focus, and the space bar would press it again.
document.addEventListener("click", (event) => { if (event.detail) event.target.closest("button")?.blur(); });
const CLICKS = { undo, play: () => player.toggle(), back: () => player.step(-1), forth: () => player.step(1),
  speed: () => player.nextSpeed(), loop: () => player.loop(), keys: () => byId("help").showModal() };
for (const [name, action] of Object.entries(CLICKS)) byId(name).addEventListener("click", action);
byId("time").addEventListener("input", (event) => { player.playing = false; player.seek(event.target.value / 1000 * player.duration); });
window.addEventListener("beforeunload", (event) => { if (outbox.queue.length) event.preventDefault(); });

const token = decodeURIComponent(location.hash.slice(1));
if (token) window.history.replaceState(null, "", location.pathname); // not to be copied with the address
if (token) begin(token); else load();
