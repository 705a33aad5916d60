/**
 * A microphone that says what the test hands to it. It stands in for the machine's own:
 * the page opens it as any page does, and nothing tells the client that it is not real.
 * Added to the page before its scripts.
 */

window.microphone = (() => {
  const RATE_HZ = 24000;
  const context = new AudioContext({ sampleRate: RATE_HZ });
  const capsule = context.createMediaStreamDestination();
  capsule.channelCount = 1;
  const room = new ConstantSourceNode(context, { offset: 0 });  // a still room, not none
  room.connect(capsule);
  room.start();
  let free_s = 0;

  navigator.mediaDevices.getUserMedia = async () => {
    await context.resume();
    return capsule.stream.clone();
  };

  return {
    /** Say base64 of int16 mono 24 kHz, after what is being said; return its seconds. */
    say(text) {
      const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
      const samples = Float32Array.from(new Int16Array(bytes.buffer), (s) => s / 32768);
      const buffer = context.createBuffer(1, samples.length, RATE_HZ);
      buffer.copyToChannel(samples, 0);
      const voice = new AudioBufferSourceNode(context, { buffer });
      voice.connect(capsule);
      const start_s = Math.max(free_s, context.currentTime);
      voice.start(start_s);
      free_s = start_s + buffer.duration;
      return free_s - context.currentTime;
    },
  };
})();
