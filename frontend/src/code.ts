/** A request as code that runs as it stands. Pure: knows languages, no page. */

export type Ask = { base: string; endpoint: string; input: Record<string, unknown>; key: string };

const indented = (text: string, by: number) => text.replaceAll("\n", `\n${" ".repeat(by)}`);

/** A JSON value as a Python literal. */
export function python(value: unknown, depth = 0): string {
  const pad = "    ".repeat(depth + 1);
  const end = `\n${"    ".repeat(depth)}`;
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map((item) => python(item, depth)).join(", ")}]`;
  if (typeof value === "object") {
    const lines = Object.entries(value).map(([k, v]) => `\n${pad}${JSON.stringify(k)}: ${python(v, depth + 1)},`);
    return lines.length ? `{${lines.join("")}${end}}` : "{}";
  }
  return JSON.stringify(value);
}

function javascriptCode({ base, endpoint, input, key }: Ask): string {
  const credentials = key ? `\n  credentials: ${JSON.stringify(key)},` : "";
  return `import { fal } from "@fal-ai/client";

fal.config({
  proxyUrl: { url: "${base}api/fal/proxy", when: "always" },${credentials}
});

const { data, requestId } = await fal.subscribe("${endpoint}", {
  input: ${indented(JSON.stringify(input, null, 2), 2)},
  logs: true,
});
console.log(data);
`;
}

function pythonCode({ base, endpoint, input, key }: Ask): string {
  return `import fal_client
import fal_client.client as addresses

base = "${base.replace(/\/$/, "")}"
addresses.RUN_URL_FORMAT = f"{base}/fal.run/"
addresses.QUEUE_URL_FORMAT = f"{base}/queue.fal.run/"
addresses.REST_URL = f"{base}/rest.fal.ai"
addresses.CDN_URL = f"{base}/v3.fal.media"

fal = fal_client.SyncClient(key=${JSON.stringify(key || "none needed here")})
result = fal.subscribe(
    "${endpoint}",
    arguments=${python(input, 1)},
)
print(result)
`;
}

function curlCode({ base, endpoint, input, key }: Ask): string {
  const body = JSON.stringify(input, null, 2).replaceAll("'", `'\\''`);
  const authorization = key ? ` \\\n  -H 'authorization: Key ${key}'` : "";
  return `curl ${base}${endpoint}${authorization} \\
  -H 'content-type: application/json' \\
  -d '${body}'
`;
}

export const languages = {
  javascript: { label: "JavaScript", write: javascriptCode },
  python: { label: "Python", write: pythonCode },
  curl: { label: "curl", write: curlCode },
};

export type CodeLanguage = keyof typeof languages;
