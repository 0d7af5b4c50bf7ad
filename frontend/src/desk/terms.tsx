/** The terms of models before they are fetched: shown, and accepted by whoever may. */
import { useEffect, useRef } from "preact/hooks";
import { t } from "../texts";
import { type Model, sizeOf } from "./models";

export function Terms({ models, agreed, close }: { models: Model[]; agreed: () => void; close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const asking = models.filter(({ accepted }) => !accepted);
  return (
    <dialog ref={dialog} class="terms" onClose={close} aria-labelledby="terms-title">
      <h2 id="terms-title">{t("terms.title")}</h2>
      <p>{t("terms.why")}</p>
      <ul>
        {asking.map(({ name, licence, terms, origin }) => (
          <li key={name}>
            <strong>{name}</strong>
            <p lang="en">{licence}</p>
            {terms ? <a href={terms} rel="noreferrer" target="_blank">{t("terms.read", { where: origin })}</a> : null}
          </li>
        ))}
      </ul>
      <div class="row">
        <button type="button" class="primary" onClick={agreed}>
          {t("terms.accept", { size: sizeOf(models) })}
        </button>
        <button type="button" class="quiet" onClick={() => dialog.current?.close()}>
          {t("terms.not")}
        </button>
      </div>
    </dialog>
  );
}
