/** Keeps what was typed over a sign-in, in this tab alone. */

const KEPT = `typed:${location.pathname}`;

export function keepTyped(form) {
  const typed = [...form.elements].filter((one) => one.name && one.value).map((one) => [one.name, one.value]);
  sessionStorage.setItem(KEPT, JSON.stringify(typed));
}

export function restoreTyped(form) {
  const kept = sessionStorage.getItem(KEPT);
  if (!kept) return false;
  sessionStorage.removeItem(KEPT);
  for (const [name, value] of JSON.parse(kept)) {
    const field = form.elements.namedItem(name);
    if (field && !field.value) field.value = value;
  }
  return true;
}

export function signInAddress() {
  return `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
}
