/** What draws for each endpoint now, and what its diffusion engine still lacks. */
import { endpoints } from "../served";
import { base } from "../server";
import { endpointText, t } from "../texts";
import { desk, useAct, useFetched } from "./fetched";
import { isOpen, type Model, sizeOf } from "./models";

type Drawing = { engines: Record<string, { engine: string; why: string }> };

/** Of ip-adapter-face-id's model types the one that is needed at least. */
const LEAST = ":1_5-v1";

export function Engines({ models, want }: { models: Model[]; want: (models: Model[]) => void }) {
  const { answer, again } = useFetched<Drawing>(desk("system"));
  const { act } = useAct(again);
  return (
    <ul class="engines">
      {(endpoints.value ?? []).map((served) => {
        const needed = models.filter(({ needed_by: by }) => by.includes(served.id) || by.includes(served.id + LEAST));
        const engine = answer.value?.engines[served.id]?.engine;
        if (!needed.length || !engine) return null;
        const missing = needed.filter((model) => !model.present);
        const fetchable = missing.filter((model) => !isOpen(model) && !model.obstacle);
        return (
          <li key={served.id}>
            <h2>{endpointText(served).title}</h2>
            <p>{t(engine === "sketch" ? "engines.sketch" : "engines.diffusion")}</p>
            <p class="help">
              {missing.length
                ? t("engines.lacking", { here: needed.length - missing.length, all: needed.length })
                : t("engines.complete")}
            </p>
            {fetchable.length ? (
              <button type="button" onClick={() => want(fetchable)}>
                {t("engines.fetch", { size: sizeOf(fetchable) })}
              </button>
            ) : null}
            {missing.length ? null : (
              <button type="button" onClick={() => void act(`${base}limner/v1/system/renew`, { method: "POST" })}>
                {t("engines.renew")}
              </button>
            )}
          </li>
        );
      })}
    </ul>
  );
}
