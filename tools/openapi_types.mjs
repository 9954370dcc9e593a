// openapi_types.mjs: TypeScript types of requests and answers in server/openapi.json: node tools/openapi_types.mjs > web/src/types.ts
import { readFileSync } from "node:fs";
const whole = JSON.parse(readFileSync("server/openapi.json", "utf8"));
const schemas = whole.components.schemas;
const plain = { integer: "number", number: "number", string: "string", boolean: "boolean", null: "null" };
function type(s, indent = "") {
  if (s.$ref) return s.$ref.split("/").pop();
  if (s.enum) return s.enum.map((x) => JSON.stringify(x)).join(" | ");
  if (s.oneOf) return s.oneOf.map((x) => type(x, indent)).join(" | ");
  if (Array.isArray(s.type)) return s.type.map((x) => plain[x]).join(" | ");
  if (s.type === "array") {
    const item = type(s.items, indent);
    if (s.minItems && s.minItems === s.maxItems) return `[${Array(s.minItems).fill(item).join(", ")}]`;
    return /[ |]/.test(item) && !item.startsWith("{") ? `(${item})[]` : `${item}[]`;
  }
  if (!s.type) return "unknown";
  if (s.type !== "object") return plain[s.type];
  if (typeof s.additionalProperties === "object") return `Record<string, ${type(s.additionalProperties)}>`;
  const inner = indent + "  ";
  const lines = Object.entries(s.properties).map(
    ([k, v]) => `${inner}${k}${s.required?.includes(k) ? "" : "?"}: ${type(v, inner)};\n`,
  );
  return `{\n${lines.join("")}${indent}}`;
}
let out = "// Made by tools/openapi_types.mjs from server/openapi.json; not to be edited.\n";
for (const [name, s] of Object.entries(schemas)) out += `export type ${name} = ${type(s)};\n`;
// One call a line of each: the page's api.ts knows no other list.
const json = (x) => x?.content["application/json"].schema;
const calls = Object.entries(whole.paths).filter(([, methods]) => methods.post);
const table = (name, of) =>
  `export interface ${name} {\n${calls.map(([p, m]) => `  ${p.split("/").pop()}: ${type(of(m.post), "  ")};\n`).join("")}}\n`;
out += table("Requests", (call) => json(call.requestBody));
out += table("Answers", (call) => json(call.responses["200"]));
process.stdout.write(out);
