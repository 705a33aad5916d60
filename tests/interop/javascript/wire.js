/**
 * Tells the test what really goes over the wire, both ways, as text: the client is not
 * asked. Added to the page before its scripts.
 */

(() => {
  function tell(kind, data) {
    window.report({ kind, what: data, at_ms: performance.now() });
  }

  for (const { prototype } of [RTCDataChannel, WebSocket]) {
    const send = prototype.send;
    prototype.send = function (data) {
      tell("client", data);
      return send.call(this, data);
    };
  }

  function overheard(connection) {
    connection.addEventListener("message", ({ data }) => tell("server", data));
    return connection;
  }

  const createDataChannel = RTCPeerConnection.prototype.createDataChannel;
  RTCPeerConnection.prototype.createDataChannel = function (...wanted) {
    return overheard(createDataChannel.apply(this, wanted));
  };
  window.WebSocket = class extends WebSocket {
    constructor(...wanted) {
      super(...wanted);
      overheard(this);
    }
  };
})();
