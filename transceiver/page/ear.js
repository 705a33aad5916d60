/** Listens to both sides of a call with Web Audio; nothing it does is audible. */

/** @typedef {import("./timing.js").Report} Report */

const YOU = 0;
const AGENT = 1;

export class Ear {
  #context = new AudioContext();
  #sources = [];
  /** What the meters read. @type {[AnalyserNode, AnalyserNode]} */
  analysers = [this.#context.createAnalyser(), this.#context.createAnalyser()];
  #listening;

  /** @param {(report: Report) => void} heard called about 47 times a second */
  constructor(heard) {
    this.#listening = this.#listen(heard);
  }

  /** @param {MediaStream} stream */
  hearYou(stream) {
    return this.#attach(stream, YOU);
  }

  /** @param {MediaStream} stream */
  hearAgent(stream) {
    return this.#attach(stream, AGENT);
  }

  async close() {
    for (const source of this.#sources) source.disconnect();
    await this.#listening.catch(() => null); // reported by whoever attached
    await this.#context.close();
  }

  async #listen(heard) {
    await this.#context.audioWorklet.addModule(new URL("./ear-worklet.js", import.meta.url));
    const node = new AudioWorkletNode(this.#context, "ear", {
      numberOfInputs: 2, numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit",
    });
    node.port.onmessage = ({ data }) => heard(data);
    await this.#context.resume();
    return node;
  }

  async #attach(stream, input) {
    const source = this.#context.createMediaStreamSource(stream);
    this.#sources.push(source);
    source.connect(this.analysers[input]);
    source.connect(await this.#listening, 0, input);
  }
}
