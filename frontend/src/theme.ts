/** Light, dark, or as the machine has it. */
import { effect, signal } from "@preact/signals";

export type Theme = "auto" | "light" | "dark";

const STORED = "limner.theme";

export const theme = signal<Theme>((localStorage.getItem(STORED) as Theme | null) ?? "auto");

effect(() => {
  document.documentElement.dataset.theme = theme.value;
});

export function chooseTheme(chosen: Theme) {
  localStorage.setItem(STORED, chosen);
  theme.value = chosen;
}
