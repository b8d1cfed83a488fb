/** Keeps the account current while the page is visible: by a stream, or by polling where there is none. */

const POLL_MS = 2000;
const MAX_POLL_MS = 60_000;

/** A browser opens six connections to a host: so many of its pages hold a stream, the others poll. */
const STREAMS = 3;

/** The service sends an event every 15 seconds. A connection that a network change cut tells nothing, and no error. */
const MAX_SILENCE_MS = 30_000;
const SILENCE_CHECK_MS = 5000;

/** A stream that was refused, or made room for another, is opened again after so many polls. */
const POLLS_BEFORE_RETRY = 150;

/** Reserves a stream. Null if other pages hold all, or the browser has no locks or refuses them. */
async function reserveStream() {
  for (let number = 0; navigator.locks && window.EventSource && number < STREAMS; number += 1) {
    const release = await new Promise((resolve) => {
      const hold = (lock) => (lock ? new Promise((free) => resolve(free)) : resolve(null));
      navigator.locks.request(`stream ${number}`, { ifAvailable: true }, hold).catch(() => resolve(null));
    });
    if (release) return release;
  }
  return null;
}

/**
 * @param {string} wallet
 * @param {(account: any) => void} onAccount
 * @param {() => Promise<void>} readAccount
 */
export function followAccount(wallet, onAccount, readAccount) {
  let stream = null;
  let release = null;
  let isLive = false;
  let isOpening = false;
  let heardAt = 0;
  let pollsToWait = 0;
  let failures = 0;
  let timer;

  function close() {
    stream?.close();
    release?.();
    stream = release = null;
    isLive = false;
  }

  function schedule(ms) {
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(poll, ms);
  }

  async function open() {
    if (stream || isOpening) return;
    isOpening = true;
    release = await reserveStream();
    isOpening = false;
    if (!release || document.hidden) return close();
    heardAt = Date.now();
    stream = new EventSource(`/api/accounts/${wallet}/events`);
    stream.addEventListener("account", (event) => {
      heardAt = Date.now();
      isLive = true;
      onAccount(JSON.parse(event.data));
    });
    stream.addEventListener("alive", () => {
      heardAt = Date.now();
    });
    stream.addEventListener("error", () => {
      heardAt = Date.now();
      isLive = false;
      if (stream?.readyState === EventSource.CLOSED) {
        close();
        pollsToWait = POLLS_BEFORE_RETRY;
      }
      schedule(0);
    });
  }

  async function poll() {
    if (isLive) return;
    if (pollsToWait > 0) pollsToWait -= 1;
    else void open();
    failures = await readAccount().then(
      () => 0,
      () => failures + 1,
    );
    schedule(Math.min(POLL_MS * 2 ** failures, MAX_POLL_MS));
  }

  async function follow() {
    if (document.hidden) {
      clearTimeout(timer);
      close();
      return;
    }
    pollsToWait = 0;
    await open();
    schedule(stream ? POLL_MS : 0);
  }

  /** Reads the account at once and replaces the stream. */
  function renew() {
    if (document.hidden) return;
    close();
    schedule(0);
  }

  function checkSilence() {
    if (!stream || Date.now() - heardAt < MAX_SILENCE_MS) return;
    // One that never told anything may be held back on the way, and so would be the next.
    if (!isLive) pollsToWait = POLLS_BEFORE_RETRY;
    renew();
  }

  document.addEventListener("visibilitychange", follow);
  window.addEventListener("online", () => {
    pollsToWait = 0;
    renew();
  });
  window.addEventListener("pageshow", (event) => event.persisted && renew());
  setInterval(checkSilence, SILENCE_CHECK_MS);
  void follow();
}
