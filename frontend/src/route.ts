/** Which page is shown: what stands behind the `#`, so that the server needs no routes for it. */
import { signal } from "@preact/signals";

const here = () => decodeURI(location.hash.replace(/^#\/?/, ""));

export const route = signal(here());

addEventListener("hashchange", () => {
  route.value = here();
});

export const link = (page: string) => `#/${page}`;
