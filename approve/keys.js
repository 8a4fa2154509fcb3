// Making keys: a passkey, and an age identity of one oracle that is sealed to it, kept in this browser and offered as a file.

import * as drawer from "./drawer.js";
import { given, onSubmit, say } from "./form.js";
import { isUrl } from "./header.js";
import * as passkey from "./passkey.js";
import { Refused } from "./refused.js";
import { at, element, foreign } from "./text.js";
import { list as listTocs } from "./tocs.js";

/** A passkey that was made while the touch that seals to it did not come: the next try goes on with it. */
let waiting = null;

export function start() {
  onSubmit("make", "make-said", make);
  onSubmit("take", "take-said", take);
  list();
}

/** The oracle that the form `prefix` names, and the fingerprint of its root key. */
function oracleIn(prefix) {
  const oracle = at(`${prefix}-oracle`).value.trim().replace(/\/+$/, "");
  if (!isUrl(oracle) || !/^https:\/\/[!-~]+$/.test(oracle)) {
    throw new Refused("oracle_url", "The oracle’s address begins with https:// and is what quorate oracle trust prints.");
  }
  const print = at(`${prefix}-fingerprint`).value.toUpperCase().replace(/[\s-]/g, "");
  if (!/^[A-Z2-7]{32}$/.test(print)) {
    throw new Refused("fingerprint", "A fingerprint has 32 letters and digits, in groups of four, as quorate oracle trust prints it.");
  }
  return { oracle, fingerprint: print.match(/.{4}/g).join("-") };
}

async function make() {
  const pin = oracleIn("make");
  if (!waiting) {
    say("make-said", "Make the passkey now: your browser asks for it.");
    waiting = await passkey.create(`quorate: ${new URL(pin.oracle).host}`);
  }
  say("make-said", "The passkey is there. Use it once more, to seal the key to it.");
  const fresh = await passkey.sealFresh(waiting, pin.oracle);
  keep({ ...pin, ...fresh });
  waiting = null;
  at("make").reset();
  say("make-said", "The key is made. Save its file, and give its recipient to the dealer: ", element("code", fresh.recipient));
  at("make-said").focus();
}

async function take() {
  const pin = oracleIn("take");
  const sealed = passkey.asArmored(await given("sealed-file", "sealed-text"));
  say("take-said", "Use the passkey that it is sealed to.");
  const { recipient } = await passkey.unseal({ sealed, oracle: pin.oracle });
  keep({ ...pin, recipient, sealed });
  at("take").reset();
  say("take-said", "The key is here: ", element("code", recipient));
  at("take-said").focus();
}

function keep(key) {
  drawer.keepKey({ ...key, made: new Date().toISOString() });
  list();
  listTocs();
}

function list() {
  const keys = drawer.keys();
  at("no-keys").hidden = keys.length > 0;
  at("keys").replaceChildren(...keys.map(entry));
}

function entry(key) {
  const file = element("a", "Save its file");
  file.className = "button second";
  file.href = URL.createObjectURL(new Blob([key.sealed], { type: "text/plain" }));
  file.download = `${new URL(key.oracle).host.replaceAll(":", "-")}.passkey.age`;
  const copy = button("Copy recipient", "second", async () => {
    try {
      await navigator.clipboard.writeText(key.recipient);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(words.querySelector("code"));
      copy.textContent = "Selected: copy it";
    }
    say("keys-said", copy.textContent);
  });
  const remove = button("Remove", "danger", () => {
    if (remove.dataset.sure === undefined) {
      remove.dataset.sure = "";
      remove.textContent = "Remove for good";
      return say("keys-said", "Without its saved file nobody opens its Tocs any more. Press again to remove it.");
    }
    drawer.dropKey(key);
    list();
    listTocs();
    say("keys-said", "Removed from this browser.");
    at("keys-said").focus();
  });
  const words = element(
    "div",
    element("h3", foreign(key.oracle)),
    element("p", "Its recipient, for the dealer: ", element("code", key.recipient)),
    element("p", "Oracle’s fingerprint: ", element("code", key.fingerprint)),
  );
  const actions = element("p", copy, file, remove);
  actions.className = "actions";
  return element("li", words, actions);
}

function button(label, kind, act) {
  const made = element("button", label);
  made.type = "button";
  made.className = kind;
  made.addEventListener("click", act);
  return made;
}
