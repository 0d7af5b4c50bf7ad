/** The endpoints that this server has; null until it has said so. */
import { signal } from "@preact/signals";
import type { Endpoint } from "./play/input";

export const endpoints = signal<Endpoint[] | null>(null);
