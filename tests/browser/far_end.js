/**
 * A stand-in for the server, run in a page of its own: it answers one offer, keeps what
 * arrives on the data channel, says what it is told to, and plays a tone when asked.
 */

let channel = null; // promise of an open one
let peer = null;
let tone = null;
const received = [];

window.farEnd = {
  async answer(offer) {
    peer?.close();
    received.length = 0;
    peer = new RTCPeerConnection();
    const context = new AudioContext();
    await context.resume();
    tone = new GainNode(context, { gain: 0 });
    const speaker = context.createMediaStreamDestination();
    const oscillator = new OscillatorNode(context, { frequency: 440 });
    oscillator.connect(tone).connect(speaker);
    oscillator.start();
    peer.addTrack(speaker.stream.getAudioTracks()[0], speaker.stream);
    channel = new Promise((opened) => {
      peer.ondatachannel = (opening) => {
        opening.channel.onmessage = ({ data }) => received.push(JSON.parse(data));
        opening.channel.onopen = () => opened(opening.channel);
      };
    });
    await peer.setRemoteDescription({ type: "offer", sdp: offer });
    await peer.setLocalDescription(await peer.createAnswer());
    while (peer.iceGatheringState !== "complete") {
      await new Promise((changed) => {
        peer.onicegatheringstatechange = changed;
      });
    }
    return peer.localDescription.sdp;
  },
  async say(...events) {
    const open = await channel; // the page may have it before this end does
    for (const event of events) open.send(JSON.stringify(event));
  },
  sound(on) {
    tone.gain.value = on ? 0.3 : 0;
  },
  received: () => received,
  close: () => peer.close(),
};
