// Requests the session's data while the page's other modules still load.

import { read } from "./address.js";
import { session } from "./api.js";

const parameters = read();
// The browser requests this address as soon as it has read the head of the page.
const preload = document.getElementById("data");

export const firstSession = session(parameters.get("id"), parameters.get("name"), preload?.href);
// The module that awaits it shows the error.
firstSession.catch(() => {});
