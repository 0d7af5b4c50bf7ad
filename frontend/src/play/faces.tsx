/** Which face is meant, when a photo holds several: pointed at in the photo, or counted by size. */
import { computed, signal, useSignal } from "@preact/signals";
import type { TargetedPointerEvent } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { t } from "../texts";
import { faults, field, input, photoFields, set } from "./input";

/** x, y, width, height in pixels of the upright photo, as `face_box` has it. */
export type Box = [number, number, number, number];

/** The faces that the server found in the photo, once it has told. */
export const found = signal<Box[]>([]);

const searched = signal<Box[]>([]);
/** Where the server looked in the photo and found none, the whole of it first, while that is told at its field. */
export const looked = computed(() => (photoFields.value.some(({ name }) => name in faults.value) ? searched.value : []));

/** What the server said of the faces in a photo; nothing, once the photo is another. */
export function learn(said: { faces?: unknown; looked?: unknown } = {}): void {
  found.value = boxes(said.faces);
  searched.value = boxes(said.looked);
}

/** Side of the box around a mere click, as a share of the photo's shorter side. */
const CLICKED = 0.2;
/** A pointer that moved less than this share of the shorter side has clicked. */
const STILL = 0.02;

export const canChooseFace = () => field("face_box") !== undefined && field("face_index") !== undefined;

const isBox = (value: unknown): value is Box => Array.isArray(value) && value.length === 4;
const boxes = (value: unknown): Box[] => (Array.isArray(value) ? value.filter(isBox) : []);

function take(box: Box | undefined, index: number | undefined): void {
  set("face_box", box?.map(Math.round));
  set("face_index", index);
}

export function WhichFace({ photo }: { photo: string }) {
  const open = useSignal(false);
  const index = input.value.face_index;
  const chosen = isBox(input.value.face_box)
    ? t("faces.pointed")
    : typeof index === "number" ? t("faces.nth", { number: index + 1 }) : t("faces.which");
  return (
    <>
      <button type="button" class="quiet" onClick={() => { open.value = true; }}>
        {chosen}
      </button>
      {open.value ? <Picker photo={photo} close={() => { open.value = false; }} /> : null}
    </>
  );
}

function Picker({ photo, close }: { photo: string; close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const size = useSignal({ width: 0, height: 0 });
  useEffect(() => dialog.current?.showModal(), []);
  const index = input.value.face_index;
  const box = input.value.face_box;
  const counted = [undefined, 1, 2, 3];
  return (
    <dialog ref={dialog} class="picker" onClose={close} aria-labelledby="picker-title">
      <h2 id="picker-title">{t("faces.title")}</h2>
      <p class="help">{t("faces.help")}</p>
      <div class="canvas">
        <img
          src={photo}
          alt={t("photo.alt")}
          onLoad={({ currentTarget: { naturalWidth, naturalHeight } }) => {
            size.value = { width: naturalWidth, height: naturalHeight };
          }}
        />
        {size.value.width ? <Marks {...size.value} /> : null}
      </div>
      <fieldset class="several">
        <legend class="unseen">{t("faces.title")}</legend>
        {counted.map((number) => (
          <label key={number ?? 0}>
            <input
              type="radio"
              name="face"
              checked={!isBox(box) && index === number}
              onChange={() => take(undefined, number)}
            />
            {number === undefined ? t("faces.largest") : t("faces.nth", { number: number + 1 })}
          </label>
        ))}
        {isBox(box) ? (
          <label>
            <input type="radio" name="face" checked readOnly />
            {t("faces.pointed")}
          </label>
        ) : null}
      </fieldset>
      <button type="button" class="primary" onClick={() => dialog.current?.close()}>
        {t("faces.use")}
      </button>
    </dialog>
  );
}

/** Boxes over the photo, and the pointer that makes one. Its keyboard way is the list below. */
function Marks({ width, height }: { width: number; height: number }) {
  const from = useSignal<[number, number] | null>(null);
  const short = Math.min(width, height);
  const place = (event: TargetedPointerEvent<SVGSVGElement>): [number, number] => {
    const area = event.currentTarget.getBoundingClientRect();
    const inside = (value: number, most: number) => Math.max(0, Math.min(most, value));
    return [
      inside(((event.clientX - area.left) / area.width) * width, width),
      inside(((event.clientY - area.top) / area.height) * height, height),
    ];
  };
  const drawn = ([x1, y1]: [number, number], [x2, y2]: [number, number]): Box =>
    [Math.min(x1, x2), Math.min(y1, y2), Math.abs(x2 - x1), Math.abs(y2 - y1)];
  const pointed = ([x, y]: [number, number]): Box => {
    const known = found.value.find(([left, top, w, h]) => x >= left && x <= left + w && y >= top && y <= top + h);
    const side = short * CLICKED;
    return known ?? [x - side / 2, y - side / 2, side, side];
  };
  const settle = (event: TargetedPointerEvent<SVGSVGElement>) => {
    if (!from.value) return;
    const box = drawn(from.value, place(event));
    take(Math.max(box[2], box[3]) < short * STILL ? pointed(from.value) : box, undefined);
    from.value = null;
  };
  return (
    <svg
      viewBox={`0 0 ${width} ${height}`}
      aria-hidden="true"
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        from.value = place(event);
      }}
      onPointerMove={(event) => {
        if (!from.value) return;
        const box = drawn(from.value, place(event));
        if (Math.max(box[2], box[3]) >= short * STILL) take(box, undefined);
      }}
      onPointerUp={settle}
    >
      <Boxes />
    </svg>
  );
}

/** The boxes alone, over a photo that is only looked at. */
export function Places({ width, height }: { width: number; height: number }) {
  return (
    <svg class="places-in" viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
      <Boxes />
    </svg>
  );
}

/** The parts of a photo in which no face was found, outlined. */
export function Areas(photo: { width: number; height: number }) {
  const share = (part: number, whole: number) => `${(part / whole) * 100}%`;
  return looked.value.map(([x, y, width, height]) => (
    <span
      key={[x, y, width, height].join()}
      class="area"
      aria-hidden="true"
      style={{
        left: share(x, photo.width),
        top: share(y, photo.height),
        width: share(width, photo.width),
        height: share(height, photo.height),
      }}
    />
  ));
}

/** The words for the areas, each beside the kind of line it is outlined with. */
export function LookedIn() {
  if (!looked.value.length) return null;
  return (
    <section class="looked" aria-labelledby="looked-title">
      <h2 id="looked-title">{t("looked.title")}</h2>
      <ul>
        {looked.value.map(([, , width, height], index) => (
          <li key={index}>
            {index ? t("looked.middle", { width, height }) : t("looked.whole", { width, height })}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Boxes() {
  const chosen = input.value.face_box;
  return (
    <>
      {found.value.map((box) => <Mark key={box.join()} box={box} kind="found" />)}
      {isBox(chosen) ? <Mark box={chosen} kind="chosen" /> : null}
    </>
  );
}

function Mark({ box: [x, y, width, height], kind }: { box: Box; kind: string }) {
  return <rect class={kind} x={x} y={y} width={width} height={height} rx={width * 0.08} />;
}
