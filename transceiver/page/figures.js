/** The figures under the meters: the last wait, the median wait, the length of the call. */

export class Figures {
  #last;
  #median;
  #clock;
  /** @type {number | null} */ #since_ms = null;

  /** @param {HTMLElement} last @param {HTMLElement} median @param {HTMLElement} clock */
  constructor(last, median, clock) {
    this.#last = last;
    this.#median = median;
    this.#clock = clock;
  }

  clear() {
    this.#since_ms = null;
    this.#clock.textContent = clockTime(0);
  }

  /** The call stands; a call that was unsteady goes on from its first start. */
  start(now_ms) {
    this.#since_ms ??= now_ms;
  }

  /** @param {readonly (number | null)[]} replies_ms `null`: a turn without a measure */
  showReplies(replies_ms) {
    const measured = replies_ms.filter((value) => value !== null);
    this.#last.textContent = milliseconds(measured.at(-1));
    this.#median.textContent = milliseconds(median(measured));
  }

  showClock(now_ms) {
    const shown = clockTime(this.#since_ms === null ? 0 : now_ms - this.#since_ms);
    if (this.#clock.textContent !== shown) this.#clock.textContent = shown;
  }
}

/** @param {number[]} values @returns {number | undefined} of two in the middle the lower */
function median(values) {
  return values.toSorted((a, b) => a - b)[(values.length - 1) >> 1];
}

function milliseconds(value) {
  return value === undefined ? "–" : `${value} ms`;
}

/** @returns {string} `1:05` */
function clockTime(elapsed_ms) {
  const seconds = Math.max(0, Math.floor(elapsed_ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
