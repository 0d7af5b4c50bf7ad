/** Networks and weights: which there are, on what terms, which are here; fetched, verified, removed. */
import { signal } from "@preact/signals";
import { Coded } from "../controls";
import { say } from "../say";
import { post } from "../server";
import { bytes, t } from "../texts";
import { Engines } from "./engines";
import { desk, Refused, Sure, Trouble, useAct, useFetched } from "./fetched";
import { DeskPage } from "./frame";
import { Terms } from "./terms";

export type Errand = {
  what: "pull" | "verify";
  state: "waiting" | "running" | "done" | "failed" | "stopped";
  done: number;
  total: number;
  why: string;
};

export type Model = {
  name: string;
  purpose: string;
  origin: string;
  licence: string;
  terms: string;
  note: string;
  commercial: boolean;
  accepted: boolean;
  bytes: number;
  /** Is `bytes` all? Of some files the hub tells the size only when they are fetched. */
  whole: boolean;
  present: boolean;
  obstacle: string | null;
  removable: boolean;
  needed_by: string[];
  errand: Errand | null;
};

type Shelf = { engine: "sketch" | "diffusion"; folder: string; free: number; models: Model[] };

export type Act = (path: string, method: "POST" | "DELETE", body?: unknown) => Promise<boolean>;

/** Models about to be fetched whose licences must be accepted first. */
const asked = signal<Model[]>([]);

/** Is anything being fetched or verified? Then the page looks more often. */
const working = signal(false);
const AT_WORK = 700;
/** Is there room to show every row at once? */
const ROOMY = matchMedia("(min-width: 60rem)").matches;

export const isOpen = (model: Model) => model.errand?.state === "waiting" || model.errand?.state === "running";
export const sizeOf = (models: Model[]) => {
  const size = bytes(models.reduce((sum, model) => sum + model.bytes, 0));
  return models.every((model) => model.whole) ? size : t("models.atleast", { size });
};

export function ModelsPage() {
  const busy = working.value;
  const { answer, fault, again } = useFetched<{ shelves: Shelf[] }>(desk("models"), busy ? AT_WORK : undefined);
  const { act: change, refused } = useAct(again);
  const shelves = answer.value?.shelves ?? [];
  const models = shelves.flatMap((shelf) => shelf.models);
  working.value = models.some(isOpen);
  const act: Act = (path, method, body) => change(desk(`models/${path}`), { ...(body ? post(body) : {}), method });
  const fetchAll = async (wanted: Model[]) => {
    for (const { name } of wanted) await act(`${name}/pull`, "POST");
    say(t("models.fetching", { count: wanted.length }));
  };
  const want = (wanted: Model[]) => {
    if (wanted.some(({ accepted }) => !accepted)) asked.value = wanted;
    else void fetchAll(wanted);
  };
  const agreed = async () => {
    const wanted = asked.value;
    asked.value = [];
    for (const { name, licence, accepted } of wanted) {
      if (!accepted) await act(`${name}/accept`, "POST", { licence });
    }
    await fetchAll(wanted);
  };
  return (
    <DeskPage name="models">
      <h1>{t("nav.models")}</h1>
      <Trouble fault={fault.value} />
      <Refused why={refused.value} />
      {models.length ? <Engines models={models} want={want} /> : null}
      {shelves.map((shelf) => (
        <details key={shelf.engine} class="shelf-of" open={ROOMY}>
          <summary>
            <h2>{t(`models.${shelf.engine}`)}</h2>
            <span>{t("models.count", { here: shelf.models.filter(({ present }) => present).length, all: shelf.models.length })}</span>
          </summary>
          <p class="help">
            {t(`models.${shelf.engine}.help`)}{" "}
            {t("models.folder", { free: bytes(shelf.free) })} <code>{shelf.folder}</code>
          </p>
          <ul class="shelf">
            {shelf.models.map((model) => (
              <Row key={model.name} model={model} act={act} want={want} />
            ))}
          </ul>
        </details>
      ))}
      {asked.value.length ? (
        <Terms models={asked.value} agreed={() => void agreed()} close={() => { asked.value = []; }} />
      ) : null}
    </DeskPage>
  );
}

type Props = { model: Model; act: Act; want: (models: Model[]) => void };

function Row({ model, act, want }: Props) {
  const { name, errand } = model;
  const state = isOpen(model) ? "running" : model.present ? "done" : "queued";
  return (
    <li>
      <div class="what">
        <h3>{name}</h3>
        <p lang="en"><Coded text={model.purpose} /></p>
        <p class="help" title={model.origin}>
          {model.terms ? <a href={model.terms} rel="noreferrer" target="_blank">{model.origin}</a> : model.origin}
        </p>
      </div>
      <div class="terms">
        <p lang="en" title={model.note || undefined}>{model.licence}</p>
        <p class="help">{t(model.commercial ? "models.sale" : model.accepted ? "models.nosale.accepted" : "models.nosale")}</p>
      </div>
      <p class="size">{model.bytes ? sizeOf([model]) : "–"}</p>
      <div class="stand">
        <p><span class={`state ${state}`}>{standing(model)}</span></p>
        {errand && isOpen(model) ? <Under errand={errand} name={name} /> : <Ended errand={errand} />}
      </div>
      <Buttons model={model} act={act} want={want} />
    </li>
  );
}

function standing(model: Model): string {
  const { errand, present } = model;
  if (!errand || !isOpen(model)) return t(present ? "models.here" : "models.absent");
  if (errand.state === "waiting") return t("models.waiting");
  return t(errand.what === "pull" ? "models.pulling" : "models.verifying");
}

function Under({ errand: { done, total, state }, name }: { errand: Errand; name: string }) {
  return (
    <>
      <progress aria-label={name} max={total || 1} value={total && state === "running" ? done : undefined} />
      {total ? <p class="help">{t("models.progress", { done: bytes(done), total: bytes(total) })}</p> : null}
    </>
  );
}

function Ended({ errand }: { errand: Errand | null }) {
  if (errand?.state === "failed") return <p class="fault" lang="en"><Coded text={errand.why} /></p>;
  if (errand?.state === "stopped") return <p class="help">{t("models.stopped")}</p>;
  if (errand?.what !== "verify" || errand.state !== "done") return null;
  return <p class="help">{errand.why ? <span lang="en">{errand.why}</span> : t("models.same")}</p>;
}

function Buttons({ model, act, want }: Props) {
  const { name, errand } = model;
  if (isOpen(model)) {
    return errand?.what === "pull" ? (
      <div class="acts">
        <button type="button" class="quiet" aria-label={`${t("models.stop")} ${name}`} onClick={() => void act(`${name}/pull`, "DELETE")}>
          {t("models.stop")}
        </button>
      </div>
    ) : null;
  }
  if (!model.present) {
    if (model.obstacle) return <p class="help" lang="en"><Coded text={model.obstacle} /></p>;
    return (
      <div class="acts">
        <button type="button" class="quiet" aria-label={`${t("models.pull")} ${name}`} onClick={() => want([model])}>
          {t("models.pull")}
        </button>
      </div>
    );
  }
  return (
    <div class="acts">
      <button type="button" class="quiet" aria-label={`${t("models.check")} ${name}`} onClick={() => void act(`${name}/verify`, "POST")}>
        {t("models.check")}
      </button>
      {model.removable ? (
        <Sure label={t("models.remove")} sure={t("models.remove.sure")} name={name} act={() => void act(name, "DELETE")} />
      ) : null}
    </div>
  );
}
