// The approving page's beginning: its three parts, each in a module of its own. README.md says what the page is.

import * as answer from "./answer.js";
import * as keys from "./keys.js";
import * as tocs from "./tocs.js";

keys.start();
tocs.start();
answer.start();
// Until here nothing on the page could answer.
document.documentElement.dataset.ready = "";
