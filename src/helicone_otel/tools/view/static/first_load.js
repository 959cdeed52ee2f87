// Requests the session's data while the page's other modules still load.

import { read } from "./address.js";
import { session } from "./api.js";

const parameters = read();

export const firstSession = session(parameters.get("id"), parameters.get("name"));
// The module that awaits it shows the error.
firstSession.catch(() => {});
