// The views of a session's page that need large libraries: the chart of durations and the table of requests.

import { byId } from "./dom.js";
import { Durations } from "./durations.js";
import { RequestsTable } from "./requests_table.js";
import { add, choose, choosePath, selection } from "./session.js";

add(new Durations(byId("durations"), byId("durations-table"), selection, choosePath));
add(new RequestsTable(byId("requests-table"), selection, choose));
