// JSON that means one thing (SPEC §2.2): a key that stands twice, in any spelling, and whatever the browser's own reader would
// let pass is refused. And objects with just the fields that they may have. It must not know what is read.

import { fromBase64, fromHex, fromUtf8 } from "./bytes.js";
import { Refused } from "./refused.js";

const MAX_DEPTH = 127;
const ESCAPES = { '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
/** A number that is no integer, or none that can be told from its neighbours. No field takes it. */
const OTHER_NUMBER = Symbol("other number");

const shape = () => new Refused("shape", "it is not the JSON that is expected here");

/** Reads a text of UTF-8 bytes. Objects have no prototype. */
export function parse(bytes) {
  let text;
  try {
    text = fromUtf8(bytes);
  } catch {
    throw shape();
  }
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.blank();
  if (reader.at !== text.length) throw shape();
  return value;
}

class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  blank() {
    while (" \t\n\r".includes(this.text[this.at] ?? "x")) this.at += 1;
  }

  /** Passes over `token` if it stands here. */
  take(token) {
    const found = this.text.startsWith(token, this.at);
    if (found) this.at += token.length;
    return found;
  }

  value(depth) {
    if (depth > MAX_DEPTH) throw shape();
    this.blank();
    if (this.take("{")) return this.object(depth + 1);
    if (this.take("[")) return this.list(depth + 1);
    if (this.take('"')) return this.string();
    if (this.take("true")) return true;
    if (this.take("false")) return false;
    if (this.take("null")) return null;
    return this.number();
  }

  object(depth) {
    const made = Object.create(null);
    this.blank();
    if (this.take("}")) return made;
    do {
      this.blank();
      if (!this.take('"')) throw shape();
      const key = this.string();
      if (key in made) throw new Refused("duplicate_key", "a key stands twice in one JSON object");
      this.blank();
      if (!this.take(":")) throw shape();
      made[key] = this.value(depth);
      this.blank();
    } while (this.take(","));
    if (!this.take("}")) throw shape();
    return made;
  }

  list(depth) {
    const made = [];
    this.blank();
    if (this.take("]")) return made;
    do {
      made.push(this.value(depth));
      this.blank();
    } while (this.take(","));
    if (!this.take("]")) throw shape();
    return made;
  }

  string() {
    let made = "";
    for (;;) {
      const start = this.at;
      while (this.at < this.text.length && this.text[this.at] >= " " && !'"\\'.includes(this.text[this.at])) this.at += 1;
      made += this.text.slice(start, this.at);
      if (this.take('"')) break;
      if (!this.take("\\")) throw shape();
      made += this.escape();
    }
    if (!made.isWellFormed()) throw shape();
    return made;
  }

  escape() {
    const letter = this.text[this.at++];
    if (letter !== "u") {
      if (!Object.hasOwn(ESCAPES, letter ?? "")) throw shape();
      return ESCAPES[letter];
    }
    const digits = this.text.slice(this.at, this.at + 4);
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw shape();
    this.at += 4;
    return String.fromCharCode(Number.parseInt(digits, 16));
  }

  number() {
    NUMBER.lastIndex = this.at;
    const found = NUMBER.exec(this.text);
    if (!found) throw shape();
    this.at = NUMBER.lastIndex;
    const value = Number(found[0]);
    return found[1] || found[2] || !Number.isSafeInteger(value) ? OTHER_NUMBER : value;
  }
}

// ---- Fields: each gives what it makes of a value, or throws ----

function must(holds) {
  if (!holds) throw shape();
}

/** What `read` makes of the value; whatever it throws means that the value has not its shape. */
const encoded = (read) => (value) => {
  must(typeof value === "string");
  try {
    return read(value);
  } catch {
    throw shape();
  }
};

export const text = encoded((value) => value);
export const bytes64 = encoded(fromBase64);
/** A group's name: 64 hexadecimal digits, which stay a text. */
export const groupName = encoded((value) => {
  must(fromHex(value).length === 32);
  return value;
});
export const integer = (least, most) => (value) => {
  must(Number.isInteger(value) && value >= least && value <= most);
  return value;
};
export const byte = integer(0, 255);
export const u32 = integer(0, 2 ** 32 - 1);
export const seconds = integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
export const oneOf = (...words) => (value) => {
  must(words.includes(value));
  return value;
};
export const list = (each) => (value) => {
  must(Array.isArray(value));
  return value.map(each);
};
/** May be missing, or null, which is the same. */
export const optional = (field) => Object.assign((value) => field(value), { optional: true });

/** An object with these fields; where it is open, unknown ones are passed over. */
export const object = (shapeOf, { open = false } = {}) => (value) => {
  must(value !== null && typeof value === "object" && !Array.isArray(value));
  must(open || Object.keys(value).every((key) => Object.hasOwn(shapeOf, key)));
  return Object.fromEntries(
    Object.entries(shapeOf).map(([name, field]) => {
      const given = value[name];
      return [name, field.optional && (given === undefined || given === null) ? undefined : field(given)];
    }),
  );
};
