// Of the page of one session, the views that are made with the larger parts: the distribution of durations, the table.

import { byId } from "./dom.js";
import { Durations } from "./durations.js";
import { RequestsTable } from "./requests_table.js";
import { add, choose, choosePath, selection } from "./session.js";

add(new Durations(byId("durations"), byId("durations-table"), selection, choosePath));
add(new RequestsTable(byId("requests-table"), selection, choose));
