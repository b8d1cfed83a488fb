/** Says on an open page that the session ended, so that nobody presses into nothing. What was typed stays. */

import { setVisible } from "../shared/dom.js";
import { fetchQuietly, isSignedOutAnswer } from "./quiet_refresh.js";

const CHECK_MS = 60_000;

export class SessionEnd {
  constructor(box) {
    this.box = box;
    this.endsAt = Number(box.dataset.ends) * 1000;
    this.busy = false;
    setInterval(() => this.check(), CHECK_MS);
    document.addEventListener("visibilitychange", () => this.check());
  }

  /** Asks the service once the time is over: another tab may have renewed the session, or somebody signed in again. */
  async check() {
    const isShown = !this.box.hidden;
    if (this.busy || document.hidden || (Date.now() < this.endsAt && !isShown)) return;
    this.busy = true;
    const answer = await fetchQuietly("/admin/help");
    this.busy = false;
    if (isSignedOutAnswer(answer)) this.show();
    else if (answer.status === 200) {
      setVisible(this.box, false);
      this.endsAt = Number(answer.page?.getElementById("ended")?.dataset.ends ?? 0) * 1000 || Date.now() + CHECK_MS;
    }
  }

  show() {
    setVisible(this.box, true);
  }
}
