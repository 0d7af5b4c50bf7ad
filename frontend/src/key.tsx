/** Asking for the key, where one is needed. It is kept in this tab alone. */
import { useSignal } from "@preact/signals";
import { Coded } from "./controls";
import { access, enter, forget, key, keyed, knock } from "./server";
import { t } from "./texts";

export function KeyGate() {
  const entered = useSignal("");
  if (access.value === "silent") {
    return (
      <main class="gate" id="page">
        <h1>{t("error.title")}</h1>
        <p role="alert">
          <Coded text={t("error.network")} />
        </p>
        <button type="button" class="primary" onClick={() => void knock()}>
          {t("reload")}
        </button>
      </main>
    );
  }
  const wrong = access.value === "wrong";
  return (
    <main class="gate" id="page">
      <h1>{t("key.title")}</h1>
      <p>
        <Coded text={t("key.why")} />
      </p>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void enter(entered.value);
        }}
      >
        <label for="key">{t("key.label")}</label>
        <input
          id="key"
          type="password"
          autocomplete="current-password"
          required
          aria-invalid={wrong}
          aria-describedby={wrong ? "key-wrong" : undefined}
          value={entered.value}
          onInput={(event) => {
            entered.value = event.currentTarget.value;
          }}
        />
        {wrong ? (
          <p class="fault" id="key-wrong" role="alert">
            {t("key.wrong")}
          </p>
        ) : null}
        <button type="submit" class="primary">
          {t("key.enter")}
        </button>
      </form>
    </main>
  );
}

/** The key in use, in the head of the page. */
export function KeyInUse() {
  if (!keyed.value || !key.value) return null;
  return (
    <button type="button" class="quiet" title={t("key.kept", { id: key.value.slice(0, 6) })} onClick={() => void forget()}>
      {t("key.forget")}
    </button>
  );
}
