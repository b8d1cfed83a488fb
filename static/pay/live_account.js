/** Keeps the account current while the page is visible: by a stream, or by polling where there is none. */

const POLL_MS = 2000;
const MAX_POLL_MS = 60_000;

/** A browser opens six connections to a host: so many of its pages hold a stream, the others poll. */
const STREAMS = 3;

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
    stream = new EventSource(`/api/accounts/${wallet}/events`);
    stream.addEventListener("account", (event) => {
      isLive = true;
      onAccount(JSON.parse(event.data));
    });
    stream.addEventListener("error", () => {
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

  document.addEventListener("visibilitychange", follow);
  void follow();
}
