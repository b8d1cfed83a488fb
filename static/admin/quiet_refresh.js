/** Refreshes the parts of a page by itself: no focus lost, no jump, nothing while somebody types or the tab is hidden. */

import { setText } from "../shared/dom.js";

const REFRESH_MS = 60_000;
const TYPING_MS = 10_000;
const PRESENT_MS = 30 * 60_000;
const REFRESH_LIMIT_MS = 30_000;
const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

/** Asks without a person, so that the session is not renewed. Resolves to null without a usable answer. */
export function fetchQuietly(path) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest(); // it parses a page without scripts, and the content policy allows it
    request.open("GET", path);
    request.setRequestHeader("X-Quiet", "1");
    request.responseType = "document";
    request.timeout = REFRESH_LIMIT_MS;
    request.onloadend = () => resolve({ status: request.status, url: request.responseURL, page: request.response });
    request.send();
  });
}

/** Whether the answer is the sign-in page: the session ended. */
export function isSignedOutAnswer(answer) {
  return answer.status === 200 && new URL(answer.url).pathname === "/login";
}

/** One page's refreshing. */
export class QuietRefresh {
  constructor(line, { onReplaced, onSignedOut }) {
    this.line = line;
    this.onReplaced = onReplaced;
    this.onSignedOut = onSignedOut;
    this.typedAt = this.presentAt = Date.now();
    this.refreshedAt = Date.now();
    this.busy = this.stopped = false;
    this.served = new Map(this.parts().map((part) => [part.id, part.cloneNode(true)]));
    document.addEventListener("input", () => (this.typedAt = Date.now()));
    for (const name of ["pointerdown", "keydown", "pointermove"]) document.addEventListener(name, () => this.notePresence(), { passive: true });
    document.addEventListener("visibilitychange", () => this.refreshIfDue());
    setInterval(() => this.refreshIfDue(), REFRESH_MS / 12);
  }

  parts() {
    return [...document.querySelectorAll("[data-part]")];
  }

  notePresence() {
    const wasAway = this.isAway();
    this.presentAt = Date.now();
    if (wasAway) this.refreshIfDue();
  }

  isAway() {
    return Date.now() - this.presentAt > PRESENT_MS;
  }

  refreshIfDue() {
    if (this.busy || this.stopped || document.hidden || Date.now() - this.typedAt < TYPING_MS) return;
    if (Date.now() - this.refreshedAt < REFRESH_MS) return;
    if (this.isAway()) setText(this.line, `Paused: nobody was here for half an hour. Last read at ${CLOCK.format(this.refreshedAt)}.`);
    else this.refresh();
  }

  async refresh() {
    this.busy = true;
    const answer = await fetchQuietly(location.pathname + location.search);
    this.busy = false;
    if (isSignedOutAnswer(answer)) {
      this.stopped = true;
      this.onSignedOut();
    } else if (answer.status === 200 && answer.page) this.show(answer.page);
    else setText(this.line, `The last try to refresh failed. What you see was read at ${CLOCK.format(this.readAt ?? this.refreshedAt)}.`);
    this.refreshedAt = Date.now();
  }

  show(page) {
    this.readAt = Date.now();
    const anchored = this.parts().find((part) => part.getBoundingClientRect().bottom > 0);
    const id = anchored?.id;
    const top = anchored?.getBoundingClientRect().top;
    for (const part of this.parts()) this.replace(part, page.getElementById(part.id));
    const moved = id ? document.getElementById(id).getBoundingClientRect().top - top : 0;
    if (moved) scrollBy({ top: moved, behavior: "instant" });
    setText(this.line, `Refreshed at ${CLOCK.format(this.readAt)}.`);
  }

  /** Replaces a part that changed, unless somebody is in it. */
  replace(part, fresh) {
    if (!fresh || part.contains(document.activeElement) || holdsSelection(part)) return;
    if (this.served.get(part.id)?.isEqualNode(fresh)) return;
    const node = document.importNode(fresh, true);
    this.served.set(part.id, node.cloneNode(true));
    part.replaceWith(node);
    this.onReplaced(node);
  }
}

function holdsSelection(part) {
  const selection = getSelection();
  return Boolean(selection && !selection.isCollapsed && selection.containsNode(part, true));
}
