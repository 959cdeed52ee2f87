// Asks for the session before the page's other modules are there: both take their time.

import { read } from "./address.js";
import { session } from "./api.js";

const parameters = read();

export const first = session(parameters.get("id"), parameters.get("name"));
// Whoever waits for it says what is wrong.
first.catch(() => {});
