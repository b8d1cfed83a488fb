/** Holds the page's state in one object. Changes go through `set`; subscribers show them. */

export function createStore(initial) {
  let state = initial;
  const subscribers = [];
  return {
    get: () => state,
    set(patch) {
      state = { ...state, ...patch };
      for (const onChange of subscribers) onChange(state);
    },
    subscribe(onChange) {
      subscribers.push(onChange);
      onChange(state);
    },
  };
}
