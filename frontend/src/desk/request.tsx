/** One request, whole: its pictures, input, log, answer and webhooks. */
import { Copy } from "../controls";
import { filesIn, isPicture } from "../pictures";
import { pending } from "../play/input";
import { nameOf } from "../play/stage";
import { link } from "../route";
import { ask, loadable, local } from "../server";
import { language, moment, seconds, t } from "../texts";
import { desk, Refused, Sure, Trouble, useAct, useFetched } from "./fetched";
import { DeskPage } from "./frame";
import { type State, StateMark } from "./requests";

type Webhook = {
  url: string;
  attempts: number;
  due_at: number | null;
  delivered_at: number | null;
  last_status: number | null;
  last_error: string | null;
};

type Whole = {
  id: string;
  endpoint: string;
  status: "queued" | "running" | "done";
  progress: number;
  preview: string | null;
  engine: string | null;
  created_at: number;
  started_at: number | null;
  finished_at: number | null;
  input: Record<string, unknown>;
  http_status: number | null;
  answer: unknown;
  logs: { at: number; level: string; message: string }[];
  webhooks: Webhook[];
};

function stateOf({ status, http_status: code, answer }: Whole): State {
  if (status !== "done" || code === null) return status === "done" ? "failed" : status;
  if ((answer as { error_type?: string } | null)?.error_type === "client_cancelled") return "cancelled";
  return code < 300 ? "done" : "failed";
}

export function RequestPage({ id }: { id: string }) {
  const url = desk(`requests/${encodeURIComponent(id)}`);
  const { answer, fault, again } = useFetched<Whole>(url);
  const request = answer.value;
  const { act, refused } = useAct(again);
  const remove = async () => {
    if (await act(url, { method: "DELETE" })) location.hash = link("requests");
  };
  const retry = async () => {
    refused.value = "";
    try {
      const fresh = await ask<{ id: string }>(`${url}/retry`, { method: "POST" });
      location.hash = link(`requests/${fresh.id}`);
    } catch (reason) {
      refused.value = (reason as Error).message;
    }
  };
  return (
    <DeskPage name="requests" title={id.slice(0, 8)}>
      <h1>
        <code>{id}</code>
      </h1>
      <Trouble fault={request ? "" : fault.value} />
      {request ? (
        <>
          <Facts request={request} />
          <div class="row">
            {request.status === "done" ? (
              <button type="button" onClick={() => void retry()}>
                {t("requests.retry")}
              </button>
            ) : (
              <button type="button" onClick={() => void act(`${url}/cancel`, { method: "POST" })}>
                {t("requests.cancel")}
              </button>
            )}
            <a class="button" href={link(request.endpoint)} onClick={() => { pending.value = request.input; }}>
              {t("requests.again")}
            </a>
            {request.status === "done" ? (
              <Sure label={t("requests.delete")} sure={t("delete.sure")} act={() => void remove()} />
            ) : null}
          </div>
          <Refused why={refused.value} />
          {request.preview ? <img class="glimpse" src={request.preview} alt={t("stage.preview")} /> : null}
          <Pictures request={request} />
          <Part title={t("requests.input")} value={request.input} />
          {request.logs.length ? <Log request={request} /> : null}
          {request.answer ? <Part title={t("requests.answer")} value={request.answer} /> : null}
          {request.webhooks.length ? (
            <Webhooks all={request.webhooks} again={() => void act(`${url}/redeliver`, { method: "POST" })} />
          ) : null}
        </>
      ) : null}
    </DeskPage>
  );
}

function Facts({ request }: { request: Whole }) {
  const { started_at: from, finished_at: to } = request;
  return (
    <dl class="facts">
      <div><dt>{t("requests.state")}</dt><dd><StateMark state={stateOf(request)} /></dd></div>
      <div><dt>{t("requests.model")}</dt><dd>{request.endpoint}</dd></div>
      <div><dt>{t("requests.when")}</dt><dd>{moment(request.created_at)}</dd></div>
      {from !== null && to !== null ? (
        <div><dt>{t("requests.took")}</dt><dd>{seconds(to - from)}</dd></div>
      ) : null}
      {request.engine ? <div><dt>{t("stage.engine")}</dt><dd>{request.engine}</dd></div> : null}
    </dl>
  );
}

function Pictures({ request }: { request: Whole }) {
  const pictures = [...filesIn(request.answer), ...filesIn({ input: asFiles(request.input) })]
    .filter((file) => isPicture(file) && loadable(local(file.url)));
  if (!pictures.length) return null;
  return (
    <ul class="prints">
      {pictures.map((file) => (
        <li key={file.url}>
          <a href={local(file.url)}>
            <img class="checker" src={local(file.url)} alt={nameOf(file)} />
          </a>
        </li>
      ))}
    </ul>
  );
}

/** The addresses in an input, as an answer would hold them. */
function asFiles(input: Record<string, unknown>) {
  const urls = Object.entries(input).filter(([name, value]) => /image_url$/.test(name) && typeof value === "string");
  return Object.fromEntries(urls.map(([name, url]) => [name, { url, content_type: "image/*" }]));
}

function Part({ title, value }: { title: string; value: unknown }) {
  const text = JSON.stringify(value, null, 2);
  return (
    <section>
      <div class="row between">
        <h2>{title}</h2>
        <Copy text={() => text} />
      </div>
      <pre tabIndex={0} aria-label={title}>
        <code>{text}</code>
      </pre>
    </section>
  );
}

function Log({ request }: { request: Whole }) {
  const clock = new Intl.DateTimeFormat(language.value, { timeStyle: "medium" });
  return (
    <section>
      <h2>{t("more.log")}</h2>
      <ol class="log" tabIndex={0} aria-label={t("more.log")}>
        {request.logs.filter(({ message }) => message).map((line, index) => (
          <li key={index} class={line.level.toLowerCase()}>
            <time>{clock.format(line.at * 1000)}</time>
            <span>{line.message}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}

function Webhooks({ all, again }: { all: Webhook[]; again: () => void }) {
  const told = (one: Webhook) => {
    const why = one.last_error ?? (one.last_status ? `HTTP ${one.last_status}` : "–");
    if (one.delivered_at) return t("requests.webhook.delivered", { status: one.last_status ?? "" });
    return t(one.due_at ? "requests.webhook.due" : "requests.webhook.gone", { count: one.attempts, why });
  };
  return (
    <section>
      <div class="row between">
        <h2>{t("requests.webhooks")}</h2>
        <button type="button" class="quiet" onClick={again}>
          {t("requests.redeliver")}
        </button>
      </div>
      <ul>
        {all.map((one, index) => (
          <li key={index}>
            <code>{one.url}</code> {told(one)}
          </li>
        ))}
      </ul>
    </section>
  );
}
