// Making keys: a passkey, and an age identity of one oracle that is sealed to it, kept in this browser and offered as a file.

import * as drawer from "./drawer.js";
import { given, onSubmit, say } from "./form.js";
import { isUrl } from "./header.js";
import { toldFingerprint } from "./oracle.js";
import * as passkey from "./passkey.js";
import { Refused } from "./refused.js";
import { at, dated, element, foreign, since } from "./text.js";
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

/** The groups in which the typed fingerprint is not the one that the oracle tells, in words; null where it tells this page none. What was
 * typed stays the authority: the other is not shown, so that nobody copies it. */
async function mistyped({ oracle, fingerprint }) {
  const told = (await toldFingerprint(oracle))?.split("-");
  if (!told) return null;
  const groups = fingerprint.split("-").map((group, nth) => (group === told[nth] ? "" : `${group} (group ${nth + 1} of ${told.length})`));
  return groups.filter((group) => group !== "").join(", ");
}

async function make() {
  const pin = oracleIn("make");
  say("make-said", "Comparing what you typed with what the oracle tells …");
  const wrong = await mistyped(pin);
  if (wrong) {
    throw new Refused(
      "other_fingerprint",
      `The oracle at that address tells another fingerprint than you typed: compare ${wrong}. No key was made. If it is just what the operator told ` +
        "you, by another way than this network, that is not the operator’s oracle: do not use it, and tell them.",
    );
  }
  if (!waiting) {
    say("make-said", "Make the passkey now: your browser asks for it.");
    waiting = await passkey.create(`quorate: ${new URL(pin.oracle).host}, ${dated(new Date())}`);
  }
  say("make-said", "The passkey is there. Use it once more, to seal the key to it.");
  const fresh = await passkey.sealFresh(waiting, pin.oracle);
  keep({ ...pin, ...fresh });
  waiting = null;
  at("make").reset();
  const unsure = wrong === null ? ". The oracle did not tell this page its fingerprint: compare the one that you typed once more, under “Your keys”." : "";
  say("make-said", "The key is made. Save its file, and give its recipient to the dealer: ", element("code", fresh.recipient), unsure);
  at("make-said").focus();
}

async function take() {
  const pin = oracleIn("take");
  const sealed = passkey.asArmored(await given("sealed-file", "sealed-text"));
  say("take-said", "Comparing the fingerprint …");
  const wrong = await mistyped(pin);
  say("take-said", "Use the passkey that it is sealed to.");
  const { recipient } = await passkey.unseal({ sealed, oracle: pin.oracle });
  keep({ ...pin, recipient, sealed, saved: true });
  at("take").reset();
  const other = wrong
    ? `. The oracle tells another fingerprint than you typed: compare ${wrong}, and take the key up again if that is a mistake. An oracle that has a new root key has another, too.`
    : "";
  say("take-said", "The key is here: ", element("code", recipient), other);
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
  file.addEventListener("click", () => {
    // As it stands now: another window may have taken it up anew.
    const kept = drawer.keyOf(key.recipient);
    if (kept) drawer.keepKey({ ...kept, saved: true });
  });
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
    if (!drawer.keyOf(key.recipient)?.saved) {
      say("keys-said", "Save its file first: without it nobody opens its Tocs any more.");
    } else if (remove.dataset.sure === undefined) {
      remove.dataset.sure = "";
      remove.textContent = "Remove for good";
      say("keys-said", "Without its saved file nobody opens its Tocs any more. Press again to remove it.");
    } else {
      drawer.dropKey(key);
      list();
      listTocs();
      say("keys-said", "Removed from this browser.");
    }
    // Not where the next press of Enter would be one more.
    at("keys-said").focus();
  });
  const words = element(
    "div",
    element("h3", foreign(key.oracle)),
    element("p", "Its recipient, for the dealer: ", element("code", key.recipient)),
    element("p", "Oracle’s fingerprint: ", element("code", key.fingerprint)),
    element("p", `Here since ${since(key)}`),
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
