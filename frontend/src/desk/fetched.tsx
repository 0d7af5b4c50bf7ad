/** Fetching what a page of the desk shows, and again every few seconds while it is looked at. */
import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Coded } from "../controls";
import { ask, base, Fault } from "../server";
import { t } from "../texts";

const EVERY = 4000;

export const desk = (path: string) => `${base}limner/v1/${path}`;

export type Fetched<Answer> = { answer: Signal<Answer | null>; fault: Signal<string>; again: () => Promise<void> };

/** The JSON at `url` of the desk, and every so many milliseconds again; null until it is there. */
export function useFetched<Answer>(url: string, every = EVERY): Fetched<Answer> {
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
    }, every);
    return () => clearInterval(timer);
  }, [url, every]);
  return { answer, fault, again };
}

export function Trouble({ fault }: { fault: string }) {
  return fault ? (
    <p class="fault" role="alert">
      {t("desk.failed", { why: fault })}
    </p>
  ) : null;
}

/** What an action of the desk came to, when it came to nothing. */
export function useAct(again: () => Promise<void>) {
  const fault = useSignal("");
  const act = async (url: string, init: RequestInit): Promise<boolean> => {
    fault.value = "";
    try {
      await ask(url, init);
    } catch (reason) {
      fault.value = reason instanceof Fault && reason.status ? reason.message : t("error.network");
    }
    await again();
    return fault.value === "";
  };
  return { act, refused: fault };
}

/** Why an action was refused. */
export function Refused({ why }: { why: string }) {
  return why ? (
    <p class="fault" role="alert" lang="en">
      <Coded text={why} />
    </p>
  ) : null;
}

/** A button that asks once more before it does what cannot be undone. */
export function Sure(props: { label: string; sure: string; name?: string; act: () => void }) {
  const asked = useSignal(false);
  return (
    <button
      type="button"
      class="quiet"
      aria-label={props.name ? `${asked.value ? props.sure : props.label} ${props.name}` : undefined}
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
