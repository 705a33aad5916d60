/**
 * Hears the microphone (input 0) and the agent (input 1) on one clock and reports the RMS
 * of consecutive windows. It decides nothing: timing.js does.
 */

/** Render quanta of 128 samples in a window: 5.3 ms at 48 kHz. */
const WINDOW_QUANTA = 2;
/** Windows in a report: a message every 21 ms. */
const REPORT_WINDOWS = 4;

class Ear extends AudioWorkletProcessor {
  #at = 0;
  #energy = [0, 0];
  #samples = 0;
  #quanta = 0;
  #windows = [[], []];

  process(inputs) {
    if (this.#quanta === 0 && this.#windows[0].length === 0) this.#at = currentTime;
    inputs.slice(0, 2).forEach(([channel], source) => {
      if (channel) for (const sample of channel) this.#energy[source] += sample * sample;
    });
    this.#samples += 128;
    this.#quanta += 1;
    if (this.#quanta === WINDOW_QUANTA) this.#closeWindow();
    return true;
  }

  #closeWindow() {
    this.#windows.forEach((windows, source) =>
      windows.push(Math.sqrt(this.#energy[source] / this.#samples)));
    const window_s = this.#samples / sampleRate;
    this.#energy = [0, 0];
    this.#samples = 0;
    this.#quanta = 0;
    if (this.#windows[0].length < REPORT_WINDOWS) return;
    const [you, agent] = this.#windows;
    this.port.postMessage({ at: this.#at, window_s, you, agent });
    this.#windows = [[], []];
  }
}

registerProcessor("ear", Ear);
