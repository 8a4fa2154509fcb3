// A player's own Toc, opened with their passkey, and what everybody may know of it. It must not know what it is opened for.

import { base64, wipe } from "./bytes.js";
import { fingerprint } from "./header.js";
import { open, unseal } from "./passkey.js";
import { Refused } from "./refused.js";
import { shown } from "./text.js";
import { parseToc } from "./toc.js";

const OTHER = "This Toc names another oracle than the one that the key was made for";

/** The Toc in the armored `file`, opened with one touch of the passkey of `key`, which has to be the key that it says. Its share is
 * a secret: wipe it. */
export async function openToc(key, file) {
  const { identity, recipient } = await unseal(key);
  if (recipient !== key.recipient) {
    throw new Refused("other_key", "The key that opened is not the one that is noted here: somebody has changed what this browser keeps. Nothing was sent.");
  }
  const bytes = await open(identity, file);
  try {
    return parseToc(bytes);
  } catch (error) {
    throw new Refused(error.word ?? "no_toc", `This is no Toc that can be used here: ${error.message}.`);
  } finally {
    wipe(bytes);
  }
}

/** What everybody may know of a Toc that `key` opened, as it is filed; throws unless it is for the oracle of `key`. */
export function factsOf(opened, key) {
  const { header, group, x, player } = opened;
  if (!header.oracle) {
    throw new Refused("no_oracle", "This Toc names no oracle, so this page cannot tell whose invites to believe: use quorate join.");
  }
  const { url, root_key: root } = header.oracle;
  if (url !== key.oracle) {
    throw new Refused("other_oracle", `${OTHER}: ${shown(url)}, and not ${shown(key.oracle)}. Ask the dealer before you go on.`);
  }
  const named = fingerprint(root);
  if (named !== key.fingerprint) {
    throw new Refused(
      "other_oracle",
      `${OTHER}, at the same address: the Toc has the fingerprint ${named}, and with the key you typed ${shown(key.fingerprint)}. ` +
        "Ask the oracle’s operator, by another way than this network, which one is right. If it is the Toc’s, save the file of the key, " +
        "take it up again with the right fingerprint, and file this Toc then. If it is yours, do not use this Toc, and ask the dealer.",
    );
  }
  return {
    group,
    x,
    holder: player.holder,
    note: header.note,
    groupId: header.group_id,
    size: header.size,
    threshold: header.threshold,
    players: header.players.map(({ holder }) => holder),
    oracle: url,
    rootKey: base64(root),
    recipient: key.recipient,
  };
}

/** Whether every fact of an opened Toc is what `toc` says, as it was filed: whoever may write into this browser may have changed that. */
export const isAsFiled = (facts, toc) =>
  Object.entries(facts).every(([name, fact]) => JSON.stringify(fact) === JSON.stringify(toc[name]));
