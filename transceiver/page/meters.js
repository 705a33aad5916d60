/**
 * A level meter as a lane of bars that runs from right to left: a few seconds of the past,
 * so that the two lanes together show who spoke when. Where motion is unwanted it is one
 * bar that grows.
 */

/** Milliseconds shown by one bar. */
const BAR_MS = 60;
const BAR_WIDTH_PX = 3;
const BAR_STEP_PX = 5;
/** Loudness shown as nothing, in dB below full scale; speech peaks at about -10. */
const FLOOR_DB = 52;

const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Lane {
  #canvas;
  /** @type {AnalyserNode | null} */ #analyser = null;
  #samples = new Float32Array(2048);
  /** Bars on screen, newest last; the oldest fall off the left edge. @type {number[]} */
  #bars = [];
  #bar = 0;
  #barEnds_ms = 0;

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.draw(performance.now())).observe(canvas);
  }

  /** @param {AnalyserNode | null} analyser `null`: silence */
  watch(analyser) {
    this.#analyser = analyser;
  }

  /** Nothing moves: there is no need to draw. */
  get still() {
    return this.#analyser === null && this.#bar === 0 && this.#bars.every((bar) => bar === 0);
  }

  /** @param {number} now_ms */
  draw(now_ms) {
    const level = this.#level();
    this.#bar = Math.max(this.#bar, level);
    if (now_ms >= this.#barEnds_ms) this.#closeBar(now_ms);
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const surface = this.#surface(width, height);
    if (calm.matches) surface.fillRect(0, height / 2 - 3, Math.max(2, level * width), 6);
    else this.#drawBars(surface, width, height, (this.#barEnds_ms - now_ms) / BAR_MS);
  }

  #closeBar(now_ms) {
    this.#bars = [...this.#bars, this.#bar].slice(-this.#capacity());
    const percent = String(Math.round(100 * this.#bar));
    this.#canvas.setAttribute("aria-valuenow", percent);
    this.#bar = 0;
    this.#barEnds_ms = Math.max(this.#barEnds_ms + BAR_MS, now_ms);
  }

  #capacity() {
    return Math.ceil(this.#canvas.clientWidth / BAR_STEP_PX) + 1;
  }

  #drawBars(surface, width, height, ahead) {
    for (let age = 0; age < this.#capacity(); age += 1) {
      const level = this.#bars.at(-1 - age) ?? 0;
      const tall = Math.max(2, level * height);
      const x = width - BAR_WIDTH_PX - (age + 1 - ahead) * BAR_STEP_PX;
      surface.globalAlpha = level === 0 ? 0.3 : 1;
      surface.beginPath();
      surface.roundRect(x, (height - tall) / 2, BAR_WIDTH_PX, tall, BAR_WIDTH_PX / 2);
      surface.fill();
    }
  }

  /** 0 to 1, linear in decibels. */
  #level() {
    if (this.#analyser === null) return 0;
    this.#analyser.getFloatTimeDomainData(this.#samples);
    const peak = this.#samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
    return Math.min(1, Math.max(0, 1 + (20 * Math.log10(peak + 1e-9)) / FLOOR_DB));
  }

  #surface(width, height) {
    const scale = devicePixelRatio;
    const canvas = this.#canvas;
    if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
    if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
    const surface = canvas.getContext("2d");
    surface.setTransform(scale, 0, 0, scale, 0, 0);
    surface.clearRect(0, 0, width, height);
    surface.fillStyle = getComputedStyle(canvas).color;
    return surface;
  }
}
