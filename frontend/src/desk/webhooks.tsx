/** The deliveries of webhooks: what is owed, what arrived, what was given up. */
import { useSignal } from "@preact/signals";
import { link } from "../route";
import { ahead, moment, t } from "../texts";
import { desk, Refused, Trouble, useAct, useFetched } from "./fetched";
import { DeskPage } from "./frame";

const states = ["due", "delivered", "given up"] as const;

type Delivery = {
  id: number;
  request_id: string;
  url: string;
  state: (typeof states)[number];
  attempts: number;
  due_at: number | null;
  delivered_at: number | null;
  last_status: number | null;
  last_error: string | null;
};

const PAGE = 50;
const MOST = 200;
const marks = { due: "running", delivered: "done", "given up": "failed" } as const;

export function WebhooksPage() {
  const state = useSignal("");
  const shown = useSignal(PAGE);
  const query = new URLSearchParams({ limit: String(shown.value) });
  if (state.value) query.set("state", state.value);
  const { answer, fault, again } = useFetched<{ webhooks: Delivery[]; next: number | null }>(desk(`webhooks?${query}`));
  const { act, refused } = useAct(again);
  const all = answer.value?.webhooks ?? [];
  return (
    <DeskPage name="webhooks">
      <h1>{t("nav.webhooks")}</h1>
      <p class="help">{t("webhooks.help")}</p>
      <div class="row filters">
        <select aria-label={t("requests.state")} onChange={(event) => { state.value = event.currentTarget.value; }}>
          <option value="">{t("requests.all")}</option>
          {states.map((one) => (
            <option key={one} value={one}>{t(`webhooks.${one}`)}</option>
          ))}
        </select>
      </div>
      <Trouble fault={fault.value} />
      <Refused why={refused.value} />
      {answer.value && !all.length ? <p class="empty">{t("webhooks.none")}</p> : null}
      {all.length ? (
        <table>
          <thead>
            <tr>
              <th>{t("requests.state")}</th>
              <th>{t("webhooks.url")}</th>
              <th>{t("webhooks.last")}</th>
              <th>{t("webhooks.tries")}</th>
              <th>{t("requests.id")}</th>
              <th><span class="unseen">{t("requests.do")}</span></th>
            </tr>
          </thead>
          <tbody>
            {all.map((one) => (
              <tr key={one.id}>
                <td><span class={`state ${marks[one.state]}`}>{t(`webhooks.${one.state}`)}</span></td>
                <td class="long"><code>{one.url}</code></td>
                <td class="said"><Lately one={one} /></td>
                <td data-label={t("webhooks.tries")}>{one.attempts}</td>
                <th scope="row">
                  <a href={link(`requests/${one.request_id}`)}><code>{one.request_id.slice(0, 8)}</code></a>
                </th>
                <td class="acts">
                  <button
                    type="button"
                    class="quiet"
                    aria-label={`${t("requests.redeliver")} ${one.request_id.slice(0, 8)}`}
                    onClick={() => void act(desk(`requests/${one.request_id}/redeliver`), { method: "POST" })}
                  >
                    {t("requests.redeliver")}
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      ) : null}
      {answer.value?.next && shown.value < MOST ? (
        <button type="button" onClick={() => { shown.value = Math.min(MOST, shown.value + PAGE); }}>
          {t("requests.more")}
        </button>
      ) : null}
    </DeskPage>
  );
}

/** What the receiver said last, and when it is asked again. */
function Lately({ one: { last_error, last_status, delivered_at, due_at } }: { one: Delivery }) {
  const next = due_at === null ? "" : t("webhooks.next", { when: ahead(due_at) });
  return (
    <>
      {last_error ?? (last_status ? `HTTP ${last_status}` : "–")}{" "}
      <small>{delivered_at === null ? next : moment(delivered_at)}</small>
    </>
  );
}
