/** The events of a call, newest last; JSON is written out when an entry is unfolded. */

import { followEnd } from "./follow.js";

/** @typedef {import("./call.js").RealtimeEvent} RealtimeEvent */

/** Events kept; of more than these the oldest are dropped. */
const KEPT = 500;

export class EventLog {
  #list;
  #pin;
  #count;
  #total = 0;

  /** @param {HTMLElement} list @param {HTMLElement} count */
  constructor(list, count) {
    this.#list = list;
    this.#pin = followEnd(list);
    this.#count = count;
  }

  clear() {
    this.#total = 0;
    this.#count.textContent = "0";
    this.#list.replaceChildren();
  }

  /**
   * @param {"received" | "sent"} direction
   * @param {RealtimeEvent} event
   * @param {Date} when
   */
  add(direction, event, when) {
    this.#list.append(entry(direction, event, when));
    while (this.#list.childElementCount > KEPT) this.#list.firstElementChild.remove();
    this.#total += 1;
    this.#count.textContent = String(this.#total);
    this.#pin();
  }
}

function entry(direction, event, when) {
  const item = document.createElement("li");
  Object.assign(item.dataset, { type: event.type, direction });
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  const time = document.createElement("time");
  time.dateTime = when.toISOString();
  time.textContent = clockTime(when);
  const arrow = document.createElement("span");
  arrow.className = "arrow";
  arrow.textContent = direction === "sent" ? "↑" : "↓";
  arrow.role = "img";
  arrow.ariaLabel = direction;
  const type = document.createElement("code");
  type.append(...breakable(event.type));
  summary.append(time, arrow, type);
  details.append(summary);
  details.addEventListener("toggle", () => unfold(details, event), { once: true });
  item.append(details);
  return item;
}

/** A name too long for its line is broken after a dot or an underscore; a copy has no breaks. */
function* breakable(name) {
  for (const part of name.match(/[^._]*[._]?/g)) yield* [part, document.createElement("wbr")];
}

function unfold(details, event) {
  const json = document.createElement("pre");
  json.textContent = JSON.stringify(event, null, 2);
  details.append(json);
}

/** @param {Date} when @returns {string} local time, `12:34:56.789` */
function clockTime(when) {
  const [hours, minutes, seconds] = [when.getHours(), when.getMinutes(), when.getSeconds()]
    .map((value) => String(value).padStart(2, "0"));
  return `${hours}:${minutes}:${seconds}.${String(when.getMilliseconds()).padStart(3, "0")}`;
}
