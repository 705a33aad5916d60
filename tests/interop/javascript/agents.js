/**
 * An application written as the documentation of @openai/agents-realtime says: an agent
 * with one tool, a session over WebRTC or over WebSocket. Only the addresses differ.
 * What the session makes of the server's events is told to the test.
 */

import {
  OpenAIRealtimeWebRTC, OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession, tool,
} from "@openai/agents-realtime";
import { z } from "zod";

const FRAME_SAMPLES = 2400;  // 100 ms at 24 kHz
const FRAMER = `registerProcessor("framer", class extends AudioWorkletProcessor {
  frame = new Int16Array(${FRAME_SAMPLES});
  filled = 0;
  process([[channel = new Float32Array(128)]]) {
    for (const sample of channel) {
      this.frame[this.filled++] = Math.max(-1, Math.min(1, sample)) * 32767;
      if (this.filled === this.frame.length) {
        this.port.postMessage(this.frame.slice().buffer);
        this.filled = 0;
      }
    }
    return true;
  }
})`;

const weather = tool({
  name: "get_weather",
  description: "Get the weather in a city.",
  parameters: z.object({ city: z.string() }),
  execute: async ({ city }) => {
    report("tool", { city });
    return `It is sunny in ${city}, with a light wind.`;
  },
});

const agent = new RealtimeAgent({
  name: "Assistant",
  instructions: "You are a helpful assistant.",
  tools: [weather],
});

let session;

/** Tell the test what happened; `report` is the test's own function. */
function report(kind, what = null) {
  window.report({ kind, what, at_ms: performance.now() });
}

function follow(session) {
  session.on("error", (error) => report("error", String(error?.error ?? error)));
  session.on("audio_interrupted", () => report("interrupted"));
  session.on("history_updated", (history) => report("history", history));
  session.transport.on("connection_change", (status) => report("connection", status));
}

/** Send what the microphone hears, as a WebSocket client has to. */
async function listen(session) {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const context = new AudioContext({ sampleRate: 24000 });
  await context.resume();
  const code = URL.createObjectURL(new Blob([FRAMER], { type: "text/javascript" }));
  await context.audioWorklet.addModule(code);
  const framer = new AudioWorkletNode(context, "framer", { numberOfOutputs: 0 });
  framer.port.onmessage = ({ data }) => session.sendAudio(data);
  context.createMediaStreamSource(stream).connect(framer);
}

window.client = {
  async webrtc(url, apiKey) {
    const transport = new OpenAIRealtimeWebRTC({
      baseUrl: `${url}/v1/realtime/calls`,
      audioElement: document.querySelector("#ear"),
    });
    session = new RealtimeSession(agent, { transport });
    follow(session);
    await session.connect({ apiKey });
    return transport.callId;
  },

  async websocket(url, apiKey) {
    session = new RealtimeSession(agent, { transport: "websocket" });
    follow(session);
    const address = `${url.replace("http", "ws")}/v1/realtime?model=gpt-realtime`;
    await session.connect({ apiKey, url: address });
    await listen(session);
  },

  write: (text) => session.sendMessage(text),
  show: (image, triggerResponse) => session.addImage(image, { triggerResponse }),
  /** Write the first message of the conversation anew. */
  correct: (text) => session.updateHistory(([first, ...rest]) =>
    [{ ...first, content: [{ type: "input_text", text }] }, ...rest]),
  interrupt: () => session.interrupt(),
  /** Interrupt as soon as the transport says something. */
  interruptAt: (moment) => session.transport.once(moment, () => session.interrupt()),
  mute: (muted) => session.mute(muted),
  close: () => session.close(),
};
