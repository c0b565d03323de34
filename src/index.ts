import * as everything from "./public.ts";

export * from "./public.ts";

/** Everything under one name, for `import zmq from "monocoque"`. */
export default everything;
