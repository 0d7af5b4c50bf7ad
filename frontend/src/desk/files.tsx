/** The files that this server keeps: how many, until when, and letting go of them at once. */
import { useSignal } from "@preact/signals";
import { Segments } from "../controls";
import { admin, keyed, local } from "../server";
import { ahead, bytes, duration, moment, t } from "../texts";
import { desk, Refused, Sure, Trouble, useAct, useFetched } from "./fetched";
import { DeskPage } from "./frame";

type Kept = {
  name: string;
  url: string;
  content_type: string;
  size: number;
  created_at: number;
  expires_at: number | null;
  owner: string | null;
  mine: boolean;
};

type Listing = { count: number; bytes: number; kept: { results: number; uploads: number }; files: Kept[] };

const PAGE = 50;
const MOST = 500;
/** The server looks at every file to answer, so it is asked less often than for other pages. */
const EVERY = 15_000;

export function FilesPage() {
  const whose = useSignal<"mine" | "all">("mine");
  const shown = useSignal(PAGE);
  const query = `whose=${whose.value}`;
  const { answer, fault, again } = useFetched<Listing>(desk(`files?${query}&limit=${shown.value}`), EVERY);
  const { act, refused } = useAct(again);
  const listing = answer.value;
  const everybodys = whose.value === "all";
  return (
    <DeskPage name="files">
      <h1>{t("nav.files")}</h1>
      {listing ? (
        <p class="help">
          {t("files.kept", { results: duration(listing.kept.results), uploads: duration(listing.kept.uploads) })}
        </p>
      ) : null}
      <div class="row">
        {admin.value && keyed.value ? (
          <Segments
            name="whose"
            label={t("files.whose")}
            options={[
              { id: "mine", label: t("files.mine") },
              { id: "all", label: t("files.all") },
            ]}
            chosen={whose.value}
            choose={(chosen) => { whose.value = chosen; }}
          />
        ) : null}
        {listing ? <strong>{t("files.count", { count: listing.count, size: bytes(listing.bytes) })}</strong> : null}
        {listing?.count ? (
          <Sure
            label={t(everybodys ? "files.delete.all" : "files.delete.mine")}
            sure={t("delete.sure")}
            act={() => void act(desk(`files?${query}`), { method: "DELETE" })}
          />
        ) : null}
      </div>
      <Trouble fault={fault.value} />
      <Refused why={refused.value} />
      {listing?.count === 0 ? <p class="empty">{t("files.none")}</p> : null}
      {listing?.count ? (
        <table class="kept">
          <thead>
            <tr>
              <th>{t("files.file")}</th>
              <th>{t("stage.size")}</th>
              <th>{t("files.since")}</th>
              <th>{t("files.until")}</th>
              {everybodys ? <th>{t("requests.key")}</th> : null}
              <th><span class="unseen">{t("requests.do")}</span></th>
            </tr>
          </thead>
          <tbody>
            {listing.files.map((file) => (
              <Row
                key={file.name}
                file={file}
                withKey={everybodys}
                remove={() => void act(desk(`files/${file.name}`), { method: "DELETE" })}
              />
            ))}
          </tbody>
        </table>
      ) : null}
      {listing && listing.count > shown.value && shown.value < MOST ? (
        <button type="button" onClick={() => { shown.value = Math.min(MOST, shown.value * 2); }}>
          {t("requests.more")}
        </button>
      ) : null}
    </DeskPage>
  );
}

function Row({ file, withKey, remove }: { file: Kept; withKey: boolean; remove: () => void }) {
  // The name begins with 21 random characters, which tell a person nothing.
  const plain = (file.name.slice(21).replace(/^_/, "") || file.name).replace(/^([0-9a-f]{8})[0-9a-f]{24}(?=\.|$)/, "$1…");
  const picture = file.mine && /^image\//i.test(file.content_type);
  return (
    <tr>
      <th scope="row">
        <a class="print" href={local(file.url)}>
          {picture ? <img class="checker" src={local(file.url)} alt="" loading="lazy" decoding="async" /> : <span class="blank" />}
          <span>{plain}</span>
        </a>
      </th>
      <td>{bytes(file.size)}</td>
      <td data-label={t("files.since")}>{moment(file.created_at)}</td>
      <td data-label={t("files.until")}>{file.expires_at === null ? t("files.forever") : <time title={moment(file.expires_at)}>{ahead(file.expires_at)}</time>}</td>
      {withKey ? <td><code>{file.owner?.slice(0, 6) ?? "–"}</code></td> : null}
      <td class="acts">
        <Sure label={t("delete")} sure={t("delete.sure")} name={plain} act={remove} />
      </td>
    </tr>
  );
}
