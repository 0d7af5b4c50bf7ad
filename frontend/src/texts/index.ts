/** The language of the page, and its texts. */
import { effect, signal } from "@preact/signals";
import { de } from "./de";
import { en, type TextKey } from "./en";
import { endpointTexts, fieldGroups, fieldTexts, type Group, optionTexts } from "./fields";

export type { Group };

const catalogues = { en, de };
export type Language = keyof typeof catalogues;
export const languages: Record<Language, string> = { en: "English", de: "Deutsch" };

const STORED = "limner.language";

function preferred(): Language {
  const wanted = [localStorage.getItem(STORED), ...navigator.languages].map((l) => l?.slice(0, 2));
  return wanted.find((l): l is Language => l !== undefined && l in catalogues) ?? "en";
}

export const language = signal<Language>(preferred());

effect(() => {
  document.documentElement.lang = language.value;
});

export function choose(chosen: Language) {
  localStorage.setItem(STORED, chosen);
  language.value = chosen;
}

/** The text of `key`, with `{name}`s filled in. Reading it in a component follows the language. */
export function t(key: TextKey, values: Record<string, string | number> = {}): string {
  return catalogues[language.value][key].replace(/\{(\w+)\}/g, (whole, name) =>
    name in values ? String(values[name]) : whole,
  );
}

/** The text of a key that may not exist. */
export function maybe(key: string): string | undefined {
  return key in en ? t(key as TextKey) : undefined;
}

/** A field's label and help: ours where we have them, else the schema's. */
export function fieldText(name: string, description: string): { label: string; help: string } {
  const ours = fieldTexts[language.value]?.[name] ?? fieldTexts.en?.[name];
  const spoken = name.replaceAll("_", " ").replace(/^\w/, (letter) => letter.toUpperCase());
  return { label: ours?.[0] ?? spoken, help: ours?.[1] ?? description.replace(/\s+/g, " ") };
}

/** Groups of extras, in the order in which they are shown. */
export const groups: readonly Group[] = [...new Set([...Object.values(fieldGroups), "more" as const])];

/** Which group of extras a field is in. */
export const groupOf = (name: string): Group => fieldGroups[name] ?? "more";

/** One of a field's options in words: ours where it has a proper name, else as it is written. */
export const optionText = (field: string, option: string): string => optionTexts[field]?.[option] ?? option;

/** An endpoint's title and what it does. */
export function endpointText(served: { id: string; title: string; description: string }) {
  const [title, description] = endpointTexts[language.value]?.[served.id] ?? [served.title, served.description];
  return { title, description };
}

export function seconds(value: number): string {
  const digits = value < 10 ? 1 : 0;
  return `${value.toLocaleString(language.value, { minimumFractionDigits: digits, maximumFractionDigits: digits })}\u00a0s`;
}

export function bytes(value: number): string {
  const [size, unit] =
    value < 1e6 ? [value / 1e3, "kB"] : value < 1e9 ? [value / 1e6, "MB"] : [value / 1e9, "GB"];
  return `${size.toLocaleString(language.value, { maximumFractionDigits: size < 10 ? 1 : 0 })}\u00a0${unit}`;
}

/** Unix seconds as a date and a time. */
export function moment(at: number): string {
  return new Intl.DateTimeFormat(language.value, { dateStyle: "medium", timeStyle: "medium" }).format(at * 1000);
}

/** How far ahead a time in unix seconds is, in words: "in 40 minutes". */
export function ahead(at: number): string {
  const left = Math.max(0, at - Date.now() / 1000);
  const [amount, unit] =
    left >= 172_800 ? [left / 86_400, "day"] : left >= 5400 ? [left / 3600, "hour"]
    : left >= 90 ? [left / 60, "minute"] : [left, "second"];
  return new Intl.RelativeTimeFormat(language.value).format(Math.round(amount as number), unit as "day");
}

/** A duration in seconds in the largest unit that divides it well. */
export function duration(value: number): string {
  const [amount, unit] =
    value >= 172_800 ? [value / 86_400, "day"] : value >= 3600 ? [value / 3600, "hour"] : [value / 60, "minute"];
  return new Intl.NumberFormat(language.value, {
    style: "unit", unit, unitDisplay: "long", maximumFractionDigits: 1,
  }).format(amount);
}
