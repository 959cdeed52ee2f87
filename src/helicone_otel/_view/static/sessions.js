import { show } from "./show.js";

show("/api/sessions");
