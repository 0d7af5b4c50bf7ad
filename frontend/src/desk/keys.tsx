/** Keys: which there are, a new one, and an end to one. */
import { useSignal } from "@preact/signals";
import { Copy } from "../controls";
import { admin, ask, enter, key, keyed, post } from "../server";
import { moment, t } from "../texts";
import { desk, Sure, Trouble, useFetched } from "./fetched";
import { DeskPage } from "./frame";

type Key = { id: string; scope: "api" | "admin"; created_at: number; revoked_at: number | null };

export function KeysPage() {
  const { answer, fault, again } = useFetched<{ keys: Key[] }>(desk("keys"));
  const made = useSignal("");
  const scope = useSignal<Key["scope"]>("api");
  const make = async () => {
    // The first key must be able to make the others.
    const wanted = keyed.value ? scope.value : "admin";
    const told = await ask<{ key: string }>(desk("keys"), post({ scope: wanted }));
    made.value = told.key;
    if (!keyed.value) await enter(told.key);
    await again();
  };
  const end = async (id: string) => {
    await ask(desk(`keys/${id}`), { method: "DELETE" }).catch(() => undefined); // The list tells.
    await again();
  };
  return (
    <DeskPage name="keys">
      <h1>{t("keys.title")}</h1>
      {keyed.value ? null : <p>{t("keys.open")}</p>}
      {admin.value ? (
        <form
          class="row filters"
          onSubmit={(event) => {
            event.preventDefault();
            void make();
          }}
        >
          {keyed.value ? (
            <select
              aria-label={t("keys.scope")}
              onChange={(event) => { scope.value = event.currentTarget.value as Key["scope"]; }}
            >
              <option value="api">{t("keys.scope.api")}</option>
              <option value="admin">{t("keys.scope.admin")}</option>
            </select>
          ) : null}
          <button type="submit" class="primary">
            {t("keys.make")}
          </button>
        </form>
      ) : null}
      {made.value ? (
        <div class="once" role="status">
          <p>{t("keys.made")}</p>
          <p class="row">
            <code>{made.value}</code>
            <Copy text={() => made.value} />
          </p>
        </div>
      ) : null}
      <Trouble fault={fault.value} />
      {answer.value?.keys.length === 0 ? <p class="empty">{t("keys.none")}</p> : null}
      {answer.value?.keys.length ? (
        <table>
          <thead>
            <tr>
              <th>{t("keys.id")}</th>
              <th>{t("keys.scope")}</th>
              <th>{t("keys.since")}</th>
              <th><span class="unseen">{t("keys.end")}</span></th>
            </tr>
          </thead>
          <tbody>
            {answer.value.keys.map((one) => (
              <tr key={one.id}>
                <th scope="row"><code>{one.id.slice(0, 12)}…</code></th>
                <td>{t(`keys.scope.${one.scope}`)}</td>
                <td>{moment(one.created_at)}</td>
                <td class="acts">
                  {one.revoked_at !== null ? (
                    <small>{t("keys.ended", { when: moment(one.revoked_at) })}</small>
                  ) : key.value.startsWith(`${one.id}:`) ? (
                    <small>{t("keys.yours")}</small>
                  ) : (
                    <Sure label={t("keys.end")} sure={t("keys.end.sure")} act={() => void end(one.id)} />
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      ) : null}
    </DeskPage>
  );
}
