/** Fetching what a page of the desk shows, and again every few seconds while it is looked at. */
import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ask, base, Fault } from "../server";
import { t } from "../texts";

const EVERY = 4000;

export const desk = (path: string) => `${base}limner/v1/${path}`;

export type Fetched<Answer> = { answer: Signal<Answer | null>; fault: Signal<string>; again: () => Promise<void> };

/** The JSON at `url` of the desk; null until it is there. */
export function useFetched<Answer>(url: string): Fetched<Answer> {
  const answer = useSignal<Answer | null>(null);
  const fault = useSignal("");
  const again = async () => {
    try {
      answer.value = await ask<Answer>(url);
      fault.value = "";
    } catch (reason) {
      fault.value = reason instanceof Fault && reason.status ? reason.message : t("error.network");
    }
  };
  useEffect(() => {
    void again();
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") void again();
    }, EVERY);
    return () => clearInterval(timer);
  }, [url]);
  return { answer, fault, again };
}

export function Trouble({ fault }: { fault: string }) {
  return fault ? (
    <p class="fault" role="alert">
      {t("desk.failed", { why: fault })}
    </p>
  ) : null;
}

/** A button that asks once more before it does what cannot be undone. */
export function Sure(props: { label: string; sure: string; act: () => void }) {
  const asked = useSignal(false);
  return (
    <button
      type="button"
      class="quiet"
      onBlur={() => { asked.value = false; }}
      onClick={() => {
        if (asked.value) props.act();
        asked.value = !asked.value;
      }}
    >
      {asked.value ? props.sure : props.label}
    </button>
  );
}
