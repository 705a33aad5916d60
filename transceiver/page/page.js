/** Wires the page: a call's events go to the pure parts, their results to the screen. */

import { Call } from "./call.js";
import { Ear } from "./ear.js";
import { Figures } from "./figures.js";
import { EventLog } from "./log.js";
import { Lane } from "./meters.js";
import { sessionWishes, typedMessage } from "./requests.js";
import * as timings from "./timing.js";
import { Transcript } from "./transcript.js";
import * as turning from "./turns.js";

const STATES = {
  idle: "Not connected",
  microphone: "Asking for the microphone",
  connecting: "Connecting",
  live: "Connected",
  unsteady: "Connection unsteady",
  ended: "Call ended",
  failed: "Not connected",
};

/** @param {string} id @returns {any} the element, of whatever kind it is in index.html */
const byId = (id) => document.getElementById(id);

/** One call at a time; what the last one said stays on screen until the next begins. */
class Page {
  #transcript = new Transcript(byId("transcript"));
  #log = new EventLog(byId("events"), byId("event-count"));
  #figures = new Figures(byId("last-reply"), byId("median-reply"), byId("clock"));
  #lanes = [new Lane(byId("you-lane")), new Lane(byId("agent-lane"))];
  #drawing = false;
  /** @type {Call | null} */ #call = null;
  /** @type {Ear | null} */ #ear = null;
  #turns = turning.NO_TURNS;
  #timing = timings.NO_TIMING;
  /** A typed message waits for the end of the response that it interrupted. */
  #responseOwed = false;

  constructor() {
    byId("call").addEventListener("click", () =>
      this.#call === null ? this.#start() : this.#call.hangUp());
    byId("composer").addEventListener("submit", (submission) => {
      submission.preventDefault();
      this.#sendMessage(byId("message"));
    });
  }

  #start() {
    this.#turns = turning.NO_TURNS;
    this.#timing = timings.NO_TIMING;
    this.#responseOwed = false;
    this.#log.clear();
    this.#figures.clear();
    this.#showTurns();
    complain(null);
    byId("state").dataset.call = "";
    this.#ear = new Ear((report) => this.#soundHeard(report));
    this.#call = new Call({
      stateChanged: (state, problem) => this.#stateChanged(state, problem),
      eventReceived: (event) => this.#eventReceived(event),
      microphoneOpened: (stream) => attach(this.#ear.hearYou(stream)),
      agentHeard: (stream) => {
        byId("agent-audio").srcObject = stream;
        attach(this.#ear.hearAgent(stream));
      },
    });
    this.#call.start(byId("api-key").value.trim());
    if (!this.#drawing) this.#draw(performance.now());
  }

  /** @param {import("./call.js").CallState} state @param {string | null} problem */
  #stateChanged(state, problem) {
    const over = state === "ended" || state === "failed";
    const shown = byId("state");
    shown.dataset.state = state;
    shown.textContent = STATES[state];
    if (this.#call.id !== null) shown.dataset.call = this.#call.id;
    byId("call").dataset.action = over ? "start" : "hang-up";
    byId("call-label").textContent = over ? "Start call" : "Hang up";
    for (const id of ["message", "send"]) byId(id).disabled = state !== "live";
    if (state === "live") this.#figures.start(performance.now());
    if (problem !== null) complain(problem);
    if (over) this.#finish();
  }

  #finish() {
    this.#ear.close();
    this.#ear = null;
    this.#call = null;
    this.#lanes.forEach((lane) => lane.watch(null));
    byId("agent-audio").srcObject = null;
    this.#turns = turning.closed(this.#turns);
    this.#showTurns();
  }

  /** @param {import("./call.js").RealtimeEvent} event */
  #eventReceived(event) {
    this.#log.add("received", event, new Date());
    if (event.type === "session.created") {
      this.#send(sessionWishes(event.session, byId("instructions").value.trim()));
    } else if (event.type === "input_audio_buffer.speech_started") {
      this.#timing = timings.speechStarted(this.#timing);
    } else if (event.type === "input_audio_buffer.speech_stopped") {
      this.#timing = timings.speechStopped(this.#timing, event.item_id);
    } else if (event.type === "error") {
      complain(event.error.message);
    }
    this.#turns = turning.reduce(this.#turns, event);
    this.#respond();
    this.#showTurns();
  }

  /** @param {timings.Report} report */
  #soundHeard(report) {
    const [timing, answer] = timings.hear(this.#timing, report);
    this.#timing = timing;
    if (answer === null) return;
    this.#turns = turning.answered(this.#turns, answer.id, answer.reply_ms);
    this.#showTurns();
  }

  /** @param {HTMLInputElement} input */
  #sendMessage(input) {
    const message = input.value.trim();
    if (message === "" || !this.#send(typedMessage(this.#turns, message))) return;
    input.value = "";
    this.#responseOwed = true;
    this.#respond();
  }

  /** Ask for the answer to a typed message as soon as no other is being generated. */
  #respond() {
    if (!this.#responseOwed || this.#turns.responding !== null) return;
    this.#responseOwed = false;
    this.#send([{ type: "response.create" }]);
  }

  #send(events) {
    return events.every((event) => {
      const sent = this.#call?.send(event) ?? false;
      if (sent) this.#log.add("sent", event, new Date());
      return sent;
    });
  }

  #showTurns() {
    const { entries } = this.#turns;
    byId("invitation").hidden = entries.length > 0;
    this.#transcript.show(entries);
    this.#figures.showReplies(entries.map((entry) => entry.reply_ms));
  }

  /** Runs with the screen while there is a call, and until its last bars have left. */
  #draw(now_ms) {
    this.#lanes.forEach((lane, index) => {
      if (this.#ear !== null) lane.watch(this.#ear.analysers[index]);
      lane.draw(now_ms);
    });
    if (this.#call !== null) this.#figures.showClock(now_ms);
    this.#drawing = this.#call !== null || !this.#lanes.every((lane) => lane.still);
    if (this.#drawing) requestAnimationFrame((later_ms) => this.#draw(later_ms));
  }
}

/** @param {string | null} problem */
function complain(problem) {
  byId("problem").textContent = problem ?? "";
  byId("problem").hidden = problem === null;
}

/** Meters and timing are extras: without them the call goes on. */
function attach(attaching) {
  attaching.catch((error) => complain(`No level meters: ${error.message}`));
}

new Page();
