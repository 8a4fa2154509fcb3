// Filing Tocs: each is opened once, with a touch, and checked; kept are the encrypted file and what everybody may know.

import { fromBase64, wipe } from "./bytes.js";
import * as drawer from "./drawer.js";
import { given, onSubmit, say } from "./form.js";
import { fingerprint } from "./header.js";
import { factsOf, openToc } from "./own-toc.js";
import { asArmored } from "./passkey.js";
import { Refused } from "./refused.js";
import { at, element, foreign, shown, since } from "./text.js";

export function start() {
  onSubmit("file", "file-said", file);
  addEventListener("dragover", (event) => {
    if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
  });
  addEventListener("drop", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    at("file-more").open = true;
    at("toc-file").files = event.dataTransfer.files;
    say("file-said", "The file is in the form: press File this Toc.");
    at("toc-file").focus();
  });
  list();
}

async function file() {
  const key = drawer.keyOf(at("toc-key").value);
  if (!key) throw new Refused("no_key", "Make a key first: a Toc is dealt to its recipient.");
  const armored = asArmored(await given("toc-file", "toc-text"));
  say("file-said", "Use your passkey now.");
  const opened = await openToc(key, armored);
  wipe(opened.share);
  const facts = factsOf(opened, key);
  drawer.keepToc({ ...facts, file: armored });
  at("file").reset();
  list();
  say("file-said", "Filed: ", foreign(facts.holder), ` holds Toc ${facts.x} of `, foreign(facts.note || facts.groupId), ".");
  at("file-said").focus();
}

/** Shows the Tocs that are filed, and the keys that one can be filed with. */
export function list() {
  const filed = drawer.tocs();
  at("no-tocs").hidden = filed.length > 0;
  at("filed").replaceChildren(...filed.map(entry));
  const keys = drawer.keys();
  at("file-more").hidden = keys.length === 0;
  at("file-more").open = filed.length === 0;
  at("toc-key").replaceChildren(
    ...keys.map((key) => {
      const option = element("option", `${shown(key.oracle)}, here since ${since(key)} (${key.recipient.slice(0, 12)}…)`);
      option.value = key.recipient;
      return option;
    }),
  );
}

function entry(toc) {
  const remove = element("button", "Remove");
  remove.type = "button";
  remove.className = "danger";
  remove.setAttribute("aria-label", `Remove Toc ${toc.x} of ${toc.groupId}`);
  remove.addEventListener("click", () => {
    drawer.dropToc(toc);
    list();
    say("file-said", "Removed from this browser. The file that you were sent is still what it was.");
    at("file-said").focus();
  });
  const words = element(
    "div",
    element("h3", foreign(toc.note || toc.groupId)),
    element("p", foreign(toc.holder), ` holds Toc ${toc.x}; ${toc.threshold} of ${toc.size} are needed.`),
    element("p", "Oracle ", foreign(toc.oracle), ", ", element("code", fingerprint(fromBase64(toc.rootKey)))),
    element("p", "Group ", element("code", toc.group)),
  );
  return element("li", words, remove);
}
