/**
 * Random numbers that a seed repeats on every machine (splitmix32). Each input of the fuzzer has a generator of
 * its own, from the run's seed and the input's index, so that one input can be made again without those before it.
 */
export class Random {
  #state: number;

  constructor(seed: number, index = 0) {
    this.#state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(index + 1, 0xc2b2ae35);
    this.below(2);
  }

  /** An integer of [0, limit), limit up to 2^32. */
  below(limit: number): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let mixed = this.#state ^ (this.#state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    mixed ^= mixed >>> 15;
    return Math.floor(((mixed >>> 0) / 0x1_0000_0000) * limit);
  }

  /** An integer of [low, high]. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** True once in `times`. */
  oneIn(times: number): boolean {
    return this.below(times) === 0;
  }

  pick<Value>(values: readonly [Value, ...Value[]]): Value {
    return values[this.below(values.length)] ?? values[0];
  }

  /** A text of `length` characters of `alphabet`. */
  text(alphabet: string, length: number): string {
    let text = "";
    for (let count = 0; count < length; count++) text += alphabet[this.below(alphabet.length)] ?? "";
    return text;
  }
}
