/** The frame around every page: name, pages, language, appearance, and what is read out. */
import { FilesPage } from "./desk/files";
import { deskPages, isDesk } from "./desk/frame";
import { KeysPage } from "./desk/keys";
import { ModelsPage } from "./desk/models";
import { RequestPage } from "./desk/request";
import { RequestsPage } from "./desk/requests";
import { SystemPage } from "./desk/system";
import { WebhooksPage } from "./desk/webhooks";
import { KeyGate, KeyInUse } from "./key";
import { PlayPage } from "./play/page";
import { link, route } from "./route";
import { spoken } from "./say";
import { endpoints } from "./served";
import { access } from "./server";
import { choose, type Language, language, languages, endpointText, t } from "./texts";
import { chooseTheme, type Theme, theme } from "./theme";

export function App() {
  return (
    <>
      <a class="skip" href="#page" onClick={toPage}>
        {t("app.skip")}
      </a>
      <Head />
      <Page />
      <p role="status" aria-live="polite" class="unseen">
        {spoken.value}
      </p>
    </>
  );
}

function toPage(event: Event) {
  // The part behind # is the route, so the jump is made by hand.
  event.preventDefault();
  document.getElementById("page")?.focus();
}

function Page() {
  if (access.value === "knocking" || !endpoints.value) {
    if (access.value === "knocking" || access.value === "open") {
      return <main id="page" aria-busy="true"><p class="unseen">{t("wait.loading")}</p></main>;
    }
  }
  if (access.value !== "open") return <KeyGate />;
  const [page, id] = route.value.split("/");
  if (page === "requests") return id ? <RequestPage key={id} id={id} /> : <RequestsPage />;
  if (page === "files") return <FilesPage />;
  if (page === "webhooks") return <WebhooksPage />;
  if (page === "models") return <ModelsPage />;
  if (page === "keys") return <KeysPage />;
  if (page === "system") return <SystemPage />;
  const all = endpoints.value ?? [];
  const served = all.find(({ id }) => id === route.value) ?? all[0];
  if (!served) return <main id="page"><p>{t("models.none")}</p></main>;
  return <PlayPage served={served} />;
}

function Head() {
  const all = endpoints.value ?? [];
  const [page] = route.value.split("/");
  const desk = isDesk(page);
  const current = desk ? undefined : (all.find(({ id }) => id === route.value) ?? all[0]);
  const open = access.value === "open";
  return (
    <header class="head">
      <a class="name" href={link("")}>
        Limner
      </a>
      <nav aria-label={t("nav.label")}>
        {open
          ? all.map((one) => (
              <a key={one.id} href={link(one.id)} aria-current={one.id === current?.id ? "page" : undefined}>
                {endpointText(one).title}
              </a>
            ))
          : null}
        {open ? (
          <a class="apart" href={link(deskPages()[0] ?? "")} aria-current={desk ? "true" : undefined}>
            {t("nav.desk")}
          </a>
        ) : null}
      </nav>
      <div class="look">
        <KeyInUse />
        <select
          aria-label={t("look.language")}
          onChange={(event) => choose(event.currentTarget.value as Language)}
        >
          {(Object.keys(languages) as Language[]).map((id) => (
            <option key={id} value={id} lang={id} selected={id === language.value}>
              {languages[id]}
            </option>
          ))}
        </select>
        <select aria-label={t("look.theme")} onChange={(event) => chooseTheme(event.currentTarget.value as Theme)}>
          {(["auto", "light", "dark"] as const).map((id) => (
            <option key={id} value={id} selected={id === theme.value}>
              {t(`look.${id}`)}
            </option>
          ))}
        </select>
      </div>
    </header>
  );
}
