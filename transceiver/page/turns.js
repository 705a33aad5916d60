/**
 * The conversation as the events tell it: a pure reduction of server events to a list of
 * entries in conversation order. Events it does not know leave it as it is.
 *
 *   user   speech_started -> open -> transcription completed | failed -> done | failed
 *   agent  output_item.added -> open -> transcript done -> done
 *          truncated | cleared while playing | response cancelled -> cut
 */

/**
 * @typedef {"open" | "done" | "cut" | "failed"} Status
 *
 * @typedef {object} Entry
 * @property {string} id the conversation item's
 * @property {"user" | "agent"} speaker
 * @property {readonly string[]} parts text by content index
 * @property {Status} status
 * @property {string | null} response the response that it belongs to
 * @property {number | null} heard_ms of a cut entry: how much of it was heard
 * @property {number | null} reply_ms of a user's entry: silence until the agent was heard
 * @property {string | null} problem of a failed entry
 *
 * @typedef {object} Turns
 * @property {readonly Entry[]} entries
 * @property {string | null} responding response being generated
 * @property {string | null} playing response being played to the caller
 *
 * @typedef {import("./call.js").RealtimeEvent} RealtimeEvent
 */

/** @type {Turns} */
export const NO_TURNS = Object.freeze({ entries: [], responding: null, playing: null });

/** @param {Turns} turns @param {RealtimeEvent} event @returns {Turns} */
export function reduce(turns, event) {
  const step = STEPS[event.type];
  return step === undefined ? turns : step(turns, event);
}

/** Note the measured silence before the agent's answer to a user's item. */
export function answered(turns, id, reply_ms) {
  return change(turns, id, () => ({ reply_ms }));
}

/** What is still open when the call is over stays as far as it got. */
export function closed(turns) {
  const entries = turns.entries.map((entry) =>
    entry.status === "open"
      ? { ...entry, status: entry.speaker === "agent" ? "cut" : "done" }
      : entry);
  return { entries, responding: null, playing: null };
}

/** @param {Entry} entry */
export function text(entry) {
  return entry.parts.join("").trim();
}

/** @type {Record<string, (turns: Turns, event: RealtimeEvent) => Turns>} */
const STEPS = {
  "input_audio_buffer.speech_started": (turns, { item_id }) =>
    ensure(turns, item_id, "user"),
  "input_audio_buffer.committed": (turns, { item_id, previous_item_id }) =>
    follow(ensure(turns, item_id, "user"), item_id, previous_item_id),
  "conversation.item.added": (turns, { item, previous_item_id }) =>
    follow(added(turns, item, null), item.id, previous_item_id),
  "conversation.item.deleted": (turns, { item_id }) => ({
    ...turns, entries: turns.entries.filter(({ id }) => id !== item_id),
  }),
  "conversation.item.truncated": (turns, { item_id, audio_end_ms }) =>
    change(turns, item_id, () => ({ status: "cut", heard_ms: audio_end_ms })),

  "conversation.item.input_audio_transcription.delta": (turns, event) =>
    grow(ensure(turns, event.item_id, "user"), event, event.delta ?? ""),
  "conversation.item.input_audio_transcription.completed": (turns, event) =>
    settle(ensure(turns, event.item_id, "user"), event, event.transcript),
  "conversation.item.input_audio_transcription.failed": (turns, { item_id, error }) =>
    change(turns, item_id, () => ({ status: "failed", problem: error?.message ?? "" })),

  "response.created": (turns, { response }) => ({ ...turns, responding: response.id }),
  "response.output_item.added": (turns, { item, response_id }) =>
    added(turns, item, response_id),
  "response.output_audio_transcript.delta": (turns, event) => grow(turns, event, event.delta),
  "response.output_audio_transcript.done": (turns, event) =>
    settle(turns, event, event.transcript),
  "response.output_text.delta": (turns, event) => grow(turns, event, event.delta),
  "response.output_text.done": (turns, event) => settle(turns, event, event.text),
  "response.done": (turns, { response }) => finished(turns, response),

  "output_audio_buffer.started": (turns, { response_id }) =>
    ({ ...turns, playing: response_id }),
  "output_audio_buffer.stopped": (turns) => ({ ...turns, playing: null }),
  "output_audio_buffer.cleared": (turns, { response_id }) => {
    const cut = turns.playing === response_id ? cutShort(turns, response_id) : turns;
    return { ...cut, playing: null };
  },
};

