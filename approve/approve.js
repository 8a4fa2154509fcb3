// The approving page's beginning: its three parts, each in a module of its own. README.md says what the page is.

import * as answer from "./answer.js";
import * as keys from "./keys.js";
import { at } from "./text.js";
import * as tocs from "./tocs.js";
import { endWorkers } from "./workers.js";

const { found, gone } = await endWorkers();
if (found) {
  at("worker-goes").textContent = gone
    ? "It was removed now. Close every window with this address, and open it again."
    : "It cannot be removed from here: delete what the browser keeps of this address, after you have made sure of the files of your keys.";
  at("worker").hidden = false;
  at("late").hidden = true;
} else {
  keys.start();
  tocs.start();
  answer.start();
  // Until here nothing on the page could answer.
  document.documentElement.dataset.ready = "";
}
