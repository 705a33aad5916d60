/** Wires the page: a call's events go to the pure parts, their results to the screen. */

import { Call } from "./call.js";
import { Ear } from "./ear.js";
import { EventLog } from "./log.js";
import { Lane } from "./meters.js";
import { sessionWishes, typedMessage } from "./requests.js";
import * as timings from "./timing.js";
import { HOW_MEASURED, Transcript } from "./transcript.js";
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
const byId = (id) => document.getElementById(id);

const transcript = new Transcript(byId("transcript"));
const log = new EventLog(byId("events"), byId("event-count"));
const lanes = [new Lane(byId("you-lane")), new Lane(byId("agent-lane"))];

/** @type {Call | null} */ let call = null;
/** @type {Ear | null} */ let ear = null;
let turns = turning.NO_TURNS;
let timing = timings.NO_TIMING;
/** A typed message waits for the end of the response that it interrupted. */
let responseOwed = false;
let liveSince_ms = null;
let drawing = false;

byId("call").addEventListener("click", () => (call === null ? start() : call.hangUp()));
byId("composer").addEventListener("submit", (submission) => {
  submission.preventDefault();
  sendMessage(byId("message"));
});
for (const id of ["last-reply", "median-reply"]) byId(id).title = HOW_MEASURED;

function start() {
  turns = turning.NO_TURNS;
  timing = timings.NO_TIMING;
  responseOwed = false;
  liveSince_ms = null;
  byId("state").dataset.call = "";
  showClock(0);
  log.clear();
  complain(null);
  showTurns();
  ear = new Ear(soundHeard);
  call = new Call({
    stateChanged,
    eventReceived,
    microphoneOpened: (stream) => attach(ear.hearYou(stream)),
    agentHeard: (stream) => {
      byId("agent-audio").srcObject = stream;
      attach(ear.hearAgent(stream));
    },
  });
  call.start(byId("api-key").value.trim());
  if (!drawing) drawLanes(performance.now());
}

/** Meters and timing are extras: without them the call goes on. */
function attach(attaching) {
  attaching.catch((error) => complain(`No level meters: ${error.message}`));
}

function stateChanged(state, problem) {
  const over = state === "ended" || state === "failed";
  if (state === "live") liveSince_ms ??= performance.now();
  if (over) finish();
  if (problem !== null) complain(problem);
  const shown = byId("state");
  shown.dataset.state = state;
  if (call?.id) shown.dataset.call = call.id;
  shown.textContent = STATES[state];
  byId("call").dataset.action = over ? "start" : "hang-up";
  byId("call-label").textContent = over ? "Start call" : "Hang up";
  for (const id of ["message", "send"]) byId(id).disabled = state !== "live";
}

function finish() {
  const closing = ear;
  call = null;
  ear = null;
  closing.close();
  lanes.forEach((lane) => lane.watch(null));
  byId("agent-audio").srcObject = null;
  turns = turning.closed(turns);
  showTurns();
}

function eventReceived(event) {
  log.add("received", event, new Date());
  if (event.type === "session.created") {
    send(sessionWishes(event.session, byId("instructions").value.trim()));
  } else if (event.type === "input_audio_buffer.speech_started") {
    timing = timings.speechStarted(timing);
  } else if (event.type === "input_audio_buffer.speech_stopped") {
    timing = timings.speechStopped(timing, event.item_id);
  } else if (event.type === "error") {
    complain(event.error.message);
  }
  turns = turning.reduce(turns, event);
  if (responseOwed && turns.responding === null) respond();
  showTurns();
}

/** @param {timings.Report} report */
function soundHeard(report) {
  let answer;
  [timing, answer] = timings.hear(timing, report);
  if (answer === null) return;
  turns = turning.answered(turns, answer.id, answer.reply_ms);
  showTurns();
}

function sendMessage(input) {
  const message = input.value.trim();
  if (message === "" || !send(typedMessage(turns, message))) return;
  input.value = "";
  responseOwed = true;
  if (turns.responding === null) respond();
}

function respond() {
  responseOwed = false;
  send([{ type: "response.create" }]);
}

function send(events) {
  return events.every((event) => {
    const sent = call?.send(event) ?? false;
    if (sent) log.add("sent", event, new Date());
    return sent;
  });
}

function complain(problem) {
  byId("problem").textContent = problem ?? "";
  byId("problem").hidden = problem === null;
}

function showTurns() {
  byId("invitation").hidden = turns.entries.length > 0;
  transcript.show(turns.entries);
  const replies = turns.entries.map((entry) => entry.reply_ms).filter((ms) => ms !== null);
  showFigure("last-reply", replies.at(-1));
  showFigure("median-reply", median(replies));
}

/** @param {number[]} values @returns {number | undefined} of two in the middle the lower */
function median(values) {
  return values.toSorted((a, b) => a - b)[(values.length - 1) >> 1];
}

function showFigure(id, ms) {
  byId(id).textContent = ms === undefined ? "–" : `${ms} ms`;
}

function drawLanes(now_ms) {
  lanes.forEach((lane, index) => {
    if (ear !== null) lane.watch(ear.analysers[index]);
    lane.draw(now_ms);
  });
  if (call !== null && liveSince_ms !== null) showClock(now_ms - liveSince_ms);
  drawing = call !== null || !lanes.every((lane) => lane.still);
  if (drawing) requestAnimationFrame(drawLanes);
}

function showClock(elapsed_ms) {
  const seconds = Math.max(0, Math.floor(elapsed_ms / 1000));
  const shown = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  if (byId("clock").textContent !== shown) byId("clock").textContent = shown;
}
