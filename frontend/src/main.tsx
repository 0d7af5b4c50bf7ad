/** Opens the page: who are we here, what is served, then everything else. */
import { render } from "preact";
import { App } from "./app";
import type { Endpoint } from "./play/input";
import { endpoints } from "./served";
import { ask, base, knock } from "./server";
import "./theme";
import "./style/tokens.css";
import "./style/page.css";
import "./style/controls.css";
import "./style/form.css";
import "./style/extras.css";
import "./style/dialog.css";
import "./style/stage.css";
import "./style/history.css";
import "./style/desk.css";
import "./style/shelf.css";

const root = document.getElementById("limner");
if (root) render(<App />, root);

void knock();
void ask<{ endpoints: Endpoint[] }>(`${base}limner/v1/endpoints`)
  .then((answer) => {
    endpoints.value = answer.endpoints;
  })
  .catch(() => undefined); // `knock` tells that the server is silent.
