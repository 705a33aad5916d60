/** Shows the entries of turns.js as a list; touches only what has changed. */

import { followEnd } from "./follow.js";
import { text } from "./turns.js";

/** @typedef {import("./turns.js").Entry} Entry */

const NAMES = { user: "You", agent: "Agent" };

export class Transcript {
  #list;
  #pin;
  /** @type {Map<string, {element: HTMLElement, entry: Entry}>} */
  #shown = new Map();

  /** @param {HTMLElement} list inside the element that scrolls */
  constructor(list) {
    this.#list = list;
    this.#pin = followEnd(list.parentElement);
  }

  /** @param {readonly Entry[]} entries */
  show(entries) {
    const ids = new Set(entries.map(({ id }) => id));
    for (const [id, { element }] of this.#shown) {
      if (ids.has(id)) continue;
      element.remove();
      this.#shown.delete(id);
    }
    entries.forEach((entry, index) => {
      const element = this.#element(entry);
      const there = this.#list.children[index];
      if (there !== element) this.#list.insertBefore(element, there ?? null);
    });
    this.#pin();
  }

  #element(entry) {
    const shown = this.#shown.get(entry.id);
    if (shown?.entry === entry) return shown.element;
    const element = shown?.element ?? document.createElement("li");
    paint(element, entry);
    this.#shown.set(entry.id, { element, entry });
    return element;
  }
}

/** @param {HTMLElement} element @param {Entry} entry */
function paint(element, entry) {
  element.className = `turn ${entry.speaker === "user" ? "you" : "agent"}`;
  Object.assign(element.dataset, {
    speaker: entry.speaker, status: entry.status, item: entry.id,
  });
  element.setAttribute("aria-busy", String(entry.status === "open"));
  const words = node("p", "words", text(entry) || placeholder(entry));
  words.classList.toggle("wordless", text(entry) === "");
  element.replaceChildren(node("span", "who", NAMES[entry.speaker]), words, ...remarks(entry));
  if (entry.reply_ms !== null) element.dataset.replyMs = String(entry.reply_ms);
}

/** @param {Entry} entry */
function placeholder(entry) {
  if (entry.status === "open") return "…";
  return entry.status === "failed" ? "" : "(no words)";
}

/** @param {Entry} entry */
function* remarks(entry) {
  if (entry.status === "cut") {
    const after = entry.heard_ms === null ? "" : ` after ${(entry.heard_ms / 1000).toFixed(1)} s`;
    yield node("span", "remark cut", `cut off${after}`);
  }
  if (entry.status === "failed") yield node("span", "remark failed", entry.problem || "failed");
  if (entry.reply_ms !== null) {
    yield node("span", "remark", `answered after ${entry.reply_ms} ms`);
  }
}

function node(tag, className, content) {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = content;
  return element;
}
