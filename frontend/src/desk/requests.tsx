/** The register: every request that this key may see, newest first. */
import { useSignal } from "@preact/signals";
import { link } from "../route";
import { admin, keyed } from "../server";
import { moment, seconds, t } from "../texts";
import { desk, Refused, Sure, Trouble, useAct, useFetched } from "./fetched";
import { DeskPage } from "./frame";

const states = ["queued", "running", "done", "failed", "cancelled"] as const;
export type State = (typeof states)[number];

type Entry = {
  place: number;
  id: string;
  endpoint: string;
  key_id: string;
  state: State;
  progress: number;
  created_at: number;
  started_at: number | null;
  finished_at: number | null;
};

const PAGE = 30;

export function RequestsPage() {
  const state = useSignal<State | "">("");
  const text = useSignal("");
  const shown = useSignal(PAGE);
  const query = new URLSearchParams({ limit: String(Math.min(shown.value, 200)) });
  if (state.value) query.set("state", state.value);
  if (text.value) query.set("text", text.value);
  const { answer, fault, again } = useFetched<{ requests: Entry[]; next: number | null }>(desk(`requests?${query}`));
  const withKeys = keyed.value && admin.value;
  const { act, refused } = useAct(again);
  return (
    <DeskPage name="requests">
      <h1>{t("requests.title")}</h1>
      <p class="help">{t("requests.forgotten")}</p>
      <form class="row filters" role="search" onSubmit={(event) => event.preventDefault()}>
        <input
          type="search"
          aria-label={t("requests.search")}
          placeholder={t("requests.search")}
          onInput={(event) => { text.value = event.currentTarget.value.trim(); }}
        />
        <select
          aria-label={t("requests.state")}
          onChange={(event) => { state.value = event.currentTarget.value as State | ""; }}
        >
          <option value="">{t("requests.all")}</option>
          {states.map((one) => (
            <option key={one} value={one}>
              {t(`state.${one}`)}
            </option>
          ))}
        </select>
      </form>
      <Trouble fault={fault.value} />
      <Refused why={refused.value} />
      {answer.value?.requests.length === 0 ? <p class="empty">{t("requests.none")}</p> : null}
      {answer.value?.requests.length ? (
        <table>
          <thead>
            <tr>
              <th>{t("requests.id")}</th>
              <th>{t("requests.state")}</th>
              <th>{t("requests.model")}</th>
              <th>{t("requests.when")}</th>
              <th>{t("requests.took")}</th>
              {withKeys ? <th>{t("requests.key")}</th> : null}
              <th><span class="unseen">{t("requests.do")}</span></th>
            </tr>
          </thead>
          <tbody>
            {answer.value.requests.map((entry) => (
              <Row key={entry.id} entry={entry} withKey={withKeys} act={(path, method) => void act(desk(`requests/${entry.id}${path}`), { method })} />
            ))}
          </tbody>
        </table>
      ) : null}
      {answer.value?.next && shown.value < 200 ? (
        <button type="button" onClick={() => { shown.value += PAGE; }}>
          {t("requests.more")}
        </button>
      ) : null}
    </DeskPage>
  );
}

type Act = (path: string, method: "POST" | "DELETE") => void;

function Row({ entry, withKey, act }: { entry: Entry; withKey: boolean; act: Act }) {
  const { started_at: from, finished_at: to } = entry;
  const named = entry.id.slice(0, 8);
  return (
    <tr>
      <th scope="row">
        <a href={link(`requests/${entry.id}`)}>
          <code>{entry.id.slice(0, 8)}…{entry.id.slice(-4)}</code>
        </a>
      </th>
      <td>
        <StateMark state={entry.state} />
        {entry.state === "running" ? ` ${Math.round(entry.progress * 100)} %` : ""}
      </td>
      <td>{entry.endpoint}</td>
      <td>{moment(entry.created_at)}</td>
      <td data-label={t("requests.took")}>{from !== null && to !== null ? seconds(to - from) : "–"}</td>
      {withKey ? <td><code>{entry.key_id.slice(0, 6)}</code></td> : null}
      <td class="acts">
        {entry.state === "queued" || entry.state === "running" ? (
          <button type="button" class="quiet" aria-label={`${t("requests.cancel")} ${named}`} onClick={() => act("/cancel", "POST")}>
            {t("requests.cancel")}
          </button>
        ) : (
          <>
            <button type="button" class="quiet" aria-label={`${t("requests.retry")} ${named}`} onClick={() => act("/retry", "POST")}>
              {t("requests.retry")}
            </button>
            <Sure label={t("delete")} sure={t("delete.sure")} name={named} act={() => act("", "DELETE")} />
          </>
        )}
      </td>
    </tr>
  );
}

export function StateMark({ state }: { state: State }) {
  return <span class={`state ${state}`}>{t(`state.${state}`)}</span>;
}
