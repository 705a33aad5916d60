/** What went wrong, in words for the caller. Pure. */

const MICROPHONE = {
  NotAllowedError:
    "The microphone is blocked. Allow it beside the browser’s address bar, and in the " +
    "system’s privacy settings; then start the call again.",
  NotFoundError: "No microphone was found. Connect one, then start the call again.",
  NotReadableError:
    "The microphone is in use by another program. Close that, then start the call again.",
  SecurityError:
    "Browsers give the microphone only to https:// pages and to localhost: open this page " +
    "at such an address.",
};

/** @param {Error} error from getUserMedia */
export function describeMicrophone(error) {
  return MICROPHONE[error.name] ?? `The microphone could not be opened: ${error.message}`;
}

/**
 * @param {number} status
 * @param {string} body by contract `{"error": {"message": ...}}`
 */
export function describeResponse(status, body) {
  const message = sentence(errorMessage(body) ?? "the server refused the call");
  const hint = status === 401 ? " The key is set under Settings." : "";
  return `${message} (HTTP\u00a0${status}).${hint}`;
}

/** @param {string | null} complaint of the server, if it said one last */
export function describeEnd(complaint) {
  const end = "The server ended the call.";
  return complaint === null ? end : `${end} ${sentence(complaint)}.`;
}

/** With a capital and without a full stop. */
function sentence(message) {
  return message.charAt(0).toUpperCase() + message.slice(1).replace(/[.\s]*$/, "");
}

function errorMessage(body) {
  try {
    return JSON.parse(body).error.message || null;
  } catch {
    return null; // a proxy's page, not the server's JSON
  }
}
