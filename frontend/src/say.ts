/** What is read out to people who do not see the page: milestones, not every step. */
import { signal } from "@preact/signals";

export const spoken = signal("");

export function say(text: string) {
  // The same words twice are two events.
  spoken.value = spoken.value === text ? `${text}\u00a0` : text;
}
