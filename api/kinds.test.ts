import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";
import { parseAnyApplication } from "./any-application.ts";
import { parseCircuitBreaker } from "./circuit-breaker.ts";
import { parseFaultInjection } from "./fault-injection.ts";
import { kindDefinitions } from "./kinds.ts";
import { parseMeshPeer } from "./mesh-peer.ts";
import { parseShardingConfig } from "./sharding-config.ts";

const parsers: Readonly<Record<string, (value: unknown) => unknown>> = {
  ShardingConfig: parseShardingConfig,
  CircuitBreaker: parseCircuitBreaker,
  FaultInjection: parseFaultInjection,
  MeshPeer: parseMeshPeer,
  AnyApplication: parseAnyApplication,
};

test("examples: every YAML of our kinds parses, and every kind that users write has one", () => {
  const folder = fileURLToPath(new URL("../examples/", import.meta.url));
  const seen = new Set<string>();
  for (const part of ["sharding", "policies", "mesh"]) {
    for (const name of readdirSync(`${folder}${part}`)) {
      for (const document of parseAllDocuments(readFileSync(`${folder}${part}/${name}`, "utf8"))) {
        const resource: unknown = document.toJS();
        const kind = String(Reflect.get(Object(resource), "kind"));
        assert.doesNotThrow(() => parsers[kind]?.(resource), `${part}/${name}`);
        seen.add(kind);
      }
    }
  }
  for (const kind of Object.keys(parsers)) assert.ok(seen.has(kind), `no example of ${kind}`);
});

test("kindDefinitions: no plural, singular or short name stands for two kinds of a group", () => {
  const names = kindDefinitions.flatMap(({ group, plural, singular, shortNames }) =>
    [plural, singular, ...shortNames].map((name) => `${name}.${group}`),
  );
  assert.equal(new Set(names).size, names.length);
});
