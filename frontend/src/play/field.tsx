/** One field of the form: label, control, help, and what is wrong with it. */
import { type Field as Known, type Widget } from "../schema";
import { fieldText, optionText, t } from "../texts";
import { faults, fieldId, set, valueOf } from "./input";
import { ArchiveField, PhotoField } from "./photo";
import { SizeField } from "./size";

type Props = { known: Known; described: string };

export function Field({ known }: { known: Known }) {
  const { name, widget } = known;
  const { label, help } = fieldText(name, known.description);
  const fault = faults.value[name];
  const id = fieldId(name);
  const described = `${id}-help${fault ? ` ${id}-fault` : ""}`;
  const grouped = widget.kind === "size" || widget.kind === "several";
  const title = (
    <>
      {label}
      {known.required ? <span class="required"> {t("form.required")}</span> : null}
    </>
  );
  return (
    <div class={`field of-${widget.kind} ${fault ? "wrong" : ""}`}>
      {grouped ? (
        <span class="label" id={`${id}-label`}>
          {title}
        </span>
      ) : (
        <label class="label" for={id}>
          {title}
        </label>
      )}
      <Control known={known} described={described} />
      <p class="help" id={`${id}-help`}>
        {help}
        {hint(known.default, widget)}
      </p>
      {fault ? (
        <p class="fault" id={`${id}-fault`}>
          {fault}
        </p>
      ) : null}
    </div>
  );
}

function hint(standard: unknown, widget: Widget): string {
  const parts: string[] = [];
  if (widget.kind === "number" && widget.min !== undefined && widget.max !== undefined) {
    parts.push(t("form.range", { min: widget.min, max: widget.max }));
  }
  if (typeof standard === "number") parts.push(t("form.default", { value: standard }));
  return parts.length ? ` ${parts.join(". ")}.` : "";
}

function Control({ known, described }: Props) {
  switch (known.widget.kind) {
    case "photo":
      return <PhotoField name={known.name} described={described} />;
    case "archive":
      return <ArchiveField name={known.name} described={described} />;
    case "text":
      return <TextControl known={known} described={described} long={known.widget.long} />;
    case "number":
      return <NumberControl known={known} described={described} widget={known.widget} />;
    case "seed":
      return <SeedControl known={known} described={described} max={known.widget.max} />;
    case "switch":
      return <SwitchControl known={known} described={described} />;
    case "colour":
      return <ColourControl known={known} described={described} />;
    case "choice":
      return <ChoiceControl known={known} described={described} options={known.widget.options} />;
    case "several":
      return <SeveralControl known={known} described={described} options={known.widget.options} />;
    case "size":
      return <SizeField known={known} described={described} widget={known.widget} />;
    case "json":
      return <JsonControl known={known} described={described} />;
  }
}

const common = ({ known, described }: Props) => ({
  id: fieldId(known.name),
  "aria-describedby": described,
  "aria-invalid": known.name in faults.value,
  "aria-required": known.required,
});

function TextControl({ long, ...props }: Props & { long: boolean }) {
  const { known } = props;
  const value = String(valueOf(known) ?? "");
  const onInput = (event: { currentTarget: { value: string } }) => set(known.name, event.currentTarget.value);
  return long ? (
    <textarea {...common(props)} rows={known.required ? 3 : 2} value={value} onInput={onInput} />
  ) : (
    <input type="text" {...common(props)} value={value} onInput={onInput} />
  );
}

const asNumber = (text: string) => (text.trim() === "" ? undefined : Number(text.replace(",", ".")));

function NumberControl({ widget, ...props }: Props & { widget: Extract<Widget, { kind: "number" }> }) {
  const { known } = props;
  const value = valueOf(known);
  const { min, max, step } = widget;
  const bounded = min !== undefined && max !== undefined && max - min <= 200;
  return (
    <div class="number">
      {bounded ? (
        <input
          type="range"
          aria-hidden="true"
          tabIndex={-1}
          min={min}
          max={max}
          step={step}
          value={String(value ?? min)}
          onInput={(event) => set(known.name, Number(event.currentTarget.value))}
        />
      ) : null}
      <input
        type="number"
        inputMode={widget.whole ? "numeric" : "decimal"}
        {...common(props)}
        min={min}
        max={max}
        step={widget.whole ? step : "any"}
        value={value === undefined || value === null ? "" : String(value)}
        onInput={(event) => set(known.name, asNumber(event.currentTarget.value))}
      />
    </div>
  );
}

