// typage's part of the exchange with sealed identities: seals, opens and names credentials with the published package. A browser's passkey is
// played by a credential whose secret is given; everything else is typage's own. `node typage.mjs MODULE`, a task as JSON on stdin, the
// answer as JSON on stdout. It must not know our formats beyond what typage exports.

import { createHash, createHmac, webcrypto } from "node:crypto";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

// Node 18, which Debian 12 has, keeps it to itself.
globalThis.crypto ??= webcrypto;
const age = await import(pathToFileURL(process.argv[2]));
const task = JSON.parse(readFileSync(0, "utf8"));
const secret = Buffer.from(task.secret, "hex");
const credential = Buffer.from(task.credential, "hex");
const asked = [];

// WebAuthn Level 3 §10.1.4, over the secret of a verified user (CTAP 2.1 §12.5).
function prf(input) {
  const salt = createHash("sha256").update("WebAuthn PRF\0").update(new Uint8Array(input)).digest();
  const output = createHmac("sha256", secret).update(salt).digest();
  asked.push({ input: Buffer.from(input).toString("hex"), salt: salt.toString("hex"), output: output.toString("hex") });
  return new Uint8Array(output).buffer;
}

function agreed(what, found, wanted) {
  if (found !== wanted) throw Error(`${what} is ${found}, not ${wanted}`);
}

const credentials = {
  async create({ publicKey }) {
    agreed("RP ID", publicKey.rp.id, task.rp);
    agreed("verification", publicKey.authenticatorSelection.userVerification, "required");
    return {
      rawId: new Uint8Array(credential).buffer,
      response: { getTransports: () => task.transports },
      getClientExtensionResults: () => ({ prf: { enabled: true } }),
    };
  },
  async get({ publicKey }) {
    agreed("RP ID", publicKey.rpId, task.rp);
    agreed("verification", publicKey.userVerification, "required");
    for (const { id } of publicKey.allowCredentials) agreed("credential", Buffer.from(id).toString("hex"), task.credential);
    const { first, second } = publicKey.extensions.prf.eval;
    return { getClientExtensionResults: () => ({ prf: { results: { first: prf(first), second: prf(second) } } }) };
  },
};
Object.defineProperty(globalThis, "navigator", { value: { credentials } });

const answer = {};
const named = { identity: task.identity, rpId: task.rp };
if (task.act === "create") {
  answer.identity = await age.webauthn.createCredential({ keyName: "quorate", rpId: task.rp });
} else if (task.act === "seal") {
  const encrypter = new age.Encrypter();
  encrypter.addRecipient(new age.webauthn.WebAuthnRecipient(named));
  if (task.label) encrypter.addRecipient({ wrapFileKey: () => [new age.Stanza(task.label, new Uint8Array())] });
  answer.file = age.armor.encode(await encrypter.encrypt(task.text));
} else if (task.act === "open") {
  const decrypter = new age.Decrypter();
  decrypter.addIdentity(new age.webauthn.WebAuthnIdentity(named));
  answer.text = await decrypter.decrypt(age.armor.decode(task.file), "text");
} else {
  throw Error(`no such act: ${task.act}`);
}
console.log(JSON.stringify({ ...answer, asked }));
