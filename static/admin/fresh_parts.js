/** Reads the page again and replaces its parts, so that what stands beside a result is no older than the result. */

import { fetchQuietly } from "./quiet_refresh.js";

const TRIES = 4;
const INTERVAL_MS = 2000;

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Replaces every `[data-fresh]` part once the page shows the element `id`: Stripe's lists may lag. Resolves to whether it did. */
export async function refreshParts(id, onReplaced) {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const { status, page } = await fetchQuietly(location.pathname + location.search);
    if (status === 200 && page?.getElementById(id)) {
      for (const part of document.querySelectorAll("[data-fresh]")) replacePart(part, page.getElementById(part.id), onReplaced);
      return true;
    }
    await pause(INTERVAL_MS);
  }
  return false;
}

function replacePart(part, fresh, onReplaced) {
  if (!fresh) return;
  const node = document.importNode(fresh, true);
  part.replaceWith(node);
  onReplaced(node);
}
