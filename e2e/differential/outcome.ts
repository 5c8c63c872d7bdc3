import type { HttpAnswer, HttpClient, HttpRequest } from "./client.ts";
import { differences } from "./compare.ts";
import { everywhere, type Mask } from "./masks.ts";
import type { Row, Scene, Step } from "./row.ts";

/** Runs a row's requests in order. @returns one answer for each */
export async function run(
  row: Row,
  scene: Scene,
  client: HttpClient,
  sent: (step: Step) => HttpRequest,
): Promise<HttpAnswer[]> {
  const answers: HttpAnswer[] = [];
  const steps = row.steps(scene);
  for (let next = steps.next(); next.done !== true; ) {
    const answer = await client.send(sent(next.value));
    answers.push(answer);
    next = steps.next(answer);
  }
  return answers;
}

/** The request as the test itself limits it, in front of an API server without a proxy. */
export function withSelector(step: Step, selector: string): HttpRequest {
  const { limited = false, directTarget, ...request } = step;
  const target = directTarget ?? request.target;
  if (!limited) return { ...request, target };
  const [path = "", query = ""] = target.split(/\?(.*)/s);
  const parameters = new URLSearchParams(query);
  const own = parameters.get("labelSelector") ?? "";
  parameters.set("labelSelector", own === "" ? selector : `${own},${selector}`);
  return { ...request, target: `${path}?${parameters}` };
}

/** The request as the operator sends it. */
export function asWritten({ limited: _, directTarget: __, ...request }: Step): HttpRequest {
  return request;
}

/** A line for each difference of two runs of a row. */
export function differencesOf(
  left: readonly HttpAnswer[],
  right: readonly HttpAnswer[],
  masks: readonly Mask[],
): string[] {
  if (left.length !== right.length) return [`${left.length} and ${right.length} answers`];
  return left.flatMap((answer, index) => {
    const other = right[index];
    if (other === undefined) return [];
    return differences(answer, other, masks).map((line) => `answer ${index + 1}: ${line}`);
  });
}

export function masksOf(row: Row): Mask[] {
  return [...everywhere, ...row.masks];
}

/** Whether two runs that went the same way would be told apart without the mask. */
export function isNeeded(
  mask: Mask,
  row: Row,
  left: readonly HttpAnswer[],
  right: readonly HttpAnswer[],
): boolean {
  const others = masksOf(row).filter((other) => other !== mask);
  return differencesOf(left, right, others).length > 0;
}
