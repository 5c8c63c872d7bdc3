import assert from "node:assert/strict";
import { test } from "node:test";
import { CtrlmeshError } from "#api/errors";
import { silentLog } from "#runtime/log";
import { readApiServerAddresses, serviceHosts } from "./api-server-addresses.ts";
import { MemoryClient } from "./memory-client.ts";

const { signal } = new AbortController();
const services = { group: "", version: "v1", resource: "services", namespaced: true };

async function clientWith(spec: object): Promise<MemoryClient> {
  const client = new MemoryClient();
  await client.create(services, { metadata: { name: "kubernetes", namespace: "default" }, spec });
  return client;
}
const https = { name: "https", port: 443, protocol: "TCP" };

test("API server addresses: all families of the Service, with its TCP ports", async () => {
  const dual = { clusterIP: "10.96.0.1", clusterIPs: ["10.96.0.1", "fd00::1"] };
  const ports = [https, { port: 53, protocol: "UDP" }, { port: 8443 }];
  const client = await clientWith({ ...dual, ports });
  assert.deepEqual(await readApiServerAddresses(client, signal), [
    { host: "10.96.0.1", port: 443 },
    { host: "10.96.0.1", port: 8443 },
    { host: "fd00::1", port: 443 },
    { host: "fd00::1", port: 8443 },
  ]);
});

test("API server addresses: a Service without a list of addresses has one, a headless one none", async () => {
  const single = await clientWith({ clusterIP: "10.96.0.1", ports: [https] });
  assert.deepEqual(await readApiServerAddresses(single, signal), [{ host: "10.96.0.1", port: 443 }]);
  const headless = await clientWith({ clusterIP: "None", clusterIPs: ["None"], ports: [https] });
  assert.deepEqual(await readApiServerAddresses(headless, signal), []);
});

test("service hosts: what pods are told comes first, so that a CA for one family stays as it is", async () => {
  const client = await clientWith({ clusterIPs: ["fd00::1", "10.96.0.1"], ports: [https] });
  assert.deepEqual(await serviceHosts(client, "10.96.0.1", silentLog, signal), ["10.96.0.1", "fd00::1"]);
  assert.deepEqual(await serviceHosts(client, undefined, silentLog, signal), ["fd00::1", "10.96.0.1"]);
});

test("service hosts: a Service that is not there or not to be read leaves the settings, an outage does not", async () => {
  const client = new MemoryClient();
  assert.deepEqual(await serviceHosts(client, "10.96.0.1", silentLog, signal), ["10.96.0.1"]);
  const failWith = (code: "API_FORBIDDEN" | "API_UNREACHABLE") => {
    client.before = () => {
      throw new CtrlmeshError(code, { what: "no" });
    };
  };
  failWith("API_FORBIDDEN");
  assert.deepEqual(await serviceHosts(client, undefined, silentLog, signal), []);
  failWith("API_UNREACHABLE");
  await assert.rejects(serviceHosts(client, "10.96.0.1", silentLog, signal), { code: "API_UNREACHABLE" });
});
