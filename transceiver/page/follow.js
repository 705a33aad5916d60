/** Keeps a scrolling list at its end while the reader is there, and leaves it alone else. */

/** Within so many pixels of the end the reader is at the end. */
const NEAR_END_PX = 48;

/**
 * @param {HTMLElement} list
 * @returns {() => void} to be called when the list has grown
 */
export function followEnd(list) {
  let following = true;
  const pin = () => {
    if (following) list.scrollTop = list.scrollHeight;
  };
  list.addEventListener("scroll", () => {
    const below = list.scrollHeight - list.scrollTop - list.clientHeight;
    following = below < NEAR_END_PX;
  });
  new ResizeObserver(pin).observe(list);
  return pin;
}
