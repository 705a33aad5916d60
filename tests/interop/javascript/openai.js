/**
 * The Realtime client of the `openai` package, with the base URL of the edge. It takes
 * no address but one with TLS.
 */

import OpenAI from "openai";
import { OpenAIRealtimeWebSocket } from "openai/realtime/websocket";

let realtime;

window.client = {
  async websocket(url, apiKey) {
    const openai = new OpenAI({
      apiKey, baseURL: `${url}/v1`, dangerouslyAllowBrowser: true,
    });
    realtime = new OpenAIRealtimeWebSocket({ model: "gpt-realtime" }, openai);
    realtime.on("error", (error) =>
      window.report({ kind: "error", what: String(error), at_ms: performance.now() }));
    await new Promise((opened) => realtime.socket.addEventListener("open", opened));
  },

  send: (event) => realtime.send(event),
  close: () => realtime.close(),
};