function added(turns, item, response) {
  const speaker = { user: "user", assistant: "agent" }[item.role];
  if (item.type !== "message" || speaker === undefined) return turns;
  const known = ensure(turns, item.id, speaker);
  return change(known, item.id, (entry) => {
    const parts = (item.content ?? []).map((part) => part.text ?? part.transcript ?? "");
    const typed = (item.content ?? []).some((part) => part.type === "input_text");
    return {
      response: response ?? entry.response,
      parts: parts.join("") === "" ? entry.parts : parts,
      status: typed ? "done" : entry.status,
    };
  });
}

/** Append an open entry unless the item is known already. */
function ensure(turns, id, speaker) {
  if (turns.entries.some((entry) => entry.id === id)) return turns;
  /** @type {Entry} */
  const entry = {
    id, speaker, parts: [], status: "open",
    response: null, heard_ms: null, reply_ms: null, problem: null,
  };
  return { ...turns, entries: [...turns.entries, entry] };
}

/** Move an item right behind the one that it follows, where both are shown. */
function follow(turns, id, previous) {
  const entry = turns.entries.find((one) => one.id === id);
  const rest = turns.entries.filter((one) => one.id !== id);
  const before = rest.findIndex((one) => one.id === previous);
  if (entry === undefined || before < 0) return turns;
  return { ...turns, entries: rest.toSpliced(before + 1, 0, entry) };
}

function change(turns, id, changes) {
  const entries = turns.entries.map((entry) =>
    entry.id === id ? { ...entry, ...changes(entry) } : entry);
  return { ...turns, entries };
}

/** @param {Turns} turns @param {any} event @param {string} delta @returns {Turns} */
function grow(turns, { item_id, content_index = 0 }, delta) {
  return change(turns, item_id, ({ parts, status }) => {
    if (status !== "open") return {};
    return { parts: put(parts, content_index, (parts[content_index] ?? "") + delta) };
  });
}

/**
 * A cut entry keeps what it had: its transcript may name words that were never heard.
 *
 * @param {Turns} turns @param {any} event @param {string} transcript @returns {Turns}
 */
function settle(turns, { item_id, content_index = 0 }, transcript) {
  return change(turns, item_id, ({ parts, status }) =>
    status === "open" ? { parts: put(parts, content_index, transcript), status: "done" } : {});
}

function put(parts, index, value) {
  const missing = Math.max(0, index + 1 - parts.length);
  return [...parts, ...Array(missing).fill("")].with(index, value);
}

function finished(turns, response) {
  const over = turns.responding === response.id ? { ...turns, responding: null } : turns;
  if (response.status === "cancelled") return cutOpen(over, response.id);
  if (response.status !== "failed") return over;
  const problem = response.status_details?.error?.message ?? "The response failed.";
  const last = over.entries.findLast((entry) => entry.response === response.id);
  const id = last?.id ?? response.id;
  return change(ensure(over, id, "agent"), id, () => ({ status: "failed", problem }));
}

function cutOpen(turns, response) {
  const open = turns.entries.filter((one) => one.response === response && one.status === "open");
  return open.reduce((so_far, { id }) => change(so_far, id, () => ({ status: "cut" })), turns);
}

function cutShort(turns, response) {
  const last = turns.entries.findLast((entry) => entry.response === response);
  return last === undefined ? turns : change(turns, last.id, () => ({ status: "cut" }));
}
