// Forms and what is said beside them: how something goes, what went wrong, one thing at a time.

import { Refused } from "./refused.js";
import { at } from "./text.js";

/** Says how something goes, where a screen reader reads it out. */
export function say(id, ...what) {
  const place = at(id);
  place.classList.remove("error");
  place.replaceChildren(...what);
}

/** Says what went wrong, and puts the focus there. */
export function complain(id, error) {
  const place = at(id);
  place.classList.add("error");
  place.replaceChildren(error.message);
  place.focus();
}

/** Runs `act` when `form` is sent, once at a time; what it throws is said in `said`. */
export function onSubmit(form, said, act) {
  at(form).addEventListener("submit", async (event) => {
    event.preventDefault();
    await once(at(form).querySelector("button:not([type='button'])"), said, act);
  });
}

/** Runs `act`, with `button` out of use meanwhile. */
export async function once(button, said, act) {
  if (button.disabled) return;
  button.disabled = true;
  try {
    await act();
  } catch (error) {
    complain(said, error);
  } finally {
    button.disabled = false;
  }
}

/** The bytes that a form's file field, or its text field, holds. */
export async function given(fileField, textField) {
  const [chosen] = at(fileField).files;
  if (chosen) return new Uint8Array(await chosen.arrayBuffer());
  const text = at(textField).value.trim();
  if (!text) throw new Refused("nothing", "Choose a file, or paste what is in it.");
  return new TextEncoder().encode(text);
}
