/** One object of page state; every change goes through `set` and is shown by the subscribers. */

export function createStore(initial) {
  let state = initial;
  const subscribers = [];
  return {
    get: () => state,
    set(patch) {
      state = { ...state, ...patch };
      for (const show of subscribers) show(state);
    },
    subscribe(show) {
      subscribers.push(show);
      show(state);
    },
  };
}
