/**
 * Labels and help for fields by name, where the schema's own text is missing, wrong or English.
 * fal's texts are published to the letter ("URL of the video." for a photo), so a person reads these.
 */
export const fieldTexts: Record<string, Record<string, readonly [string, string]>> = {
  en: {
    image_url: ["Photo", "One person, face large and lit from the front."],
    face_image_url: ["Photo", "One person, face large and lit from the front."],
    prompt: ["Prompt", "What the picture shows: who, how, in which style."],
    negative_prompt: ["Negative prompt", "What it should not show."],
    face_images_data_url: ["More photos", "A zip of photos of the same person; together they say more than one."],
    model_type: ["Model", "Which of the published models draws."],
    num_samples: ["Samples", "So many are drawn, and the one most like the face is the answer."],
    width: ["Width", "In pixels."],
    height: ["Height", "In pixels."],
    face_id_det_size: ["Detection size", "Pixels in which the face is looked for; less finds very large faces."],
    base_1_5_model_repo: ["Base model (1.5)", "Repository of the base for the 1.5 models."],
    base_sdxl_model_repo: ["Base model (SDXL)", "Repository of the base for the SDXL models."],
    return_samples: ["All samples", "Answer with every sample and how alike it is."],
    return_scores: ["Scores", "Answer with how alike the picture and the face are."],
    face_index: ["Face by size", "0 is the largest face in the photo, 1 the next."],
    face_box: ["Face by place", "x, y, width and height in pixels of the upright photo, as a list."],
    image_size: ["Size", "The size of the picture in pixels."],
    num_inference_steps: ["Steps", "More steps: more detail, more time."],
    guidance_scale: ["Guidance", "How closely to follow the prompt."],
    instant_id_strength: ["Likeness", "How strongly the face is held to the photo."],
    ip_adapter_weight: ["Photo's influence", "How much of the photo's look comes along."],
    ip_adapter_noise: ["Photo's noise", "Noise on that influence; more of it, freer drawing."],
    outline_width: ["Outline", "Its width in pixels; 0 is none. 16 suits WhatsApp."],
    outline_color: ["Outline’s colour", "# and three or six hexadecimal digits."],
    shadow: ["Shadow", "The cut-out casts a soft one."],
    trim: ["Trim", "Cut off what is empty around the sticker."],
    margin: ["Margin", "Clear space around the sticker, in pixels."],
    exports: ["Ready for", "A file for each, by its rules for size, format and bytes; for print a PDF with a path to cut along."],
    x_fast: ["Faster", 'Not the same picture; on the diffusion engine alone. For instance {"guidance_interval": [0.28, 5.42]}; a portrait also {"lcm_steps": 4}.'],
    seed: ["Seed", "The same seed and the same request make the same picture."],
    upscale: ["Upscale", "Twice the width and height."],
    upscale_steps: ["Upscale steps", "Only used when upscaling."],
    enable_safety_checker: ["Safety check", "Looks for what should not be shown."],
  },
  de: {
    image_url: ["Foto", "Eine Person, das Gesicht groß und von vorn beleuchtet."],
    face_image_url: ["Foto", "Eine Person, das Gesicht groß und von vorn beleuchtet."],
    prompt: ["Beschreibung", "Was das Bild zeigt: wen, wie, in welchem Stil. Englisch wird am besten verstanden."],
    negative_prompt: ["Nicht im Bild", "Was es nicht zeigen soll."],
    face_images_data_url: ["Weitere Fotos", "Ein Zip mit Fotos derselben Person; zusammen sagen sie mehr als eines."],
    model_type: ["Modell", "Welches der veröffentlichten Modelle zeichnet."],
    num_samples: ["Entwürfe", "So viele werden gezeichnet; der ähnlichste ist die Antwort."],
    width: ["Breite", "In Pixeln."],
    height: ["Höhe", "In Pixeln."],
    face_id_det_size: ["Suchgröße", "Pixel, in denen das Gesicht gesucht wird; weniger findet sehr große Gesichter."],
    base_1_5_model_repo: ["Grundmodell (1.5)", "Ablage des Grundmodells der 1.5-Modelle."],
    base_sdxl_model_repo: ["Grundmodell (SDXL)", "Ablage des Grundmodells der SDXL-Modelle."],
    return_samples: ["Alle Entwürfe", "Antwortet mit jedem Entwurf und seiner Ähnlichkeit."],
    return_scores: ["Ähnlichkeit", "Antwortet damit, wie ähnlich Bild und Gesicht sind."],
    face_index: ["Gesicht nach Größe", "0 ist das größte Gesicht auf dem Foto, 1 das nächste."],
    face_box: ["Gesicht nach Ort", "x, y, Breite und Höhe in Pixeln des aufrechten Fotos, als Liste."],
    image_size: ["Größe", "Die Größe des Bildes in Pixeln."],
    num_inference_steps: ["Schritte", "Mehr Schritte: mehr Einzelheiten, mehr Zeit."],
    guidance_scale: ["Treue zur Beschreibung", "Wie eng der Beschreibung gefolgt wird."],
    instant_id_strength: ["Ähnlichkeit", "Wie fest das Gesicht am Foto bleibt."],
    ip_adapter_weight: ["Einfluss des Fotos", "Wie viel vom Aussehen des Fotos mitkommt."],
    ip_adapter_noise: ["Rauschen des Fotos", "Rauschen auf diesem Einfluss; mehr davon zeichnet freier."],
    outline_width: ["Umriss", "Seine Breite in Pixeln; 0 ist keiner. 16 passt zu WhatsApp."],
    outline_color: ["Farbe des Umrisses", "# und drei oder sechs hexadezimale Ziffern."],
    shadow: ["Schatten", "Der freigestellte Sticker wirft einen weichen."],
    trim: ["Beschneiden", "Schneidet weg, was um den Sticker leer ist."],
    margin: ["Rand", "Freier Raum um den Sticker, in Pixeln."],
    exports: ["Fertig für", "Für jedes eine Datei nach seinen Regeln für Größe, Format und Bytes; für den Druck ein PDF mit Schneidelinie."],
    x_fast: ["Schneller", 'Nicht dasselbe Bild; nur mit der Diffusion. Zum Beispiel {"guidance_interval": [0.28, 5.42]}; ein Porträt auch {"lcm_steps": 4}.'],
    seed: ["Startwert", "Gleicher Startwert und gleicher Auftrag: gleiches Bild."],
    upscale: ["Vergrößern", "Doppelte Breite und Höhe."],
    upscale_steps: ["Schritte beim Vergrößern", "Nur beim Vergrößern."],
    enable_safety_checker: ["Sicherheitsprüfung", "Sucht, was nicht gezeigt werden sollte."],
  },
};

