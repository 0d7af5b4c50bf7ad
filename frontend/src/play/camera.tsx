/** Taking a photo with the camera of this machine. The picture goes nowhere until Run. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { t } from "../texts";

// Browsers hide the camera from pages that did not come by a safe way.
export const canTakePhotos = navigator.mediaDevices !== undefined;

export function Camera({ taken, close }: { taken: (file: File) => void; close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const video = useRef<HTMLVideoElement>(null);
  const denied = useSignal("");

  useEffect(() => {
    dialog.current?.showModal();
    let stream: MediaStream | undefined;
    let gone = false;
    navigator.mediaDevices
      .getUserMedia({ video: { facingMode: "user", width: { ideal: 1280 } } })
      .then((opened) => {
        stream = opened;
        if (gone) stop(opened);
        else if (video.current) video.current.srcObject = opened;
      })
      .catch((reason: Error) => {
        denied.value = reason.message;
      });
    return () => {
      gone = true;
      if (stream) stop(stream);
    };
  }, []);

  const take = () => {
    const seen = video.current;
    if (!seen?.videoWidth) return;
    const canvas = document.createElement("canvas");
    canvas.width = seen.videoWidth;
    canvas.height = seen.videoHeight;
    canvas.getContext("2d")?.drawImage(seen, 0, 0);
    canvas.toBlob((blob) => {
      if (blob) taken(new File([blob], "camera.jpg", { type: "image/jpeg" }));
      dialog.current?.close();
    }, "image/jpeg", 0.95);
  };

  return (
    <dialog ref={dialog} onClose={close} aria-labelledby="camera-title">
      <h2 id="camera-title">{t("camera.title")}</h2>
      {denied.value ? (
        <p role="alert">{t("camera.denied", { why: denied.value })}</p>
      ) : (
        <video ref={video} autoplay muted playsInline />
      )}
      <div class="row">
        <button type="button" class="primary" disabled={denied.value !== ""} onClick={take}>
          {t("camera.take")}
        </button>
        <button type="button" class="quiet" onClick={() => dialog.current?.close()}>
          {t("close")}
        </button>
      </div>
    </dialog>
  );
}

function stop(stream: MediaStream) {
  for (const track of stream.getTracks()) track.stop();
}
