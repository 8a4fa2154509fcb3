// How text gets onto the page: what comes from strangers is escaped and isolated, and everything is text nodes, never markup.

// The same characters as the oracle's own pages and `quorate` escape; a test compares them.
const DECEIVING = /[\u{0}-\u{1f}\u{7f}-\u{a0}\u{ad}\u{34f}\u{61c}\u{115f}-\u{1160}\u{1680}\u{180e}\u{2000}-\u{200b}\u{200e}-\u{200f}\u{2028}-\u{202f}\u{205f}-\u{206f}\u{2800}\u{3000}\u{3164}\u{feff}\u{ffa0}\u{fff9}-\u{fffb}\u{e0000}-\u{e007f}]|(?<= [\u{180b}-\u{180d}\u{180f}\u{200c}-\u{200d}\u{fe00}-\u{fe0f}\u{e0100}-\u{e01ef}]*) /gu;
const NAMED = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Text from a stranger without what could deceive the eye. */
export const shown = (text) =>
  String(text).replace(DECEIVING, (c) => NAMED[c] ?? `\\u{${c.codePointAt(0).toString(16)}}`);

export const at = (id) => document.getElementById(id);

export function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

/** Text from a stranger, isolated from the reading order around it. */
export const foreign = (text) => element("bdi", shown(text));

export const quoted = (text) => (text === "" ? "(nothing said)" : element("span", "“", foreign(text), "”"));

/** A date as whoever looks reads time, with the time zone that it is told in. */
export const dated = (when) =>
  when.toLocaleString([], { year: "numeric", month: "short", day: "numeric", hour: "numeric", minute: "2-digit", timeZoneName: "short" });

/** Since when a key is here; what somebody else has noted of it may be no time at all. */
export function since({ made }) {
  const when = new Date(made);
  return Number.isNaN(when.getTime()) ? "nobody knows when" : dated(when);
}

/** A moment, in Unix seconds. */
export function moment(seconds) {
  const when = new Date(seconds * 1000);
  const made = element("time", dated(when));
  made.dateTime = when.toISOString();
  return made;
}

/** Fills the description list `id` with terms and what they are; of a term without anything nothing is said. */
export function describe(id, entries) {
  const known = entries.filter(([, ...what]) => what.length && what.every((part) => part !== undefined));
  at(id).replaceChildren(...known.flatMap(([term, ...what]) => [element("dt", term), element("dd", ...what)]));
}