export type Group = "face" | "finish" | "files" | "answer" | "more";

/** Extras that belong together; the groups are shown in this order. */
export const fieldGroups: Record<string, Group> = {
  outline_width: "finish",
  outline_color: "finish",
  shadow: "finish",
  trim: "finish",
  margin: "finish",
  exports: "files",
  return_samples: "answer",
  return_scores: "answer",
  face_index: "face",
  face_box: "face",
};

/** Options that have proper names. */
export const optionTexts: Record<string, Record<string, string>> = {
  exports: {
    whatsapp: "WhatsApp", telegram: "Telegram", signal: "Signal", imessage: "iMessage",
    discord: "Discord", line: "LINE", slack: "Slack", print: "Print (PDF)",
  },
};

/** What an endpoint is, where the catalogue's own English words are not enough. */
export const endpointTexts: Record<string, Record<string, readonly [string, string]>> = {
  en: {
    "fal-ai/face-to-sticker": ["Face to Sticker", "A photo becomes a sticker of that person."],
    "fal-ai/ip-adapter-face-id": ["IP Adapter Face ID", "A new portrait of the person in the photo."],
  },
  de: {
    "fal-ai/face-to-sticker": ["Gesicht zu Sticker", "Aus einem Foto wird ein Sticker dieser Person."],
    "fal-ai/ip-adapter-face-id": ["Porträt nach Gesicht", "Ein neues Porträt der Person auf dem Foto."],
  },
};
