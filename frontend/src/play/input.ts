/** The one truth about what will be sent: the endpoint, its fields, the input, and what is wrong with it. */
import { batch, computed, signal } from "@preact/signals";
import { say } from "../say";
import { type Field, fieldsOf, type OpenApi, wrongWith } from "../schema";
import { ask, at, type Complaint } from "../server";
import { fieldText, maybe, t } from "../texts";

export type Endpoint = {
  id: string;
  title: string;
  category: string;
  description: string;
  input: string;
  example: Record<string, unknown>;
};

export const endpoint = signal<Endpoint | null>(null);
export const fields = signal<Field[]>([]);
/** Only what differs from the defaults; this very object is sent, shown as JSON and written as code. */
export const input = signal<Record<string, unknown>>({});
/** Complaints by field, in words; those of no field are under the empty name. */
export const faults = signal<Record<string, string>>({});

export const field = (name: string) => fields.value.find((known) => known.name === name);
export const valueOf = (known: Field) => input.value[known.name] ?? known.default;
export const photoFields = computed(() =>
  fields.value.filter(({ widget }) => widget.kind === "photo" || widget.kind === "archive"),
);

/** Show another endpoint's form, filled with its defaults and the words of its example. */
export async function open(wanted: Endpoint): Promise<void> {
  const document = await ask<OpenApi>(
    at("fal.ai", `api/openapi/queue/openapi.json?endpoint_id=${encodeURIComponent(wanted.id)}`),
  );
  batch(() => {
    endpoint.value = wanted;
    fields.value = fieldsOf(document, wanted.input);
    input.value = typeof wanted.example.prompt === "string" ? { prompt: wanted.example.prompt } : {};
    faults.value = {};
  });
}

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

/** Set a field; its default, or nothing, takes it out of the input. */
export function set(name: string, value: unknown): void {
  const known = field(name);
  const { [name]: _before, ...others } = input.value;
  const gone = value === undefined || (value === "" && !known?.required) || (known && same(value, known.default));
  batch(() => {
    // A changed field keeps its place in the JSON.
    input.value = gone ? others : name in input.value ? { ...input.value, [name]: value } : { ...others, [name]: value };
    if (name in faults.value) {
      const { [name]: _told, ...still } = faults.value;
      faults.value = still;
    }
  });
}

export function replace(value: Record<string, unknown>): void {
  batch(() => {
    input.value = value;
    faults.value = {};
  });
}

/** Look for what cannot be sent; true when nothing was found. `pending`: photo fields about to be filled. */
export function check(pending: ReadonlySet<string>): boolean {
  const found: Record<string, string> = {};
  for (const known of fields.value) {
    if (pending.has(known.name)) continue;
    const wrong = wrongWith(known, input.value[known.name] ?? (known.required ? undefined : known.default));
    if (!wrong) continue;
    if (wrong.text === "photo") found[known.name] = t("form.missing.photo");
    else if (wrong.text === "between") {
      found[known.name] = t("form.between", { min: wrong.min ?? "", max: wrong.max ?? "" });
    } else found[known.name] = t(`form.${wrong.text}`);
  }
  return !complain(found);
}

/** The server's complaints at their fields: our words where we have them, and its own. */
export function told(complaints: Complaint[]): boolean {
  const found: Record<string, string> = {};
  for (const { loc, msg, type, ctx } of complaints) {
    const name = String(loc[1] ?? "");
    // Where faces were found and another was meant, "no face" would be wrong.
    const ours = ctx?.faces ? undefined : maybe(`error.${type}`);
    const text = ours ? `${ours} ${t("error.said", { message: msg })}` : msg;
    found[field(name) ? name : ""] = text;
  }
  return complain(found);
}

/** Show complaints, read them out, and put the focus on the first; true when there were any. */
function complain(found: Record<string, string>): boolean {
  faults.value = found;
  const names = Object.keys(found);
  if (!names.length) return false;
  say(`${t("error.title")}. ${Object.values(found).join(" ")}`);
  requestAnimationFrame(() => focusOn(names[0] ?? ""));
  return true;
}

/** An input that another page wants in the form: taken when the form opens. */
export const pending = signal<Record<string, unknown> | null>(null);

export const fieldId = (name: string) => `field-${name}`;

function focusOn(name: string): void {
  const element = document.getElementById(name ? fieldId(name) : "fault");
  element?.closest("details")?.setAttribute("open", "");
  element?.focus();
}

export const labelOf = (known: Field) => fieldText(known.name, known.description).label;
