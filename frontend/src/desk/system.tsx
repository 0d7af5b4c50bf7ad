/** This server itself: what draws, who works, what waits, how long things are kept. */
import { Coded } from "../controls";
import { link } from "../route";
import { duration, moment, t } from "../texts";
import { desk, Trouble, useFetched } from "./fetched";
import { DeskPage } from "./frame";

type System = {
  version: string;
  python: string;
  platform: string;
  started_at: number;
  queue: Record<string, { queued?: number; running?: number }>;
  engines: Record<string, { engine: string; why: string }>;
  workers: { alive: number; wanted: number; slots: number; threads: number };
  kept: { results: number; uploads: number };
  home: string;
};

/** The first of several reasons; the page of models has them all. */
function Why({ text }: { text: string }) {
  const [first = "", ...others] = text.split("; ");
  return (
    <>
      <span lang="en"><Coded text={first} /></span>
      {others.length ? <> <a href={link("models")}>{t("system.why.more", { count: others.length })}</a></> : null}
    </>
  );
}

export function SystemPage() {
  const { answer, fault } = useFetched<System>(desk("system"));
  const system = answer.value;
  return (
    <DeskPage name="system">
      <h1>{t("system.title")}</h1>
      <Trouble fault={fault.value} />
      {system ? (
        <>
          <dl class="pairs">
            <dt>{t("system.workers")}</dt>
            <dd>{t("system.workers.value", system.workers)}</dd>
            <dt>{t("system.up")}</dt>
            <dd>{moment(system.started_at)}</dd>
            <dt>{t("system.results")}</dt>
            <dd>{duration(system.kept.results)}</dd>
            <dt>{t("system.uploads")}</dt>
            <dd>{duration(system.kept.uploads)}</dd>
            <dt>{t("system.home")}</dt>
            <dd><code>{system.home}</code></dd>
            <dt>{t("system.version")}</dt>
            <dd>{system.version}</dd>
            <dt>{t("system.python")}</dt>
            <dd>{system.python}</dd>
            <dt>{t("system.platform")}</dt>
            <dd>{system.platform}</dd>
          </dl>
          <h2>{t("system.models")}</h2>
          <table>
            <thead>
              <tr>
                <th>{t("requests.model")}</th>
                <th>{t("system.engine")}</th>
                <th>{t("system.waiting")}</th>
                <th>{t("system.drawing")}</th>
                <th>{t("system.why")}</th>
              </tr>
            </thead>
            <tbody>
              {Object.entries(system.engines).map(([id, { engine, why }]) => (
                <tr key={id}>
                  <th scope="row">{id}</th>
                  <td>{engine}</td>
                  <td data-label={t("system.waiting")}>{system.queue[id]?.queued ?? 0}</td>
                  <td data-label={t("system.drawing")}>{system.queue[id]?.running ?? 0}</td>
                  <td><Why text={why} /></td>
                </tr>
              ))}
            </tbody>
          </table>
        </>
      ) : null}
    </DeskPage>
  );
}
