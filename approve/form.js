// Forms and what is said beside them: how something goes, what went wrong, and one thing at a time on the whole page.

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

/** Runs `act` alone when `form` is sent; what it throws is said in `said`. */
export function onSubmit(form, said, act) {
  at(form).addEventListener("submit", (event) => {
    event.preventDefault();
    alone(said, act);
  });
}

const CONTROLS = "main :is(button, input, select, textarea):enabled";
let busy = false;

/** Whether something is under way. */
export const isBusy = () => busy;

/** Runs `act` with everything on the page out of use until it ends: what is said then belongs to what stands there. */
export async function alone(said, act) {
  if (busy) return;
  busy = true;
  const focused = document.activeElement;
  const locked = [...document.querySelectorAll(CONTROLS)];
  locked.forEach((control) => (control.disabled = true));
  try {
    await act();
  } catch (error) {
    complain(said, error);
  } finally {
    locked.forEach((control) => (control.disabled = false));
    busy = false;
    // What is out of use loses the focus.
    if (document.activeElement === document.body) focused.focus();
  }
}

/** The bytes that a form's file field, or its text field, holds; throws when both hold something. */
export async function given(fileField, textField) {
  const [chosen] = at(fileField).files;
  const text = at(textField).value.trim();
  if (chosen && text) {
    // Not every browser lets people take a choice back; a text can be emptied.
    at(fileField).value = "";
    throw new Refused("both", "There were a file and a text: which one is it? Empty the text and choose the file again, or go on with the text alone.");
  }
  if (chosen) return new Uint8Array(await chosen.arrayBuffer());
  if (!text) throw new Refused("nothing", "Choose a file, or paste what is in it.");
  return new TextEncoder().encode(text);
}
