/** The frame around every page of the desk: its name, and the way to the others. */
import type { ComponentChildren } from "preact";
import { link } from "../route";
import { admin } from "../server";
import { t } from "../texts";

const forAll = ["requests", "files", "webhooks"] as const;
const forAdmins = ["models", "keys", "system"] as const;
export type DeskName = (typeof forAll)[number] | (typeof forAdmins)[number];

/** The pages that this caller may see. */
export const deskPages = (): DeskName[] => (admin.value ? [...forAll, ...forAdmins] : [...forAll]);

export const isDesk = (page: string | undefined): page is DeskName =>
  [...forAll, ...forAdmins].some((name) => name === page);

export function DeskPage(props: { name: DeskName; title?: string; children: ComponentChildren }) {
  const { name, title } = props;
  document.title = `${title ?? t(`nav.${name}`)} · Limner`;
  return (
    <main id="page" class="desk" tabIndex={-1}>
      <nav class="places" aria-label={t("nav.desk")}>
        {deskPages().map((one) => (
          <a key={one} href={link(one)} aria-current={one === name ? "page" : undefined}>
            {t(`nav.${one}`)}
          </a>
        ))}
      </nav>
      {props.children}
    </main>
  );
}
