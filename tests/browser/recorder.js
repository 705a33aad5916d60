/**
 * Records the page's call on one clock: the microphone's track as the page got it and the
 * stream that its <audio> element plays, both mono 24 kHz, and the events of its data
 * channel as they come. Added to the page before its own scripts; the page does not know
 * of it.
 */

window.recorder = (() => {
  const TAP = `registerProcessor("tap", class extends AudioWorkletProcessor {
    process(inputs) {
      const sides = inputs.map(([channel]) => channel ?? new Float32Array(128));
      this.port.postMessage({ at_s: currentTime, sides });
      return true;
    }
  })`;
  const taken = [[], []];
  const received = [];
  let started_s;
  const context = new AudioContext({ sampleRate: 24000 });
  const tap = open();

  async function open() {
    const code = URL.createObjectURL(new Blob([TAP], { type: "text/javascript" }));
    await context.audioWorklet.addModule(code);
    const node = new AudioWorkletNode(context, "tap", {
      numberOfInputs: 2, numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit",
    });
    node.port.onmessage = ({ data: { at_s, sides } }) => {
      started_s ??= at_s;
      sides.forEach((block, side) => taken[side].push(block));
    };
    return node;
  }

  async function record(stream, side) {
    await context.resume();
    context.createMediaStreamSource(stream).connect(await tap, 0, side);
  }

  const getUserMedia = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async () => {
    // No loudspeaker is near this microphone. With no echo to learn from, the canceller
    // takes the first words said over the agent for echo, and swallows them.
    const stream = await getUserMedia({ audio: { echoCancellation: false } });
    record(stream, 0);
    return stream;
  };
  addEventListener("loadedmetadata", ({ target }) => record(target.srcObject, 1), true);

  const createDataChannel = RTCPeerConnection.prototype.createDataChannel;
  RTCPeerConnection.prototype.createDataChannel = function (...wanted) {
    const channel = createDataChannel.apply(this, wanted);
    channel.addEventListener("message", ({ data }) =>
      received.push({ at_s: context.currentTime, event: JSON.parse(data) }));
    return channel;
  };

  /** Base64 of int16 samples. */
  function packed(blocks) {
    const samples = Int16Array.from(
      blocks.flatMap((block) => Array.from(block)),
      (sample) => Math.max(-1, Math.min(1, sample)) * 32767);
    const bytes = new Uint8Array(samples.buffer);
    let binary = "";
    for (const byte of bytes) binary += String.fromCharCode(byte);
    return btoa(binary);
  }

  return {
    take: () => taken.map(packed),
    /** Each event with its time in the recording. */
    events: () => received.map(({ at_s, event }) => ({ at_s: at_s - started_s, event })),
  };
})();
