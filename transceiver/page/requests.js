/** The client events that this page sends. Pure: state in, events out. */

/** @typedef {import("./call.js").RealtimeEvent} RealtimeEvent */

/** Asked for only where the session has no transcription; every Realtime API knows it. */
const TRANSCRIPTION_MODEL = "gpt-4o-mini-transcribe";

/**
 * What the page wants of a new session: the caller's words, and own instructions if any.
 *
 * @param {any} session as in `session.created`
 * @param {string} instructions empty: the server's own
 * @returns {RealtimeEvent[]}
 */
export function sessionWishes(session, instructions) {
  const wishes = {};
  if (!session.audio?.input?.transcription) {
    wishes.audio = { input: { transcription: { model: TRANSCRIPTION_MODEL } } };
  }
  if (instructions) wishes.instructions = instructions;
  if (Object.keys(wishes).length === 0) return [];
  return [{ type: "session.update", session: { type: "realtime", ...wishes } }];
}

/** A typed message; it interrupts the agent as a spoken one would. */
export function typedMessage(turns, message) {
  const interruption = [
    ...(turns.responding === null ? [] : [{ type: "response.cancel" }]),
    ...(turns.playing === null ? [] : [{ type: "output_audio_buffer.clear" }]),
  ];
  const content = [{ type: "input_text", text: message }];
  const item = { type: "message", role: "user", content };
  return [...interruption, { type: "conversation.item.create", item }];
}
