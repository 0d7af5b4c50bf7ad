/** The pictures and other files in an answer, whichever endpoint gave it. Pure. */

export type Found = {
  /** The key under which the answer holds it. */
  name: string;
  url: string;
  type: string;
  fileName: string;
  size?: number | undefined;
  width?: number | undefined;
  height?: number | undefined;
  /** The platform for which the file was made, when it was made for one. */
  platform?: string | undefined;
};

type Loose = Record<string, unknown>;

function asFile(name: string, value: Loose): Found | undefined {
  if (typeof value.url !== "string") return undefined;
  const number = (key: string) => (typeof value[key] === "number" ? value[key] : undefined);
  const path = value.url.startsWith("data:") ? name : value.url.split("/").pop();
  return {
    name,
    url: value.url,
    type: String(value.content_type ?? "").toLowerCase(),
    fileName: String(value.file_name ?? path),
    size: number("file_size"),
    width: number("width"),
    height: number("height"),
    platform: typeof value.platform === "string" ? value.platform : undefined,
  };
}

/** Every file in `answer`, each address once; a name of its own goes before a place in a list. */
export function filesIn(answer: unknown): Found[] {
  const named: Found[] = [];
  const listed: Found[] = [];
  const look = (name: string, value: unknown, inList: boolean) => {
    if (Array.isArray(value)) {
      value.forEach((item, index) => {
        look(value.length > 1 ? `${name} ${index + 1}` : name, item, true);
      });
    } else if (value !== null && typeof value === "object") {
      const file = asFile(name, value as Loose);
      if (file) (inList ? listed : named).push(file);
      else for (const [key, inner] of Object.entries(value)) look(inList ? name : key, inner, inList);
    }
  };
  look("image", answer, false);
  const urls = new Set<string>();
  return [...named, ...listed].filter(({ url }) => !urls.has(url) && urls.add(url));
}

/** A picture to be shown large; what was made for a platform is only handed over. */
export const isPicture = (file: Found) => !file.platform && looksLikePicture(file);

export const looksLikePicture = (file: Found) =>
  file.type.startsWith("image/") || (!file.type && /^data:image|\.(png|jpe?g|webp|gif|avif)$/i.test(file.url));

/** The picture to show first: a cut-out, which is what backdrops are for, else the answer's first. */
export const hero = (pictures: Found[]) =>
  pictures.find(({ name }) => name.includes("background_removed")) ?? pictures[0];
