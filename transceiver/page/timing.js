/**
 * How long the caller waited: from the last voiced sound of the microphone before the end
 * of a turn to the first sound of the agent. Pure; all times are seconds of one audio
 * clock, on which the microphone and the agent are both observed (see ear-worklet.js).
 */

/** Quietest RMS that counts as sound: -50 dBFS, above the comfort noise of decoders. */
const AUDIBLE_RMS = 0.003;
/** The caller's voice stands out of the room by this factor (12 dB). */
const OVER_ROOM = 4;
/** The estimate of the room's noise rises by this factor a second, and falls at once. */
const ROOM_RISE_PER_S = 1.4;
/** Silence before an onset, in seconds: longer than a stop consonant. */
const PAUSE_S = 0.15;
/** Voice is heard here before the server reports it; how much earlier at most. */
const REPORT_DELAY_S = 1.5;

/**
 * @typedef {object} Timing
 * @property {number} now end of the last report
 * @property {number} room noise of the room, RMS
 * @property {number | null} voiced when the caller's voice was last heard
 * @property {number} sounded when the agent was last heard
 * @property {number} began earliest time of the caller's present turn
 * @property {{id: string, ended: number} | null} waiting the turn that waits for its answer
 *
 * @typedef {object} Report RMS of consecutive windows
 * @property {number} at start of the first window
 * @property {number} window_s length of each
 * @property {readonly number[]} you
 * @property {readonly number[]} agent
 *
 * @typedef {{id: string, reply_ms: number}} Answer
 */

/** @type {Timing} */
export const NO_TIMING = Object.freeze({
  now: 0, room: AUDIBLE_RMS, voiced: null, sounded: -Infinity, began: 0, waiting: null,
});

/** @param {Timing} timing @returns {Timing} */
export function speechStarted(timing) {
  return { ...timing, began: timing.now - REPORT_DELAY_S, waiting: null };
}

/** @param {Timing} timing @param {string} id the user's item @returns {Timing} */
export function speechStopped(timing, id) {
  const ended = timing.voiced;
  const heard = ended !== null && ended >= timing.began;
  return { ...timing, waiting: heard ? { id, ended } : null };
}

/**
 * @param {Timing} timing
 * @param {Report} report
 * @returns {[Timing, Answer | null]}
 */
export function hear(timing, report) {
  let next = timing;
  /** @type {Answer | null} */ let answer = null;
  for (const [index, rms] of report.you.entries()) {
    const start = report.at + index * report.window_s;
    const end = start + report.window_s;
    const room = Math.min(rms, next.room * ROOM_RISE_PER_S ** report.window_s);
    const voiced = rms > Math.max(AUDIBLE_RMS, OVER_ROOM * room) ? end : next.voiced;
    next = { ...next, now: end, room: Math.max(room, 1e-6), voiced };
    if (report.agent[index] <= AUDIBLE_RMS) continue;
    if (next.waiting !== null && start - next.sounded > PAUSE_S) {
      const { id, ended } = next.waiting;
      answer = { id, reply_ms: Math.round(1000 * (start - ended)) };
      next = { ...next, waiting: null };
    }
    next = { ...next, sounded: end };
  }
  return [next, answer];
}