function SeedControl({ max, ...props }: Props & { max: number }) {
  const { known } = props;
  const roll = () => set(known.name, Math.floor(Math.random() * Math.min(max, 2 ** 32 - 1)));
  return (
    <div class="seed">
      <input
        type="number"
        inputMode="numeric"
        {...common(props)}
        min={0}
        max={max}
        placeholder={t("seed.random")}
        value={valueOf(known) === undefined ? "" : String(valueOf(known))}
        onInput={(event) => set(known.name, asNumber(event.currentTarget.value))}
      />
      <button type="button" class="quiet" aria-label={t("seed.dice")} title={t("seed.dice")} onClick={roll}>
        ⚄
      </button>
    </div>
  );
}

function SwitchControl(props: Props) {
  const { known } = props;
  return (
    <input
      type="checkbox"
      role="switch"
      {...common(props)}
      aria-required={undefined}
      checked={valueOf(known) === true}
      onChange={(event) => set(known.name, event.currentTarget.checked)}
    />
  );
}

/** The colour as one sees it, and as it is written; a picker knows only the long form. */
function ColourControl(props: Props) {
  const { known } = props;
  const written = String(valueOf(known) ?? "");
  const long = /^#[0-9a-f]{3}$/i.test(written) ? written.replace(/[0-9a-f]/gi, "$&$&") : written;
  return (
    <div class="colour">
      <input
        type="color"
        aria-label={t("form.colour")}
        value={/^#[0-9a-f]{6}$/i.test(long) ? long : "#000000"}
        onInput={(event) => set(known.name, event.currentTarget.value)}
      />
      <input
        type="text"
        class="mono"
        {...common(props)}
        value={written}
        onInput={(event) => set(known.name, event.currentTarget.value.trim())}
      />
    </div>
  );
}

function ChoiceControl({ options, ...props }: Props & { options: string[] }) {
  const { known } = props;
  return (
    <select {...common(props)} onChange={(event) => set(known.name, event.currentTarget.value || undefined)}>
      {known.default === undefined ? <option value="" /> : null}
      {options.map((option) => (
        <option key={option} value={option} selected={option === valueOf(known)}>
          {option}
        </option>
      ))}
    </select>
  );
}

function SeveralControl({ options, known, described }: Props & { options: string[] }) {
  const chosen = Array.isArray(valueOf(known)) ? (valueOf(known) as string[]) : [];
  const turn = (option: string, on: boolean) => {
    const next = options.filter((other) => (other === option ? on : chosen.includes(other)));
    set(known.name, next.length ? next : undefined);
  };
  return (
    <div role="group" class="several" aria-labelledby={`${fieldId(known.name)}-label`} aria-describedby={described}>
      {options.map((option, index) => (
        <label key={option}>
          <input
            id={index === 0 ? fieldId(known.name) : undefined}
            type="checkbox"
            checked={chosen.includes(option)}
            onChange={(event) => turn(option, event.currentTarget.checked)}
          />
          {optionText(known.name, option)}
        </label>
      ))}
    </div>
  );
}

function JsonControl(props: Props) {
  const { known } = props;
  const value = valueOf(known);
  return (
    <input
      type="text"
      class="mono"
      {...common(props)}
      placeholder="JSON"
      value={value === undefined ? "" : JSON.stringify(value)}
      onChange={(event) => {
        const text = event.currentTarget.value.trim();
        try {
          set(known.name, text ? JSON.parse(text) : undefined);
        } catch (reason) {
          faults.value = { ...faults.value, [known.name]: t("form.json.bad", { why: (reason as Error).message }) };
        }
      }}
    />
  );
}
