/** The page of one endpoint: what goes in on the left, what comes out on the right. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { refresh } from "../history";
import { Fault } from "../server";
import { endpointText, t } from "../texts";
import { Form } from "./form";
import { History } from "./history";
import { type Endpoint, endpoint, open, pending, photoFields, replace } from "./input";
import { More } from "./more";
import { choose, chooseSample, forgetAll } from "./photos";
import { busy, interrupted, resume, run } from "./run";
import { Stage } from "./stage";

export function PlayPage({ served }: { served: Endpoint }) {
  const fault = useSignal("");
  useEffect(() => {
    prepare(served).catch((reason: unknown) => {
      fault.value = reason instanceof Fault && reason.status ? reason.message : t("error.network");
    });
  }, [served.id]);
  useEffect(() => {
    const paste = (event: ClipboardEvent) => {
      const file = event.clipboardData?.files[0];
      const field = photoFields.value[0];
      if (file && field) {
        event.preventDefault();
        void choose(field.name, file, file.name);
      }
    };
    document.addEventListener("paste", paste);
    return () => document.removeEventListener("paste", paste);
  }, []);
  if (fault.value) return <main id="page"><p role="alert" class="fault">{fault.value}</p></main>;
  if (endpoint.value?.id !== served.id) return <main id="page" aria-busy="true" />;
  const { title, description } = endpointText(served);
  const percent = Math.round(run.value.progress * 100);
  document.title = `${busy.value ? `${percent} % · ` : ""}${title} · Limner`;
  return (
    <main id="page" class="play" tabIndex={-1}>
      <header class="title">
        <h1>{title}</h1>
        <p>
          {description} <code>{served.id}</code>
        </p>
      </header>
      <Form />
      <div>
        <div class="outcome">
          <Stage />
          <More />
        </div>
      </div>
      <History />
    </main>
  );
}

/** Fill the form: with the run this tab was in the middle of, else with the sample face. */
async function prepare(served: Endpoint): Promise<void> {
  if (endpoint.value?.id !== served.id) {
    forgetAll();
    await open(served);
    const before = interrupted();
    const photo = photoFields.value.find(({ widget }) => widget.kind === "photo");
    if (before?.endpoint === served.id) replace(before.input);
    else if (photo) chooseSample(photo.name);
  }
  if (pending.value) {
    forgetAll();
    replace(pending.value);
    pending.value = null;
  }
  await refresh().catch(() => undefined);
  await resume();
}
