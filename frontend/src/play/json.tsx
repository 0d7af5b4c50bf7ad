/** The input as JSON, in step with the form; a whole request pasted from fal is taken too. */
import { useSignal, useSignalEffect } from "@preact/signals";
import { Copy } from "../controls";
import { t } from "../texts";
import { faults, input, replace } from "./input";

const written = (value: unknown) => JSON.stringify(value, null, 2);

export function JsonEditor() {
  const text = useSignal(written(input.value));
  const wrong = useSignal("");
  useSignalEffect(() => {
    // Somebody else changed the input: show it. Our own change says the same already.
    const now = written(input.value);
    let same = false;
    try {
      same = written(unwrapped(JSON.parse(text.peek()))) === now;
    } catch {
      same = wrong.peek() !== "";
    }
    if (!same) text.value = now;
  });
  const edit = (typed: string) => {
    text.value = typed;
    try {
      const value: unknown = unwrapped(JSON.parse(typed));
      if (value === null || typeof value !== "object" || Array.isArray(value)) {
        wrong.value = t("form.json.object");
        return;
      }
      wrong.value = "";
      replace(value as Record<string, unknown>);
    } catch (reason) {
      wrong.value = t("form.json.bad", { why: (reason as Error).message });
    }
  };
  const told = Object.entries(faults.value).filter(([name]) => name);
  return (
    <div class={`field json ${wrong.value ? "wrong" : ""}`}>
      <label class="label" for="json">
        {t("form.json")}
      </label>
      <textarea
        id="json"
        class="mono"
        rows={16}
        spellcheck={false}
        autocapitalize="off"
        aria-invalid={wrong.value !== ""}
        aria-describedby="json-help json-fault"
        value={text.value}
        onInput={(event) => edit(event.currentTarget.value)}
      />
      <p class="help" id="json-help">
        {t("form.json.help")} <Copy text={() => text.value} />
      </p>
      <div id="json-fault">
        {wrong.value ? <p class="fault">{wrong.value}</p> : null}
        {told.map(([name, words]) => (
          <p class="fault" key={name}>
            <code>{name}</code>: {words}
          </p>
        ))}
      </div>
    </div>
  );
}

/** `{"input": {…}}`, as fal's clients and pages write it, is its inside. */
function unwrapped(value: unknown): unknown {
  const keys = value !== null && typeof value === "object" ? Object.keys(value) : [];
  return keys.length === 1 && keys[0] === "input" ? (value as { input: unknown }).input : value;
}
