// Why something from outside is refused: a stable word, as in SPEC §13, and a sentence for people. It must not know what.

export class Refused extends Error {
  constructor(word, message) {
    super(message);
    this.name = "Refused";
    this.word = word;
  }
}
