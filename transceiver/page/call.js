/**
 * One WebRTC call by the public API: `POST /v1/realtime/calls` for the media, the data
 * channel `oai-events` for everything said about it. It owns the microphone, the peer
 * connection and the channel, and knows nothing of the page.
 *
 *   microphone -> connecting -> live <-> unsteady -> ended | failed
 */

import { describeEnd, describeMicrophone, describeResponse } from "./problems.js";

const ENDPOINT = "/v1/realtime/calls";
const CHANNEL = "oai-events";
/** Milliseconds from the answer to an open channel, after which the media path is given up. */
const OPEN_WITHIN_MS = 15_000;

/**
 * @typedef {"microphone" | "connecting" | "live" | "unsteady" | "ended" | "failed"} CallState
 * @typedef {{type: string, [field: string]: any}} RealtimeEvent
 *
 * @typedef {object} Listener
 * @property {(state: CallState, problem: string | null) => void} stateChanged
 *   The last one is `ended` or `failed`; `problem` says why in words for the caller.
 * @property {(event: RealtimeEvent) => void} eventReceived
 * @property {(stream: MediaStream) => void} microphoneOpened
 * @property {(stream: MediaStream) => void} agentHeard
 */

export class Call {
  #listener;
  #over = new AbortController();
  /** @type {MediaStream | null} */ #microphone = null;
  /** @type {RTCPeerConnection | null} */ #peer = null;
  /** @type {RTCDataChannel | null} */ #channel = null;
  #wasLive = false;
  /** Of the last event, if it was an error: the server may end the call for it. @type {string | null} */
  #complaint = null;
  /** The call's id as the server named it, `null` until it answered. @type {string | null} */
  id = null;

  /** @param {Listener} listener */
  constructor(listener) {
    this.#listener = listener;
  }

  /**
   * Set the call up; every failure ends in the state `failed` and nothing is thrown.
   *
   * @param {string} apiKey empty: no Authorization header
   */
  async start(apiKey) {
    try {
      await this.#openMicrophone();
      await this.#negotiate(apiKey);
    } catch (error) {
      if (!this.#over.signal.aborted) this.#end(error.message);
    }
  }

  /** @param {RealtimeEvent} event @returns {boolean} whether the channel took it */
  send(event) {
    if (this.#channel?.readyState !== "open") return false;
    this.#channel.send(JSON.stringify(event));
    return true;
  }

  hangUp() {
    this.#end(null);
  }

  async #openMicrophone() {
    this.#listener.stateChanged("microphone", null);
    let stream;
    try {
      if (!navigator.mediaDevices) throw new DOMException("insecure", "SecurityError");
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch (error) {
      throw new Error(describeMicrophone(error), { cause: error });
    }
    if (this.#over.signal.aborted) {
      stop(stream);
      throw this.#over.signal.reason;
    }
    this.#microphone = stream;
    stream.getAudioTracks()[0].onended = () => this.#end("The microphone was disconnected.");
    this.#listener.microphoneOpened(stream);
  }

  /** The offer goes out at once, without candidates: the answer carries the server's. */
  async #negotiate(apiKey) {
    this.#listener.stateChanged("connecting", null);
    const peer = this.#connect();
    await peer.setLocalDescription(await peer.createOffer());
    const answer = await this.#exchange(peer.localDescription.sdp, apiKey);
    await peer.setRemoteDescription({ type: "answer", sdp: answer });
    setTimeout(() => this.#wasLive || this.#end(UNREACHABLE), OPEN_WITHIN_MS);
  }

  #connect() {
    const peer = new RTCPeerConnection();
    const channel = peer.createDataChannel(CHANNEL);
    this.#peer = peer;
    this.#channel = channel;
    for (const track of this.#microphone.getTracks()) peer.addTrack(track, this.#microphone);
    peer.ontrack = ({ track, streams: [stream] }) =>
      this.#listener.agentHeard(stream ?? new MediaStream([track]));
    peer.onconnectionstatechange = () => this.#connectionChanged(peer.connectionState);
    channel.onopen = () => {
      this.#wasLive = true;
      this.#listener.stateChanged("live", null);
    };
    channel.onmessage = ({ data }) => this.#received(JSON.parse(data));
    channel.onclose = () => this.#end(describeEnd(this.#complaint));
    return peer;
  }

  async #exchange(offer, apiKey) {
    const headers = { "Content-Type": "application/sdp" };
    if (apiKey) headers.Authorization = `Bearer ${apiKey}`;
    const response = await fetch(ENDPOINT, {
      method: "POST", headers, body: offer, signal: this.#over.signal,
    }).catch((error) => {
      throw new Error("The server cannot be reached.", { cause: error });
    });
    const body = await response.text();
    if (!response.ok) throw new Error(describeResponse(response.status, body));
    this.id = response.headers.get("Location")?.split("/").at(-1) ?? null;
    return body;
  }

  /** @param {RealtimeEvent} event */
  #received(event) {
    this.#complaint = event.type === "error" ? event.error.message : null;
    this.#listener.eventReceived(event);
  }

  /** @param {RTCPeerConnectionState} state */
  #connectionChanged(state) {
    if (state === "failed") this.#end(this.#wasLive ? LOST : UNREACHABLE);
    else if (state === "closed") this.#end(LOST);
    else if (!this.#wasLive) return;
    else if (state === "disconnected") this.#listener.stateChanged("unsteady", null);
    else if (state === "connected") this.#listener.stateChanged("live", null);
  }

  /** Closing the peer alone is what the far end notices at once; the channel follows. */
  #end(problem) {
    if (this.#over.signal.aborted) return;
    this.#over.abort();
    if (this.#microphone) stop(this.#microphone);
    this.#peer?.close();
    this.#listener.stateChanged(problem === null ? "ended" : "failed", problem);
  }
}

const LOST = "The connection was lost.";
const UNREACHABLE =
  "No media path to the server (ICE failed). A firewall may block its UDP port.";

/** @param {MediaStream} stream */
function stop(stream) {
  for (const track of stream.getTracks()) {
    track.onended = null;
    track.stop();
  }
}
