/** A picture's size: one of fal's names, or a width and a height. */
import type { Field, Widget } from "../schema";
import { t } from "../texts";
import { faults, fieldId, set, valueOf } from "./input";

type Sides = { width: number; height: number };

const CUSTOM = "custom";

export function SizeField(props: {
  known: Field;
  described: string;
  widget: Extract<Widget, { kind: "size" }>;
}) {
  const { known, widget, described } = props;
  const value = valueOf(known);
  const sides = typeof value === "object" && value !== null ? (value as Sides) : null;
  const choose = (chosen: string) =>
    set(known.name, chosen === CUSTOM ? { width: 768, height: 768 } : chosen);
  return (
    <div role="group" class="sizes" aria-labelledby={`${fieldId(known.name)}-label`} aria-describedby={described}>
      <select
        id={fieldId(known.name)}
        aria-labelledby={`${fieldId(known.name)}-label`}
        aria-invalid={known.name in faults.value}
        onChange={(event) => choose(event.currentTarget.value)}
      >
        {widget.presets.map((preset) => (
          <option key={preset} value={preset} selected={preset === value}>
            {preset.replace(/_(\d+)_(\d+)$/, " $1:$2").replaceAll("_", " ")}
          </option>
        ))}
        <option value={CUSTOM} selected={sides !== null}>
          {t("size.custom")}
        </option>
      </select>
      {sides ? (
        <>
          <Side name="width" sides={sides} known={known} max={widget.max} />
          <span aria-hidden="true">×</span>
          <Side name="height" sides={sides} known={known} max={widget.max} />
        </>
      ) : null}
    </div>
  );
}

function Side(props: { name: "width" | "height"; sides: Sides; known: Field; max: number }) {
  const { name, sides, known } = props;
  return (
    <input
      type="number"
      inputMode="numeric"
      aria-label={t(name === "width" ? "size.width" : "size.height")}
      min={1}
      max={props.max}
      value={String(sides[name] ?? "")}
      onInput={(event) => set(known.name, { ...sides, [name]: Math.round(Number(event.currentTarget.value)) })}
    />
  );
}
