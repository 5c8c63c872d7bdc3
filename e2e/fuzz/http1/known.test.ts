import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { GoReference, withoutGo } from "./go-reference.ts";
import { judge } from "./judge.ts";
import type { KnownDifference } from "./known.ts";
import { leniencies } from "./leniencies.ts";
import { readWithLlhttp } from "./llhttp.ts";
import type { Stream } from "./reading.ts";
import { strictnesses } from "./strictnesses.ts";
import { loadSubject, type Subject } from "./subject.ts";

const skip = withoutGo() ?? false;
let go: GoReference;
let subject: Subject;

before(async () => {
  if (skip !== false) return;
  go = await GoReference.start();
  subject = await loadSubject(new URL("../../../proxy/http1/", import.meta.url));
});

after(() => go?.[Symbol.asyncDispose]());

function reviewed(verb: "takes" | "refuses", list: readonly KnownDifference[]): void {
  for (const { id, examples } of list) {
    for (const [kind, reference, text] of examples) {
      const told = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
      test(`fuzz: ${reference} ${verb} ${id}: ${told}`, { skip }, async () => {
        const bytes = Buffer.from(text, "latin1");
        const stream: Stream =
          kind === "requests"
            ? { kind, bytes }
            : {
                kind,
                bytes,
                asked: [
                  { isHead: false, maySwitch: false },
                  { isHead: false, maySwitch: false },
                ],
              };
        const [reading] = await go.read([stream]);
        assert.ok(reading !== undefined);
        const references = { go: reading, llhttp: readWithLlhttp(stream) };
        const judgement = judge(subject, { stream, isValid: false, cuts: [], references });
        assert.ok(
          judgement.known.includes(`${reference} ${verb} ${id}`),
          JSON.stringify({ judgement, references }, (key, value: unknown) =>
            key === "body" ? undefined : value,
          ),
        );
        assert.deepEqual(judgement.findings, []);
      });
    }
  }
}

reviewed("takes", leniencies);
reviewed("refuses", strictnesses);
