import type { ParsedSetting, Setting } from "#runtime/setting-types";
import { defaultProxyResources, type Resources } from "#webhook/injection-request";
import { parseResources, resourcesExample } from "#webhook/resources";

/** Requests and limits of the proxy containers, as JSON. */
export const proxyResources: Setting<Resources> = {
  description: "resources of the proxy containers; the pod's annotation proxy-resource wins",
  placeholder: "JSON",
  default: defaultProxyResources,
  defaultText: JSON.stringify(defaultProxyResources),
  parse: (text): ParsedSetting<Resources> => {
    const parsed = parseResources(jsonOf(text));
    return "resources" in parsed
      ? { ok: true, value: parsed.resources }
      : { ok: false, expected: resourcesExample.replace("write ", "") };
  },
};

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // refused like any other value that is no object
  }
}
