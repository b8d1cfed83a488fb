/** One action of the payer's. Ended early, its wallet requests never settle, so the rest of it never runs. */

export function createTurn() {
  let isOver = false;
  let resolveEnded;
  const ended = new Promise((resolve) => {
    resolveEnded = resolve;
  });
  const whileOpen = (settle) => (value) => isOver || settle(value);
  return {
    /** Whether an allowance was sent. */
    hasAllowed: false,
    ended,
    end() {
      isOver = true;
      resolveEnded();
    },
    guard: (provider) => ({
      request: (call) =>
        new Promise((resolve, reject) => {
          if (isOver) return;
          const answer = (async () => provider.request(call))();
          answer.then(whileOpen(resolve), whileOpen(reject));
        }),
    }),
  };
}
