/** Small controls that several pages use: tabs, one of a few, copy. Know no request. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren, TargetedKeyboardEvent } from "preact";
import { say } from "./say";
import { t } from "./texts";

type Option<Id extends string> = { id: Id; label: string };

/** Tabs as the ARIA practices have them: arrow keys move, one panel is there. */
export function Tabs<Id extends string>(props: {
  id: string;
  label: string;
  tabs: Option<Id>[];
  chosen: Id;
  choose: (id: Id) => void;
  children: ComponentChildren;
}) {
  const { id, tabs, chosen } = props;
  const move = (event: TargetedKeyboardEvent<HTMLElement>) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : undefined;
    const to = event.key === "Home" ? 0 : event.key === "End" ? tabs.length - 1 : undefined;
    if (step === undefined && to === undefined) return;
    event.preventDefault();
    const now = tabs.findIndex((tab) => tab.id === chosen);
    const next = tabs[to ?? (now + (step ?? 0) + tabs.length) % tabs.length];
    if (!next) return;
    props.choose(next.id);
    document.getElementById(`${id}-tab-${next.id}`)?.focus();
  };
  return (
    <>
      <div class="tabs" role="tablist" aria-label={props.label} onKeyDown={move}>
        {tabs.map((tab) => (
          <button
            key={tab.id}
            type="button"
            role="tab"
            id={`${id}-tab-${tab.id}`}
            aria-selected={tab.id === chosen}
            aria-controls={`${id}-panel`}
            tabIndex={tab.id === chosen ? 0 : -1}
            onClick={() => props.choose(tab.id)}
          >
            {tab.label}
          </button>
        ))}
      </div>
      <div role="tabpanel" id={`${id}-panel`} aria-labelledby={`${id}-tab-${chosen}`}>
        {props.children}
      </div>
    </>
  );
}

/** One of a few, side by side. */
export function Segments<Id extends string>(props: {
  name: string;
  label: string;
  options: (Option<Id> & { swatch?: string })[];
  chosen: Id;
  choose: (id: Id) => void;
}) {
  return (
    <fieldset class="segments">
      <legend class="unseen">{props.label}</legend>
      {props.options.map(({ id, label, swatch }) => (
        <label key={id} title={swatch ? label : undefined}>
          <input
            type="radio"
            name={props.name}
            value={id}
            checked={id === props.chosen}
            onChange={() => props.choose(id)}
          />
          {swatch ? <span class={`swatch ${swatch}`} aria-hidden="true" /> : null}
          <span class={swatch ? "unseen" : ""}>{label}</span>
        </label>
      ))}
    </fieldset>
  );
}

/** A button that copies, and says that it did. */
export function Copy({ text, label }: { text: () => string; label?: string }) {
  const copied = useSignal(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text());
    copied.value = true;
    say(t("copied"));
    setTimeout(() => {
      copied.value = false;
    }, 2000);
  };
  return (
    <button type="button" class="quiet" onClick={() => void copy()}>
      {copied.value ? t("copied") : (label ?? t("copy"))}
    </button>
  );
}

/** A text whose `backticked` parts are what one types. */
export function Coded({ text }: { text: string }) {
  return <>{text.split("`").map((part, index) => (index % 2 ? <code key={index}>{part}</code> : part))}</>;
}
