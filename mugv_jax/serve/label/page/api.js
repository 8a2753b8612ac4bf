// Requests to the server, and answers on their way to it.

const FIRST_WAIT_MS = 400, LONGEST_WAIT_MS = 8000;

/** A request that the server has refused; `status` 0 means that it did not answer. */
export class Refused extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

/** Sends a request with a JSON body; gives the JSON of the answer. */
export async function ask(method, path, body) {
  let response;
  try {
    response = await fetch(path, {
      method, cache: "no-store", credentials: "same-origin",
      headers: body === undefined ? {} : { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch { throw new Refused(0, "The server does not answer."); }
  const told = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, told.error?.message ?? `Status ${response.status}.`);
  return told;
}

/** A new id. `crypto.randomUUID` is missing where the page is not served by https. */
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Changes in their order, each sent until the server has acknowledged or refused it. */
export class Outbox {
  /** `changed(waiting, trouble)` hears of every step; `refused(error)` of what the server does not take. */
  constructor({ changed, refused, emptied }) {
    Object.assign(this, { changed, refused, emptied, queue: [], sending: false });
  }

  add(method, path, body) {
    this.queue.push({ method, path, body });
    this.changed(this.queue.length, null);
    this.send();
  }

  async send() {
    if (this.sending) return;
    this.sending = true;
    let wait = FIRST_WAIT_MS;
    while (this.queue.length) {
      const { method, path, body } = this.queue[0];
      try {
        await ask(method, path, body);
      } catch (error) {
        if (error.status === 0 || error.status === 401 || error.status === 429 || error.status >= 500) {
          this.changed(this.queue.length, error);
          if (error.status === 401) { this.sending = false; this.refused(error); return; }
          await new Promise((done) => setTimeout(done, wait));
          wait = Math.min(2 * wait, LONGEST_WAIT_MS);
          continue;
        }
        this.queue.length = 0; // what follows builds on what was refused
        this.changed(0, null);
        this.sending = false;
        this.refused(error);
        return;
      }
      wait = FIRST_WAIT_MS;
      this.queue.shift();
      this.changed(this.queue.length, null);
    }
    this.sending = false;
    this.emptied();
  }
}
