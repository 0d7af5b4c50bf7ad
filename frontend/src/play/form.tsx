/** The form of an endpoint, or its JSON; and Run. */
import { useSignal } from "@preact/signals";
import { Coded, Tabs } from "../controls";
import { type Field as Known, isFront } from "../schema";
import { type Group, groupOf, groups, t } from "../texts";
import { Field } from "./field";
import { endpoint, faults, fields, input, replace } from "./input";
import { JsonEditor } from "./json";
import { busy, cancel, run, start } from "./run";

export function Form() {
  const tab = useSignal<"form" | "json">("form");
  const submit = (event: Event) => {
    event.preventDefault();
    void start();
  };
  return (
    <form
      class="form"
      aria-label={endpoint.value?.title}
      noValidate
      onSubmit={submit}
      onKeyDown={(event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit(event);
      }}
    >
      <Tabs
        id="input"
        label={t("form.view")}
        tabs={[
          { id: "form", label: t("form.form") },
          { id: "json", label: t("form.json") },
        ]}
        chosen={tab.value}
        choose={(chosen) => { tab.value = chosen; }}
      >
        {tab.value === "json" ? <JsonEditor /> : <Fields />}
      </Tabs>
      <RunBar />
    </form>
  );
}

function Fields() {
  const known = fields.value;
  const settings = known.filter((field) => !isFront(field) && !field.extra);
  const extras = known.filter((field) => !isFront(field) && field.extra);
  // What a person fills in first stands first: the photo, then the words.
  const front = known.filter(isFront);
  const weight = (kind: string) => (kind === "photo" ? 0 : 1);
  front.sort((a, b) => weight(a.widget.kind) - weight(b.widget.kind));
  return (
    <>
      {front.map((field) => (
        <Field key={field.name} known={field} />
      ))}
      {settings.length ? (
        <details>
          <summary>{t("form.settings")}</summary>
          {settings.map((field) => (
            <Field key={field.name} known={field} />
          ))}
          <button
            type="button"
            class="quiet"
            onClick={() => replace(Object.fromEntries(Object.entries(input.value).filter(([name]) => !isOf(settings, name))))}
          >
            {t("form.reset")}
          </button>
        </details>
      ) : null}
      {extras.length ? (
        <details>
          <summary>{t("form.extras")}</summary>
          <p class="help">{t("form.extras.help")}</p>
          {grouped(extras).map(([group, members]) => (
            <fieldset key={group} class="group">
              <legend>{t(`group.${group}`)}</legend>
              {members.map((field) => (
                <Field key={field.name} known={field} />
              ))}
            </fieldset>
          ))}
        </details>
      ) : null}
    </>
  );
}

/** Extras by what they are about; a group is there only when it has members. */
function grouped(extras: Known[]): [Group, Known[]][] {
  return groups
    .map((group): [Group, Known[]] => [group, extras.filter(({ name }) => groupOf(name) === group)])
    .filter(([, members]) => members.length);
}

const isOf = (group: { name: string }[], name: string) => group.some((field) => field.name === name);

function RunBar() {
  const again = run.value.phase === "done" && run.value.endpoint === endpoint.value?.id;
  const general = faults.value[""] ?? run.value.fault;
  return (
    <div class="runbar">
      {general ? (
        <p class="fault" id="fault" role="alert" tabIndex={-1}>
          <Coded text={general} />
        </p>
      ) : null}
      <div class="row">
        {busy.value ? (
          <button key="cancel" type="button" class="cancel" disabled={run.value.phase === "cancelling"} onClick={() => void cancel()}>
            {t(run.value.phase === "cancelling" ? "phase.cancelling" : "run.cancel")}
          </button>
        ) : (
          <button key="run" type="submit" class="primary">
            {t(again ? "run.again" : "run")}
          </button>
        )}
        {busy.value ? null : <kbd>{t("run.keys")}</kbd>}
      </div>
    </div>
  );
}
